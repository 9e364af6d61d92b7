"""The layers of an image network, each on one image (height, width, channels): vmap for batches.

Channels come last: the layout in which XLA's convolutions are fast on a CPU, and work on a GPU.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.random import Generator

from brenier._types import Array, Float, Key
from brenier.images._precision import multiplied
from brenier.images._winograd import convolve

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
        product = partial(convolve, stride=self.stride)
        convolved = multiplied(product, x, self.kernel.astype(x.dtype))
        return convolved + self.bias.astype(x.dtype)


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
        return multiplied(jnp.matmul, x, self.weight.astype(x.dtype)) + self.bias.astype(x.dtype)


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
        # Row g is 1 on the channels of group g and 0 elsewhere.
        members = np.repeat(np.eye(self.groups), len(scale) // self.groups, axis=1).astype(x.dtype)
        mean = self._shared(x)
        spread = jnp.repeat(mean, len(scale) // self.groups)
        inverse = jax.lax.rsqrt(self._shared(jnp.square(x - spread)) + _LEAST_VARIANCE)
        # The statistics of a channel's group, picked by a sum over all groups in which the other
        # terms are 0. XLA stores the result of a sum. Without one it would fuse these products into
        # the loop over pixels, with too many arrays for that loop to be vectorised.
        factor = jnp.sum(members * inverse[:, None] * scale, axis=0)
        offset = jnp.sum(members * (shift - (mean * inverse)[:, None] * scale), axis=0)
        return x * factor + offset

    def _shared(self, x: Float[Array, "h w c"]) -> Float[Array, " g"]:
        """The mean over pixels and over the channels of each group."""
        # Over pixels first, for each channel: this reads memory in order, without an intermediate.
        return jnp.mean(x, axis=(0, 1)).reshape(self.groups, -1).mean(axis=1)


class ResidualBlock(eqx.Module):
    """x + conv(drop(silu(norm(conv(silu(norm(x)))) (1 + s) + b))), (s, b) linear in the condition.

    Where the number of channels changes, the first x goes through a dense layer, pixel by pixel.
    The last convolution starts at zero, so that a new block is x, or that dense layer.
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
        """From ``channels[0]`` to ``channels[1]`` channels, given a condition of that length."""
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
        """A layer for images of so many channels, which ``heads`` divides."""
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
        scores = (
            multiplied(partial(jnp.einsum, "ihc,jhc->hij"), query, key)
            * (channels // self.heads) ** -0.5
        )
        shares = jax.nn.softmax(scores, axis=-1)
        mixed = multiplied(partial(jnp.einsum, "hij,jhc->ihc"), shares, value)
        return x + self.output(mixed.reshape(height, width, channels))


def upsampled(x: Float[Array, "_ _ c"]) -> Float[Array, "_ _ c"]:
    """The image at twice the height and width: every pixel becomes a square of four."""
    return jnp.repeat(jnp.repeat(x, 2, axis=0), 2, axis=1)


def wave_features(value: Float[Array, ""], count: int) -> Float[Array, " count"]:
    """Sines and cosines of ``value`` at frequencies from 1 down to 1e-4, ``count`` in all."""
    half = count // 2
    frequencies = jnp.exp(-jnp.log(1e4) * jnp.arange(half) / half).astype(value.dtype)
    return jnp.concatenate([jnp.sin(value * frequencies), jnp.cos(value * frequencies)])


def _normal(random: Generator, shape: tuple[int, ...], deviation: float) -> Array:
    """Normal weights, drawn by NumPy: JAX would compile a program for each of dozens of shapes."""
    return jnp.asarray((deviation * random.normal(size=shape)).astype(np.float32))


def _full(count: int, value: float) -> Array:
    return jnp.asarray(np.full(count, value, np.float32))
