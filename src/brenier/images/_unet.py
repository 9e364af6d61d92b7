"""The U-Net of an image diffusion model, conditioned on the noise level and on a label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least
from brenier._types import Array, Float, Int, Key, Scalar
from brenier.images._layers import (
    Attention,
    Convolution,
    Dense,
    GroupNorm,
    ResidualBlock,
    upsampled,
    wave_features,
)
from brenier.numerics import numpy_generator

# The noise level is scaled to [0, 1000], like the step numbers of a DDPM: the frequencies of
# ``wave_features`` are made for that range.
_STEPS = 1000.0
_SIDES = (8, 256)


@dataclass(frozen=True)
class UNetSettings:
    """The architecture of a ``UNet``.

    Args:
        shape: (height, width, channels) of the images; sides of 8 to 256 pixels that can be halved
            ``len(multipliers) - 1`` times.
        width: channels at full resolution.
        multipliers: of the width, one for each resolution, finest first.
        blocks: residual blocks at each resolution (one more on the way up).
        attention: heights of the resolutions that have self-attention.
        heads: number of attention heads; divides the channels of every resolution.
        dropout: probability that an activation is set to 0 in training.
        classes: number of labels; 0 for none. One more, ``classes``, means "no label".

    >>> UNetSettings((28, 28, 1), width=16, classes=10).multipliers
    (1, 2)
    """

    shape: tuple[int, int, int] = (8, 8, 1)
    width: int = 32
    multipliers: Sequence[int] = (1, 2)
    blocks: int = 1
    attention: Sequence[int] = ()
    heads: int = 1
    dropout: float = 0.0
    classes: int = 0

    def __post_init__(self):
        # JAX hashes the settings of a network, and lists have no hash.
        for name in ("multipliers", "attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def fewest_weights(self) -> int:
        """What the network has at least: the weights of its widest layers, by formula.

        >>> UNetSettings().fewest_weights < 200_000
        True
        """
        blocks = 9 * (2 * self.blocks + 1) * sum((self.width * m) ** 2 for m in self.multipliers)
        ends = 18 * self.shape[2] * self.width
        return blocks + ends + 4 * self.width * (5 * self.width + self.classes)


class UNetStep(eqx.Module):
    """A residual block, followed by self-attention at the resolutions that have it."""

    block: ResidualBlock
    attention: Attention | None

    def __call__(
        self, x: Float[Array, "h w _"], condition: Float[Array, " e"], key: Key | None
    ) -> Float[Array, "h w _"]:
        hidden = self.block(x, condition, key)
        return hidden if self.attention is None else self.attention(hidden)


class UNet(eqx.Module):
    """A U-Net f(a, x, label) from images (h, w, c) to images, the network of an ``ImageModel``.

    On the way down, residual blocks at each resolution, and a convolution of stride 2 to the next.
    On the way up, each block is also given the activation of the way down at its place. There is
    self-attention at the resolutions of ``settings.attention`` and in the middle. The noise level
    a enters as sines and cosines of 1000 (2/π) arccos a, the same for every schedule. Ho, Jain &
    Abbeel (2020); the condition scales and shifts as in Dhariwal & Nichol (2021), whose models
    KRCO22 uses.

    Not for points that are not images: a ``maps.ResidualNetwork`` is cheaper there.

    >>> import jax
    >>> net = UNet.random(jax.random.key(0), UNetSettings((8, 8, 1), width=8, multipliers=(1,)))
    >>> net(jax.numpy.array(0.5), jax.numpy.zeros((8, 8, 1))).shape
    (8, 8, 1)
    """

    embedding: tuple[Dense, Dense]
    labels: Float[Array, "_ e"] | None
    stem: Convolution
    down: tuple[tuple[UNetStep, ...], ...]
    halving: tuple[Convolution, ...]
    middle: tuple[UNetStep, UNetStep]
    up: tuple[tuple[UNetStep, ...], ...]
    doubling: tuple[Convolution, ...]
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
        _check(settings)
        random = numpy_generator(key)
        width, colours, classes = settings.width, settings.shape[2], settings.classes
        condition = 4 * width
        sizes = [width * m for m in settings.multipliers]
        heights = [settings.shape[0] >> level for level in range(len(sizes))]

        def step(channels: tuple[int, int], height: int, middle: bool = False) -> UNetStep:
            block = ResidualBlock.random(random, channels, condition, settings.dropout)
            if not middle and height not in settings.attention:
                return UNetStep(block, None)
            return UNetStep(block, Attention.random(random, channels[1], settings.heads))

        embedding = (
            Dense.random(random, (width, condition)),
            Dense.random(random, (condition, condition)),
        )
        table = random.normal(size=(classes + 1, condition)).astype(np.float32)
        labels = jnp.asarray(table) if classes else None
        stem = Convolution.random(random, (colours, width))
        down, halving, skips, now = [], [], [width], width
        for level, (size, height) in enumerate(zip(sizes, heights, strict=True)):
            steps = []
            for _ in range(settings.blocks):
                steps.append(step((now, size), height))
                now = size
                skips.append(now)
            down.append(tuple(steps))
            if level + 1 < len(sizes):
                halving.append(Convolution.random(random, (now, now), stride=2))
                skips.append(now)
        middle = (step((now, now), heights[-1], middle=True), step((now, now), -1))
        up, doubling = [], []
        for size, height in zip(reversed(sizes), reversed(heights), strict=True):
            steps = []
            for _ in range(settings.blocks + 1):
                steps.append(step((now + skips.pop(), size), height))
                now = size
            up.append(tuple(steps))
            if height != heights[0]:
                doubling.append(Convolution.random(random, (now, now)))
        return cls(
            embedding,
            labels,
            stem,
            tuple(down),
            tuple(halving),
            middle,
            tuple(up),
            tuple(doubling),
            GroupNorm.ones(now),
            Convolution.random(random, (now, colours), scale=0.0),
            settings,
        )

    def __call__(
        self,
        signal: Scalar,
        image: Float[Array, "h w c"],
        label: Int[Array, ""] | None = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "h w c"]:
        """f(a, x, label) at one image.

        Args:
            signal: a in [0, 1].
            image: of shape ``settings.shape``.
            label: below ``classes``, or ``classes`` (or None) for none.
            key: draws the dropout; None, outside training, for no dropout.
        """
        condition = self._condition(jnp.asarray(signal, image.dtype), label)
        keys = _keys(key)
        hidden = self.stem(image)
        passed = [hidden]
        for level, steps in enumerate(self.down):
            for step in steps:
                hidden = step(hidden, condition, next(keys))
                passed.append(hidden)
            if level < len(self.halving):
                hidden = self.halving[level](hidden)
                passed.append(hidden)
        for step in self.middle:
            hidden = step(hidden, condition, next(keys))
        for level, steps in enumerate(self.up):
            for step in steps:
                beside = jnp.concatenate([hidden, passed.pop()], axis=-1)
                hidden = step(beside, condition, next(keys))
            if level < len(self.doubling):
                hidden = self.doubling[level](upsampled(hidden))
        return self.head(jax.nn.silu(self.norm(hidden)))

    def _condition(self, signal: Scalar, label: Int[Array, ""] | None) -> Float[Array, " e"]:
        # arccos a, by arctan2: that and its derivative are accurate at both ends of [0, 1].
        angle = jnp.arctan2(jnp.sqrt(jnp.maximum(1.0 - signal**2, 0.0)), signal)
        waves = wave_features(_STEPS * angle / (0.5 * jnp.pi), self.settings.width)
        first, second = self.embedding
        condition = second(jax.nn.silu(first(waves)))
        if self.labels is None:
            return condition
        chosen = jnp.asarray(self.settings.classes if label is None else label)
        return condition + self.labels.astype(condition.dtype)[chosen]


NETWORK_PARTS = (
    Attention,
    Convolution,
    Dense,
    GroupNorm,
    ResidualBlock,
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


def _check(settings: UNetSettings) -> None:
    shape, sizes = settings.shape, settings.multipliers
    if len(shape) != 3 or not all(_SIDES[0] <= s <= _SIDES[1] for s in shape[:2]) or shape[2] < 1:
        raise ValueError(
            f"shape: got {shape}; wants (height, width, channels) with sides "
            f"of {_SIDES[0]} to {_SIDES[1]} pixels."
        )
    for name, value in (
        ("width", settings.width),
        ("blocks", settings.blocks),
        ("heads", settings.heads),
        ("multipliers", len(sizes)),
        ("multipliers", min(sizes, default=1)),
    ):
        check_at_least(name, value, 1)
    check_at_least("classes", settings.classes, 0)
    if settings.width % 2:
        raise ValueError(f"width: got {settings.width}; wants an even number.")
    if any(side % 2 ** (len(sizes) - 1) for side in shape[:2]):
        raise ValueError(
            f"multipliers: got {len(sizes)} resolutions for sides {shape[0]} and "
            f"{shape[1]}, which cannot be halved {len(sizes) - 1} times; wants fewer."
        )
    unknown = set(settings.attention) - {shape[0] >> level for level in range(len(sizes))}
    if unknown:
        raise ValueError(
            f"attention: got {sorted(unknown)}; wants heights of resolutions, "
            f"{[shape[0] >> level for level in range(len(sizes))]}."
        )
    if any(settings.width * m % settings.heads for m in sizes):
        raise ValueError(
            f"heads: got {settings.heads}; wants a divisor of the channels, "
            f"{[settings.width * m for m in sizes]}."
        )
    if not 0.0 <= settings.dropout < 1.0:
        raise ValueError(f"dropout: got {settings.dropout}; wants a number in [0, 1).")
