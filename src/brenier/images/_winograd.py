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

    Derivatives are those of ``_directly``: they take as long and compile in half the time.
    """
    height, width, _ = x.shape
    blocks = -(-width // 4)
    padded = jnp.pad(x, ((0, 0), (1, 1 + 4 * blocks - width), (0, 0)))
    inputs = [padded[:, k : k + 4 * blocks - 3 : 4] for k in range(6)]
    kernels = jnp.einsum("ps,rsio->prio", jnp.asarray(_FILTER, x.dtype), kernel)
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
