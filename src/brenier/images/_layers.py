"""The layers of an image network, each on one image (height, width, channels): vmap for batches.

Channels come last: the layout in which XLA's convolutions are fast on a CPU, and work on a GPU.
"""

from functools import partial
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.random import Generator

from brenier._checks import to_device
from brenier._types import Array, Float, Key
from brenier.images._precision import multiplied
from brenier.images._winograd import convolve

Resampling: TypeAlias = Literal["none", "down", "up"]
"""What a residual block does to the resolution."""

# At least so many channels are normalised together.
_GROUP = 8
# Added to each variance, so that a constant image can be normalised.
_LEAST_VARIANCE = 1e-5


class Convolution(eqx.Module):
    """A convolution that keeps the size of the image, or divides it by its stride."""

    kernel: Float[Array, "k k i o"]
    bias: Float[Array, " o"]
    stride: int = eqx.field(static=True)

    @classmethod
    def random(
        cls,
        random: Generator | None,
        channels: tuple[int, int],
        *,
        size: int = 3,
        stride: int = 1,
        scale: float = 1.0,
    ) -> "Convolution":
        """Normal weights of variance scale² / inputs, no bias."""
        shape = (size, size, *channels)
        deviation = scale / (size * size * channels[0]) ** 0.5
        return cls(normal(random, shape, deviation), _full(channels[1], 0.0), stride)

    def __call__(self, x: Float[Array, "_ _ _"]) -> Float[Array, "_ _ _"]:
        product = partial(convolve, stride=self.stride)
        convolved = multiplied(product, x, self.kernel.astype(x.dtype))
        return convolved + self.bias.astype(x.dtype)

    def first(self, channels: int) -> "Convolution":
        """The same, to its first channels only."""
        return Convolution(self.kernel[..., :channels], self.bias[:channels], self.stride)


class Dense(eqx.Module):
    """x W + b over the last axis."""

    weight: Float[Array, "i o"]
    bias: Float[Array, " o"]

    @classmethod
    def random(
        cls, random: Generator | None, channels: tuple[int, int], *, scale: float = 1.0
    ) -> "Dense":
        """Normal weights of variance scale² / inputs, no bias."""
        weight = normal(random, channels, scale / channels[0] ** 0.5)
        return cls(weight, _full(channels[1], 0.0))

    def __call__(self, x: Float[Array, "*batch i"]) -> Float[Array, "*batch o"]:
        return multiplied(jnp.matmul, x, self.weight.astype(x.dtype)) + self.bias.astype(x.dtype)


