"""The U-Net of an image diffusion model, conditioned on the noise level and on a label."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from numpy.random import Generator

from brenier._types import Array, Float, Int, Key, Scalar
from brenier.images._layers import (
    Attention,
    Convolution,
    Dense,
    GroupNorm,
    Resampling,
    ResidualBlock,
    frequencies,
    normal,
    rounded_frequencies,
    upsampled,
    wave_features,
)
from brenier.images._settings import Timesteps, UNetSettings, changed_fields, check_settings
from brenier.numerics import numpy_generator

# Our own networks are told the noise level in [0, 1000], like the step numbers of a DDPM: the
# frequencies of ``wave_features`` are made for that range.
_STEPS = 1000.0


class UNetStep(eqx.Module):
    """A residual block, followed by self-attention at the resolutions that have it."""

    block: ResidualBlock
    attention: Attention | None

    def __call__(
        self, x: Float[Array, "h w _"], condition: Float[Array, " e"], key: Key | None
    ) -> Float[Array, "h w _"]:
        hidden = self.block(x, condition, key)
        return hidden if self.attention is None else self.attention(hidden)


Layer: TypeAlias = UNetStep | ResidualBlock | Convolution


class UNet(eqx.Module):
    """A U-Net f(a, x, label) from images (h, w, c) to images, the network of an ``ImageModel``.

    On the way down, residual blocks at each resolution, and a convolution of stride 2 (or a
    residual block that averages) to the next. On the way up, each block is also given the
    activation of the way down at its place. There is self-attention at the resolutions of
    ``settings.attention`` and in the middle. The noise level a enters as sines and cosines of
    1000 (2/π) arccos a, the same for every schedule, or of the step of ``settings.timesteps``. Ho,
    Jain & Abbeel (2020); the condition scales and shifts as in Dhariwal & Nichol (2021), whose
    networks, used by KRCO22, are among the settings: ``io.load_guided_diffusion`` reads them.

    Not for points that are not images: a ``maps.ResidualNetwork`` is cheaper there.

    >>> import jax
    >>> net = UNet.random(jax.random.key(0), UNetSettings((8, 8, 1), width=8, multipliers=(1,)))
    >>> jax.eval_shape(net, jax.numpy.array(0.5), jax.numpy.zeros((8, 8, 1))).shape
    (8, 8, 1)
    """

    embedding: tuple[Dense, Dense]
    labels: Float[Array, "_ e"] | None
    stem: Convolution
    down: tuple[tuple[UNetStep, ...], ...]
    halving: tuple[Convolution | ResidualBlock, ...]
    middle: tuple[UNetStep, UNetStep]
    up: tuple[tuple[UNetStep, ...], ...]
    doubling: tuple[Convolution | ResidualBlock, ...]
    norm: GroupNorm
    head: Convolution
    settings: UNetSettings = eqx.field(static=True)

    @classmethod
    def random(cls, key: Key, settings: UNetSettings) -> "UNet":
        """An untrained network, whose output is 0; not inside ``jit``.

        Args:
            key: draws the weights.
            settings: its architecture.

        Raises:
            ValueError: settings that do not go together; the first is named.
        """
        check_settings(settings)
        return _built(settings, numpy_generator(key))

    @classmethod
    def shapes(cls, settings: UNetSettings) -> "UNet":
        """A network of the shapes of its weights, without weights: it takes no memory.

        Raises:
            ValueError: as ``random``.

        >>> UNet.shapes(UNetSettings((8, 8, 1), width=8)).stem.kernel.shape
        (3, 3, 1, 8)
        """
        check_settings(settings)
        return jax.eval_shape(lambda: _built(settings, None))

    def with_settings(self, settings: UNetSettings) -> "UNet":
        """The same weights in another architecture of the same shapes: other dropout, other heads.

        Raises:
            ValueError: settings that do not go together, or with weights of other shapes.

        >>> import jax
        >>> net = UNet.random(jax.random.key(0), UNetSettings((8, 8, 1), width=8))
        >>> net.with_settings(UNetSettings((8, 8, 1), width=8, dropout=0.1)).settings.dropout
        0.1
        """
        skeleton = UNet.shapes(settings)
        own, other = jax.tree.leaves(self), jax.tree.leaves(skeleton)
        if [leaf.shape for leaf in own] != [leaf.shape for leaf in other]:
            raise ValueError(
                f"settings: got other {changed_fields(self.settings, settings)}, which make "
                "weights of other shapes; wants settings that keep them."
            )
        return jax.tree.unflatten(jax.tree.structure(skeleton), own)

    def __call__(
        self,
        signal: Scalar,
        image: Float[Array, "h w c"],
        label: Int[Array, ""] | None = None,
        *,
        key: Key | None = None,
        checkpointed: bool = False,
    ) -> Float[Array, "h w c"]:
        """f(a, x, label) at one image.

        Args:
            signal: a in [0, 1].
            image: of shape ``settings.shape``.
            label: below ``classes``, or ``classes`` (or None) for none.
            key: draws the dropout; None, outside training, for no dropout.
            checkpointed: whether derivatives compute each block's activations again.

        Raises:
            ValueError: no label, for a network that knows no image without one.
        """
        condition = self._condition(jnp.asarray(signal), label, image.dtype)
        keys = _keys(key)

        def run(layer: Layer, x: Array) -> Array:
            through = eqx.filter_checkpoint(_run) if checkpointed else _run
            return through(layer, x, condition, next(keys))

        hidden = self.stem(image)
        passed = [hidden]
        for level, steps in enumerate(self.down):
            for step in steps:
                hidden = run(step, hidden)
                passed.append(hidden)
            if level < len(self.halving):
                hidden = run(self.halving[level], hidden)
                passed.append(hidden)
        for step in self.middle:
            hidden = run(step, hidden)
        for level, steps in enumerate(self.up):
            for step in steps:
                hidden = run(step, jnp.concatenate([hidden, passed.pop()], axis=-1))
            if level < len(self.doubling):
                layer = self.doubling[level]
                hidden = run(layer, upsampled(hidden) if isinstance(layer, Convolution) else hidden)
        # The first half of a head with learned variances is the prediction.
        return self.head.first(image.shape[-1])(jax.nn.silu(self.norm(hidden)))

    def _condition(
        self, signal: Scalar, label: Int[Array, ""] | None, dtype: Any
    ) -> Float[Array, " e"]:
        first, second = self.embedding
        condition = second(jax.nn.silu(first(self._waves(signal, dtype))))
        if self.labels is None:
            return condition
        if label is None and not self.settings.unlabelled:
            raise ValueError(
                f"label: got None; wants 0 to {self.settings.classes - 1}: the network knows no "
                "image without a label."
            )
        chosen = jnp.asarray(self.settings.classes if label is None else label)
        return condition + self.labels.astype(dtype)[chosen]

    def _waves(self, signal: Scalar, dtype: Any) -> Float[Array, " _"]:
        width, steps = self.settings.width, self.settings.timesteps
        if steps is not None:
            return wave_features(steps.at(signal, dtype), rounded_frequencies(width))
        # arccos a, by arctan2: that and its derivative are accurate at both ends of [0, 1].
        signal = signal.astype(dtype)
        angle = jnp.arctan2(jnp.sqrt(jnp.maximum(1.0 - signal**2, 0.0)), signal)
        return wave_features(_STEPS * angle / (0.5 * jnp.pi), frequencies(width))


def _built(settings: UNetSettings, random: Generator | None) -> UNet:
    """A network of these settings, which have been checked; all 0 without a generator."""
    width, colours, classes = settings.width, settings.shape[2], settings.classes
    sizes, heights, condition = settings.sizes, settings.heights, 4 * width

    def block(channels: tuple[int, int], resampling: Resampling = "none") -> ResidualBlock:
        return ResidualBlock.random(
            random,
            channels,
            condition,
            settings.dropout,
            groups=settings.groups,
            scales=settings.modulation == "scale and shift",
            resampling=resampling,
        )

    def step(channels: tuple[int, int], attentive: bool, up: bool = False) -> UNetStep:
        first = block(channels)
        heads = settings.heads_of(channels[1], up=up)
        if not attentive:
            return UNetStep(first, None)
        return UNetStep(first, Attention.random(random, channels[1], heads, groups=settings.groups))

    def resampled(channels: int, way: Resampling) -> Convolution | ResidualBlock:
        if settings.resampling == "residual":
            return block((channels, channels), way)
        stride = 2 if way == "down" else 1
        return Convolution.random(random, (channels, channels), stride=stride)

    embedding = (
        Dense.random(random, (width, condition)),
        Dense.random(random, (condition, condition)),
    )
    rows = classes + (1 if settings.unlabelled else 0)
    labels = normal(random, (rows, condition), 1.0) if classes else None
    now = width if settings.timesteps is None else sizes[0]
    stem = Convolution.random(random, (colours, now))
    down, halving, skips = [], [], [now]
    for level, (size, height) in enumerate(zip(sizes, heights, strict=True)):
        steps = []
        for _ in range(settings.blocks):
            steps.append(step((now, size), height in settings.attention))
            now = size
            skips.append(now)
        down.append(tuple(steps))
        if level + 1 < len(sizes):
            halving.append(resampled(now, "down"))
            skips.append(now)
    middle = (step((now, now), True), step((now, now), False))
    up, doubling = [], []
    for size, height in zip(reversed(sizes), reversed(heights), strict=True):
        steps = []
        for _ in range(settings.blocks + 1):
            steps.append(step((now + skips.pop(), size), height in settings.attention, up=True))
            now = size
        up.append(tuple(steps))
        if height != heights[0]:
            doubling.append(resampled(now, "up"))
    outputs = 2 * colours if settings.variance else colours
    return UNet(
        embedding,
        labels,
        stem,
        tuple(down),
        tuple(halving),
        middle,
        tuple(up),
        tuple(doubling),
        GroupNorm.ones(now, settings.groups),
        Convolution.random(random, (now, outputs), scale=0.0),
        settings,
    )


def _run(
    layer: Layer, x: Float[Array, "h w _"], condition: Float[Array, " e"], key: Key | None
) -> Float[Array, "_ _ _"]:
    return layer(x) if isinstance(layer, Convolution) else layer(x, condition, key)


NETWORK_PARTS = (
    Attention,
    Convolution,
    Dense,
    GroupNorm,
    ResidualBlock,
    Timesteps,
    UNet,
    UNetSettings,
    UNetStep,
)
"""The classes that a network is made of, besides arrays: files may name these and no others."""


def _keys(key: Key | None) -> Iterator[Key | None]:
    """A new key each time, or None each time."""
    while True:
        if key is None:
            yield None
        else:
            key, now = jax.random.split(key)
            yield now
