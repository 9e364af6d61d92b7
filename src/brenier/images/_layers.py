"""The layers of an image network: one image (height, width, channels) at a time, to be vmapped.

Channels come last, which is the layout that XLA's convolutions want on a CPU and take on a GPU.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.random import Generator

from brenier._types import Array, Float, Key

# Channels that are normalised together, at least.
_GROUP = 8
_NO_VARIANCE = 1e-5


class Convolution(eqx.Module):
    """A convolution that keeps the size of the image, or divides it by its stride."""

    kernel: Float[Array, "k k i o"]
    bias: Float[Array, " o"]
    stride: int = eqx.field(static=True)

    @classmethod
    def random(
        cls,
        random: Generator,
        channels: tuple[int, int],
        *,
        size: int = 3,
        stride: int = 1,
        scale: float = 1.0,
    ) -> "Convolution":
        """Normal weights of variance scale² / inputs, no bias."""
        shape = (size, size, *channels)
        deviation = scale / (size * size * channels[0]) ** 0.5
        return cls(_normal(random, shape, deviation), _full(channels[1], 0.0), stride)

    def __call__(self, x: Float[Array, "_ _ _"]) -> Float[Array, "_ _ _"]:
        kernel = self.kernel.astype(x.dtype)
        if self.stride == 1 and _is_cheaper_by_fours(kernel.shape, x.shape[1]):
            out = _convolved_by_fours(x, kernel)
        else:
            out = _convolved(x, kernel, self.stride)
        return out + self.bias.astype(x.dtype)


class Dense(eqx.Module):
    """x W + b over the last axis."""

    weight: Float[Array, "i o"]
    bias: Float[Array, " o"]

    @classmethod
    def random(cls, random: Generator, channels: tuple[int, int], *, scale: float = 1.0) -> "Dense":
        """Normal weights of variance scale² / inputs, no bias."""
        weight = _normal(random, channels, scale / channels[0] ** 0.5)
        return cls(weight, _full(channels[1], 0.0))

    def __call__(self, x: Float[Array, "*batch i"]) -> Float[Array, "*batch o"]:
        return x @ self.weight.astype(x.dtype) + self.bias.astype(x.dtype)


class GroupNorm(eqx.Module):
    """Each group of channels with mean 0 and variance 1 over the image, then scaled and shifted."""

    scale: Float[Array, " c"]
    shift: Float[Array, " c"]
    groups: int = eqx.field(static=True)

    @classmethod
    def ones(cls, channels: int) -> "GroupNorm":
        """Scale 1, shift 0, in the most groups of at least 8 channels (32 at most)."""
        groups = next(
            g for g in range(min(32, max(1, channels // _GROUP)), 0, -1) if channels % g == 0
        )
        return cls(_full(channels, 1.0), _full(channels, 0.0), groups)

    def __call__(
        self, x: Float[Array, "h w c"], modulation: tuple[Array, Array] | None = None
    ) -> Float[Array, "h w c"]:
        """norm(x), or norm(x) (1 + s) + b for a modulation (s, b)."""
        scale, shift = self.scale.astype(x.dtype), self.shift.astype(x.dtype)
        if modulation is not None:
            more = 1.0 + modulation[0]
            scale, shift = scale * more, shift * more + modulation[1]
        members = np.repeat(np.eye(self.groups), len(scale) // self.groups, axis=1).astype(x.dtype)
        mean = self._shared(x)
        spread = jnp.repeat(mean, len(scale) // self.groups)
        inverse = jax.lax.rsqrt(self._shared(jnp.square(x - spread)) + _NO_VARIANCE)
        # Sums over the groups, of which one counts: XLA writes sums out. A product it would form
        # again at each pixel, out of so many arrays that the loop is not vectorised.
        factor = jnp.sum(members * inverse[:, None] * scale, axis=0)
        offset = jnp.sum(members * (shift - (mean * inverse)[:, None] * scale), axis=0)
        return x * factor + offset

    def _shared(self, x: Float[Array, "h w c"]) -> Float[Array, " g"]:
        """The mean over pixels and over the channels of each group."""
        # Over pixels first, channel by channel: along the layout, and nothing else to write.
        return jnp.mean(x, axis=(0, 1)).reshape(self.groups, -1).mean(axis=1)


class ResidualBlock(eqx.Module):
    """x + conv(drop(silu(norm(conv(silu(norm(x)))) (1 + s) + b))), (s, b) linear in the condition.

    The last convolution starts at zero: a new block is the identity (or its one-pixel convolution).
    """

    first_norm: GroupNorm
    first: Convolution
    modulation: Dense
    second_norm: GroupNorm
    second: Convolution
    shortcut: Dense | None
    dropout: float = eqx.field(static=True)

    @classmethod
    def random(
        cls, random: Generator, channels: tuple[int, int], condition: int, dropout: float
    ) -> "ResidualBlock":
        """From ``channels[0]`` to ``channels[1]`` channels, under a condition of that length."""
        inputs, outputs = channels
        return cls(
            GroupNorm.ones(inputs),
            Convolution.random(random, channels),
            Dense.random(random, (condition, 2 * outputs), scale=0.1),
            GroupNorm.ones(outputs),
            Convolution.random(random, (outputs, outputs), scale=0.0),
            None if inputs == outputs else Dense.random(random, channels),
            dropout,
        )

    def __call__(
        self, x: Float[Array, "h w _"], condition: Float[Array, " e"], key: Key | None
    ) -> Float[Array, "h w _"]:
        scale, shift = jnp.split(self.modulation(jax.nn.silu(condition)), 2)
        hidden = self.first(jax.nn.silu(self.first_norm(x)))
        hidden = jax.nn.silu(self.second_norm(hidden, (scale, shift)))
        if key is not None and self.dropout > 0.0:
            kept = jax.random.bernoulli(key, 1.0 - self.dropout, hidden.shape)
            hidden = jnp.where(kept, hidden / (1.0 - self.dropout), 0.0)
        return (x if self.shortcut is None else self.shortcut(x)) + self.second(hidden)


class Attention(eqx.Module):
    """x + self-attention over all pixels, in ``heads`` heads; starts as the identity."""

    norm: GroupNorm
    queries: Dense
    output: Dense
    heads: int = eqx.field(static=True)

    @classmethod
    def random(cls, random: Generator, channels: int, heads: int) -> "Attention":
        """``heads`` divides ``channels``."""
        return cls(
            GroupNorm.ones(channels),
            Dense.random(random, (channels, 3 * channels)),
            Dense.random(random, (channels, channels), scale=0.0),
            heads,
        )

    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        height, width, channels = x.shape
        projected = self.queries(self.norm(x)).reshape(height * width, 3, self.heads, -1)
        query, key, value = (projected[:, i] for i in range(3))
        scores = jnp.einsum("ihc,jhc->hij", query, key) * (channels // self.heads) ** -0.5
        mixed = jnp.einsum("hij,jhc->ihc", jax.nn.softmax(scores, axis=-1), value)
        return x + self.output(mixed.reshape(height, width, channels))


def _convolved(
    x: Float[Array, "h w i"], kernel: Float[Array, "k l i o"], stride: int = 1
) -> Float[Array, "_ _ o"]:
    # Same padding for every size: a convolution by 2 starts at the first pixel, as diffusers'.
    sides = [(side // 2, side // 2) for side in kernel.shape[:2]]
    return jax.lax.conv_general_dilated(
        x[None], kernel, (stride, stride), sides, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]


# Winograd's F(4, 3): four outputs of a filter of length 3 by 6 products, not 12, as
# OUT ((KERNEL g) * (IN x)); Lavin & Gray (2016). It costs about a digit of float32.
_FOURS_IN = np.array(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
_FOURS_KERNEL = (
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
)
_FOURS_OUT = np.array(
    [[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)


def _is_cheaper_by_fours(kernel: tuple[int, ...], width: int) -> bool:
    """On a CPU: other convolutions choose for themselves. Small ones are not worth compiling."""
    return (
        jax.default_backend() == "cpu" and kernel[0] == 3 and min(kernel[2:]) >= 16 and width >= 12
    )


@jax.custom_jvp
def _convolved_by_fours(
    x: Float[Array, "h w i"], kernel: Float[Array, "3 3 i o"]
) -> Float[Array, "h w o"]:
    """``_convolved`` with half its products: by F(4, 3) along rows, as it is along columns.

    Where derivatives are wanted it is ``_convolved``, whose derivatives take as long and compile
    in half the time.
    """
    height, width, _ = x.shape
    blocks = -(-width // 4)
    padded = jnp.pad(x, ((0, 0), (1, 1 + 4 * blocks - width), (0, 0)))
    inputs = [padded[:, k : k + 4 * blocks - 3 : 4] for k in range(6)]
    kernels = jnp.einsum("ps,rsio->prio", jnp.asarray(_FOURS_KERNEL, x.dtype), kernel)
    products = [
        _convolved(_combined(row, inputs), kernels[p][:, None]) for p, row in enumerate(_FOURS_IN)
    ]
    out = jnp.stack([_combined(row, products) for row in _FOURS_OUT], axis=2)
    return out.reshape(height, 4 * blocks, -1)[:, :width]


@_convolved_by_fours.defjvp
def _(primals, tangents):
    return jax.jvp(_convolved, primals, tangents)


def _combined(weights: Float[np.ndarray, " k"], terms: Sequence[Array]) -> Array:
    """Σ w_k x_k over the weights that are not 0."""
    return sum(
        (float(w) * term for w, term in zip(weights, terms, strict=True) if w),
        start=jnp.zeros((), terms[0].dtype),
    )


def upsampled(x: Float[Array, "_ _ c"]) -> Float[Array, "_ _ c"]:
    """Every pixel four times."""
    return jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)


def wave_features(value: Float[Array, ""], count: int) -> Float[Array, " count"]:
    """Sines and cosines of ``value`` at frequencies from 1 down to 1e-4, ``count`` in all."""
    half = count // 2
    frequencies = jnp.exp(-jnp.log(1e4) * jnp.arange(half) / half).astype(value.dtype)
    return jnp.concatenate([jnp.sin(value * frequencies), jnp.cos(value * frequencies)])


def _normal(random: Generator, shape: tuple[int, ...], deviation: float) -> Array:
    """Drawn by NumPy: in JAX each of dozens of shapes would be compiled."""
    return jnp.asarray((deviation * random.normal(size=shape)).astype(np.float32))


def _full(count: int, value: float) -> Array:
    return jnp.asarray(np.full(count, value, np.float32))
