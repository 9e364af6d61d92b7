"""Layers by the names that their weights have in the files of diffusers, on one image (h, w, c)."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Key
from brenier.images._layers import Convolution, Dense, GroupNorm
from brenier.images._precision import multiplied

# The blur of Song et al. (2021) where images change their resolution.
_BLUR = np.outer([1.0, 3.0, 3.0, 1.0], [1.0, 3.0, 3.0, 1.0]) / 64.0


class Layers:
    """Layers that take their weights by name.

    Args:
        weights: channels out last; None for zeros, where only names and shapes are asked for.
        seen: gets the name and shape of every weight that is taken.
        key: draws the dropout; None, outside training, for none.
        checkpointed: whether derivatives compute each block's activations again.
    """

    def __init__(
        self,
        weights: Mapping[str, Array] | None,
        seen: dict[str, tuple[int, ...]] | None = None,
        *,
        key: Key | None = None,
        checkpointed: bool = False,
    ):
        self.weights, self.seen = weights, {} if seen is None else seen
        self.key, self.checkpointed = key, checkpointed

    def block(
        self, block: Callable[[Array, Array, Key | None], Array], x: Array, condition: Array
    ) -> Array:
        """A block at x and a condition, with a key of its own."""
        key = None
        if self.key is not None:
            self.key, key = jax.random.split(self.key)
        return (jax.checkpoint(block) if self.checkpointed else block)(x, condition, key)

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        """A weight."""
        self.seen[name] = shape
        return jnp.zeros(shape, jnp.float32) if self.weights is None else self.weights[name]

    def _pair(self, name: str, shape: tuple[int, ...]) -> tuple[Array, Array]:
        return self.take(f"{name}.weight", shape), self.take(f"{name}.bias", shape[-1:])

    def dense(self, name: str, x: Float[Array, "*_ i"], outputs: int) -> Float[Array, "*_ o"]:
        """x W + b."""
        return Dense(*self._pair(name, (x.shape[-1], outputs)))(x)

    def convolved(
        self, name: str, x: Float[Array, "h w i"], outputs: int, size: int = 3
    ) -> Float[Array, "h w o"]:
        """A convolution that keeps the size of the image."""
        return Convolution(*self._pair(name, (size, size, x.shape[-1], outputs)), 1)(x)

    def halved(self, name: str, x: Float[Array, "_ _ c"], padding: int) -> Float[Array, "_ _ c"]:
        """A convolution of stride 2; without padding, one row and column of zeros at the end."""
        channels = x.shape[-1]
        kernel, bias = self._pair(name, (3, 3, channels, channels))
        sides = [(padding, padding) if padding else (0, 1)] * 2
        product = partial(_strided, sides=sides)
        return multiplied(product, x, kernel.astype(x.dtype)) + bias.astype(x.dtype)

    def normed(
        self, name: str, x: Float[Array, "h w c"], groups: int, least: float
    ) -> Float[Array, "h w c"]:
        """A group norm, with ``least`` added to each variance."""
        if groups < 1 or x.shape[-1] % groups:
            raise ValueError(
                f"settings: got {groups} groups for the {x.shape[-1]} channels of {name}; wants a "
                "divisor."
            )
        return GroupNorm(*self._pair(name, x.shape[-1:]), groups, least)(x)

    def attended(
        self,
        name: str,
        x: Float[Array, "h w c"],
        head: int,
        groups: int | None,
        least: float,
        rescale: float,
    ) -> Float[Array, "h w c"]:
        """(x + self-attention over all pixels) / rescale, in heads of ``head`` channels."""
        height, width, channels = x.shape
        heads = channels // head
        if not heads:
            raise ValueError(
                f"attention_head_dim: got {head} for the {channels} channels of {name}; wants less."
            )
        shown = x if groups is None else self.normed(f"{name}.group_norm", x, groups, least)
        flat = shown.reshape(height * width, channels)
        query, key, value = (
            self.dense(f"{name}.to_{part}", flat, heads * head).reshape(-1, heads, head)
            for part in "qkv"
        )
        scores = multiplied(partial(jnp.einsum, "ihc,jhc->hij"), query, key) * head**-0.5
        shares = jax.nn.softmax(scores, axis=-1)
        mixed = multiplied(partial(jnp.einsum, "hij,jhc->ihc"), shares, value)
        found = self.dense(f"{name}.to_out.0", mixed.reshape(height * width, -1), channels)
        return (x + found.reshape(x.shape)) / rescale


def _strided(x: Array, kernel: Array, *, sides: list[tuple[int, int]]) -> Array:
    return jax.lax.conv_general_dilated(
        x[None], kernel, (2, 2), sides, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]


def activation(name: str) -> Callable[[Array], Array]:
    """An activation by diffusers' name; GELU is the exact one."""
    known: dict[str, Callable[[Array], Array]] = {
        "silu": jax.nn.silu,
        "swish": jax.nn.silu,
        "mish": jax.nn.mish,
        "gelu": partial(jax.nn.gelu, approximate=False),
        "relu": jax.nn.relu,
    }
    return known[name.lower()]


def pooled(x: Float[Array, "_ _ c"]) -> Float[Array, "_ _ c"]:
    """The means over squares of four pixels."""
    height, width, channels = x.shape
    even = x[: height // 2 * 2, : width // 2 * 2]
    return even.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))


def blurred_down(x: Float[Array, "_ _ c"]) -> Float[Array, "_ _ c"]:
    """Every second pixel of the blurred image, with zeros around it."""
    return _blurred(x, _BLUR, (2, 2), (1, 1), ((1, 1), (1, 1)))


def blurred_up(x: Float[Array, "_ _ c"]) -> Float[Array, "_ _ c"]:
    """Zeros between the pixels, then four times the blur."""
    return _blurred(x, 4.0 * _BLUR, (1, 1), (2, 2), ((2, 2), (2, 2)))


def _blurred(
    x: Array,
    kernel: np.ndarray,
    stride: tuple[int, int],
    spread: tuple[int, int],
    sides: tuple[tuple[int, int], tuple[int, int]],
) -> Array:
    """The same two-dimensional filter on every channel."""
    images = x.transpose(2, 0, 1)[..., None]
    found = jax.lax.conv_general_dilated(
        images,
        jnp.asarray(kernel[..., None, None], x.dtype),
        stride,
        sides,
        lhs_dilation=spread,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return found[..., 0].transpose(1, 2, 0)
