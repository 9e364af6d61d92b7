"""Convolutions of images, directly or with Winograd's fewer multiplications."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float

# Winograd's F(4, 3): four outputs of a filter g of length 3 from six inputs x, with 6
# multiplications in place of 12, as OUTPUT ((FILTER g) * (INPUT x)); Lavin & Gray (2016).
# It costs about one digit of float32.
_INPUT = np.array(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_FILTER = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_OUTPUT = np.array(
    [[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)

# Floats of combined filters that are never too many: 4 MB.
_FEW = 2**20
# Floats of an image that are combined at once: its six combinations of inputs and six of products
# take three times as many, and stay in the cache.
_BAND = 2**21
# Of such a band: two more are computed with it.
_LEAST_ROWS = 4


def convolve(
    x: Float[Array, "h w i"], kernel: Float[Array, "k l i o"], stride: int = 1
) -> Float[Array, "_ _ o"]:
    """The convolution with zeros around the image, by whichever algorithm is faster for it."""
    # Its combinations of inputs would cost half of bfloat16's digits.
    coarse = x.dtype == jnp.bfloat16
    if stride == 1 and not coarse and _winograd_is_better(kernel.shape, x.shape):
        return _by_winograd(x, kernel)
    return _directly(x, kernel, stride)


def _winograd_is_better(kernel: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Only on a CPU: libraries for GPUs choose their algorithm themselves.

    Small convolutions are not worth the longer compilation. Where filters are large beside the
    image, their combinations take more memory than its own: XLA makes those of a whole network
    before it needs them.
    """
    channels = kernel[2:]
    filters = 18 * channels[0] * channels[1]
    images = 1.5 * image[0] * image[1] * sum(channels)
    return (
        jax.default_backend() == "cpu"
        and kernel[0] == 3
        and min(channels) >= 16
        and image[1] >= 12
        and filters <= max(_FEW, images)
    )


def _directly(
    x: Float[Array, "h w i"], kernel: Float[Array, "k l i o"], stride: int = 1
) -> Float[Array, "_ _ o"]:
    # The padding does not depend on the size of the image: with stride 2 the first window is
    # centred on the first pixel, as in diffusers.
    sides = [(side // 2, side // 2) for side in kernel.shape[:2]]
    return jax.lax.conv_general_dilated(
        x[None], kernel, (stride, stride), sides, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]


@jax.custom_jvp
def _by_winograd(
    x: Float[Array, "h w i"], kernel: Float[Array, "3 3 i o"]
) -> Float[Array, "h w o"]:
    """``_directly`` with half the multiplications: F(4, 3) along rows, direct along columns.

    Large images are taken in bands of rows, one after the other, which bounds the working memory.
    Derivatives are those of ``_directly``: they take as long and compile in half the time.
    """
    height, width, channels = x.shape
    filters = jnp.asarray(_FILTER, x.dtype)
    kernels = jnp.einsum("ps,rsio->prio", filters, _not_before(kernel, x))
    most = max(1, _BAND // (width * channels))
    rows = next(rows for rows in range(min(most, height), 0, -1) if height % rows == 0)
    if rows == height or rows < _LEAST_ROWS:
        return _of_band(x, kernels)

    def add_band(index: Array, out: Array) -> Array:
        start = index * rows
        band = _of_band(_with_neighbours(x, start, rows), kernels)[1:-1]
        return jax.lax.dynamic_update_slice_in_dim(out, band, start, 0)

    out = jnp.zeros((height, width, kernel.shape[-1]), x.dtype)
    return jax.lax.fori_loop(0, height // rows, add_band, _not_before(out, x))


@jax.custom_batching.custom_vmap
def _not_before(array: Array, x: Array) -> Array:
    """The array, which XLA does not make before it has x: it would make those of all layers first.

    Plus a zero that it cannot foresee, also where x is NaN: other images of a batch share it.
    """
    return array + jnp.fmin(jnp.abs(x[(0,) * x.ndim]), 0.0)


@_not_before.def_vmap
def _(size: int, batched: Sequence[bool], array: Array, x: Array) -> tuple[Array, bool]:
    if batched[0]:
        return jax.vmap(_not_before, in_axes=(0, 0 if batched[1] else None))(array, x), True
    return _not_before(array, x[0]), False


def _with_neighbours(x: Float[Array, "h w i"], start: Array, rows: int) -> Float[Array, "r w i"]:
    """Rows of an image from ``start`` on, and one more at each end: 0 outside of the image."""
    above, below = (
        jnp.where((row >= 0) & (row < len(x)), jax.lax.dynamic_slice_in_dim(x, row, 1), 0.0)
        for row in (start - 1, start + rows)
    )
    return jnp.concatenate([above, jax.lax.dynamic_slice_in_dim(x, start, rows), below])


def _of_band(x: Float[Array, "h w i"], kernels: Float[Array, "6 3 i o"]) -> Float[Array, "h w o"]:
    height, width, _ = x.shape
    blocks = -(-width // 4)
    padded = jnp.pad(x, ((0, 0), (1, 1 + 4 * blocks - width), (0, 0)))
    inputs = [padded[:, k : k + 4 * blocks - 3 : 4] for k in range(6)]
    products = [
        _directly(_combined(row, inputs), kernels[p][:, None]) for p, row in enumerate(_INPUT)
    ]
    out = jnp.stack([_combined(row, products) for row in _OUTPUT], axis=2)
    return out.reshape(height, 4 * blocks, -1)[:, :width]


@_by_winograd.defjvp
def _(primals, tangents):
    return jax.jvp(_directly, primals, tangents)


def _combined(weights: Float[np.ndarray, " k"], terms: Sequence[Array]) -> Array:
    """Σ w_k x_k over the weights that are not 0."""
    return sum(
        (float(w) * term for w, term in zip(weights, terms, strict=True) if w),
        start=jnp.zeros((), terms[0].dtype),
    )