class GroupNorm(eqx.Module):
    """Each group of channels with mean 0 and variance 1 over the image, then scaled and shifted."""

    scale: Float[Array, " c"]
    shift: Float[Array, " c"]
    groups: int = eqx.field(static=True)
    least: float = eqx.field(static=True, default=_LEAST_VARIANCE)

    @classmethod
    def ones(cls, channels: int, groups: int | None = None) -> "GroupNorm":
        """Scale 1, shift 0; in the most groups of at least 8 channels (32 at most) by default."""
        if groups is None:
            most = min(32, max(1, channels // _GROUP))
            groups = next(g for g in range(most, 0, -1) if channels % g == 0)
        return cls(_full(channels, 1.0), _full(channels, 0.0), groups)

    def __call__(
        self, x: Float[Array, "h w c"], modulation: tuple[Array, Array] | None = None
    ) -> Float[Array, "h w c"]:
        """norm(x), or norm(x) (1 + s) + b for a modulation (s, b); in float32 at least."""
        given, x = x.dtype, x.astype(jnp.promote_types(x.dtype, jnp.float32))
        scale, shift = self.scale.astype(x.dtype), self.shift.astype(x.dtype)
        if modulation is not None:
            more = 1.0 + modulation[0]
            scale, shift = scale * more, shift * more + modulation[1]
        # Row g is 1 on the channels of group g and 0 elsewhere.
        members = np.repeat(np.eye(self.groups), len(scale) // self.groups, axis=1).astype(x.dtype)
        mean = self._shared(x)
        spread = jnp.repeat(mean, len(scale) // self.groups)
        inverse = jax.lax.rsqrt(self._shared(jnp.square(x - spread)) + self.least)
        # The statistics of a channel's group, picked by a sum over all groups in which the other
        # terms are 0. XLA stores the result of a sum. Without one it would fuse these products into
        # the loop over pixels, with too many arrays for that loop to be vectorised.
        factor = jnp.sum(members * inverse[:, None] * scale, axis=0)
        offset = jnp.sum(members * (shift - (mean * inverse)[:, None] * scale), axis=0)
        return (x * factor + offset).astype(given)

    def _shared(self, x: Float[Array, "h w c"]) -> Float[Array, " g"]:
        """The mean over pixels and over the channels of each group."""
        # Over pixels first, for each channel: this reads memory in order, without an intermediate.
        return jnp.mean(x, axis=(0, 1)).reshape(self.groups, -1).mean(axis=1)


class ResidualBlock(eqx.Module):
    """x + conv(drop(silu(norm(conv(silu(norm(x)))) (1 + s) + b))), (s, b) linear in the condition.

    Where it only shifts, b is added before the second norm. Where the number of channels changes,
    the first x goes through a dense layer, pixel by pixel. Where the resolution changes, both the
    first x and what the first convolution gets are averaged over squares of four pixels, or every
    pixel becomes such a square. The last convolution starts at zero, so that a new block is x, or
    that dense layer.
    """

    first_norm: GroupNorm
    first: Convolution
    modulation: Dense
    second_norm: GroupNorm
    second: Convolution
    shortcut: Dense | None
    dropout: float = eqx.field(static=True)
    scales: bool = eqx.field(static=True, default=True)
    resampling: Resampling = eqx.field(static=True, default="none")

    @classmethod
    def random(
        cls,
        random: Generator | None,
        channels: tuple[int, int],
        condition: int,
        dropout: float,
        *,
        groups: int | None = None,
        scales: bool = True,
        resampling: Resampling = "none",
    ) -> "ResidualBlock":
        """From ``channels[0]`` to ``channels[1]`` channels, given a condition of that length."""
        inputs, outputs = channels
        return cls(
            GroupNorm.ones(inputs, groups),
            Convolution.random(random, channels),
            Dense.random(random, (condition, (2 if scales else 1) * outputs), scale=0.1),
            GroupNorm.ones(outputs, groups),
            Convolution.random(random, (outputs, outputs), scale=0.0),
            None if inputs == outputs else Dense.random(random, channels),
            dropout,
            scales,
            resampling,
        )

    def __call__(
        self, x: Float[Array, "h w _"], condition: Float[Array, " e"], key: Key | None
    ) -> Float[Array, "_ _ _"]:
        told = self.modulation(jax.nn.silu(condition))
        hidden = self.first(self._resampled(jax.nn.silu(self.first_norm(x))))
        if self.scales:
            scale, shift = jnp.split(told, 2)
            hidden = self.second_norm(hidden, (scale, shift))
        else:
            hidden = self.second_norm(hidden + told)
        hidden = dropped(jax.nn.silu(hidden), self.dropout, key)
        straight = self._resampled(x)
        if self.shortcut is not None:
            straight = self.shortcut(straight)
        return straight + self.second(hidden)

    def _resampled(self, x: Float[Array, "h w c"]) -> Float[Array, "_ _ c"]:
        if self.resampling == "down":
            return averaged(x)
        return upsampled(x) if self.resampling == "up" else x


class Attention(eqx.Module):
    """x + self-attention over all pixels, in ``heads`` heads; starts as the identity."""

    norm: GroupNorm
    queries: Dense
    output: Dense
    heads: int = eqx.field(static=True)

    @classmethod
    def random(
        cls, random: Generator | None, channels: int, heads: int, *, groups: int | None = None
    ) -> "Attention":
        """A layer for images of so many channels, which ``heads`` divides."""
        return cls(
            GroupNorm.ones(channels, groups),
            Dense.random(random, (channels, 3 * channels)),
            Dense.random(random, (channels, channels), scale=0.0),
            heads,
        )

    def __call__(self, x: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
        height, width, channels = x.shape
        projected = self.queries(self.norm(x)).reshape(height * width, 3, self.heads, -1)
        query, key, value = (projected[:, i] for i in range(3))
        query = query * (channels // self.heads) ** -0.5
        scores = multiplied(partial(jnp.einsum, "ihc,jhc->hij"), query, key)
        shares = jax.nn.softmax(scores, axis=-1)
        mixed = multiplied(partial(jnp.einsum, "hij,jhc->ihc"), shares, value)
        return x + self.output(mixed.reshape(height, width, channels))


def dropped(x: Float[Array, "h w c"], share: float, key: Key | None) -> Float[Array, "h w c"]:
    """Each number is 0 with this probability, and else larger, by as much; x without a key."""
    if key is None or share == 0.0:
        return x
    kept = jax.random.bernoulli(key, 1.0 - share, x.shape)
    return jnp.where(kept, x / (1.0 - share), 0.0)


def upsampled(x: Float[Array, "_ _ c"]) -> Float[Array, "_ _ c"]:
    """The image at twice the height and width: every pixel becomes a square of four."""
    return jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)


def averaged(x: Float[Array, "h w c"]) -> Float[Array, "_ _ c"]:
    """The image at half the height and width: every square of four pixels becomes its mean."""
    # By sums of slices: for a mean over axes XLA keeps an image of its divisor.
    left, right = x[:, ::2] * 0.25, x[:, 1::2] * 0.25
    return (left[::2] + left[1::2]) + (right[::2] + right[1::2])


def wave_features(
    value: Float[Array, ""], frequencies: Float[np.ndarray, " k"]
) -> Float[Array, " _"]:
    """Sines and cosines of ``value`` at these frequencies."""
    angles = value * jnp.asarray(frequencies, value.dtype)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])


def frequencies(count: int) -> Float[np.ndarray, " k"]:
    """From 1 down to 1e-4, for ``count`` sines and cosines in all."""
    half = count // 2
    return np.exp(-np.log(1e4) * np.arange(half) / half)


def rounded_frequencies(count: int) -> Float[np.ndarray, " k"]:
    """``frequencies`` as PyTorch rounds them in float32, for networks that were trained so.

    At t = 1000 their last digits move an angle by 1e-4.
    """
    half = count // 2
    exponents = np.float32(-np.log(1e4)) * np.arange(half, dtype=np.float32) / np.float32(half)
    return np.exp(exponents.astype(float)).astype(np.float32).astype(float)


def normal(random: Generator | None, shape: tuple[int, ...], deviation: float) -> Array:
    """Normal weights, drawn by NumPy: JAX would compile a program for each of dozens of shapes.

    0 without a generator, where only shapes are asked for (``jax.eval_shape``).
    """
    if random is None:
        return jnp.zeros(shape, np.float32)
    return to_device((deviation * random.normal(size=shape)).astype(np.float32))


def _full(count: int, value: float) -> Array:
    return to_device(np.full(count, value, np.float32))
