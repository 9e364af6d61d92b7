"""The network of an image diffusion: a U-Net told the noise level, and the class if any."""

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

# The noise level enters as 1000 steps would: the range that the frequencies of the waves cover.
_STEPS = 1000.0
_SIDES = (8, 256)


@dataclass(frozen=True)
class UNetSettings:
    """What a ``UNet`` is built from; the arguments of ``UNet.random``."""

    shape: tuple[int, int, int]
    width: int = 32
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 1
    attention: tuple[int, ...] = ()
    heads: int = 1
    dropout: float = 0.0
    classes: int = 0


class UNetStep(eqx.Module):
    """A residual block, with attention behind it where the resolution has it."""

    block: ResidualBlock
    attention: Attention | None

    def __call__(
        self, x: Float[Array, "h w _"], condition: Float[Array, " e"], key: Key | None
    ) -> Float[Array, "h w _"]:
        hidden = self.block(x, condition, key)
        return hidden if self.attention is None else self.attention(hidden)


class UNet(eqx.Module):
    """A U-Net f(a, x, label) on images (h, w, c): what it predicts is for ``ImageModel`` to say.

    Down through resolutions, residual blocks at each, halved by a strided convolution between them;
    up again with every activation of the way down beside; self-attention at the resolutions asked
    for, and in the middle. The noise level enters as waves of 1000 (2/π) arccos a: the same for
    every schedule. Ho, Jain & Abbeel (2020); scale and shift by the condition from Dhariwal &
    Nichol (2021), whose models KRCO22 uses.

    Not for points that are no image: a ``maps.ResidualNetwork`` is cheaper there.

    >>> import jax
    >>> net = UNet.random(jax.random.key(0), (8, 8, 1), width=8, multipliers=(1,))
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
    def random(
        cls,
        key: Key,
        shape: tuple[int, int, int],
        *,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        attention: Sequence[int] = (),
        heads: int = 1,
        dropout: float = 0.0,
        classes: int = 0,
    ) -> "UNet":
        """An untrained network, whose output is 0; not inside ``jit``.

        Args:
            key: of its weights.
            shape: (height, width, channels); sides of 8 to 256 pixels that can be halved
                ``len(multipliers) - 1`` times.
            width: channels at full resolution.
            multipliers: of the width, one a resolution, finest first.
            blocks: residual blocks a resolution (one more on the way up).
            attention: heights of the resolutions with self-attention.
            heads: of the attention; divides the channels where there is one.
            dropout: share of activations set to 0 in training.
            classes: number of labels; 0 for none. One more, ``classes``, means "no label".

        Raises:
            ValueError: settings that do not go together; the first is named.
        """
        settings = _checked(
            UNetSettings(
                shape, width, tuple(multipliers), blocks, tuple(attention), heads, dropout, classes
            )
        )
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
        condition = 4 * width
        sizes = [width * m for m in settings.multipliers]
        heights = [shape[0] >> level for level in range(len(sizes))]

        def step(channels: tuple[int, int], height: int, middle: bool = False) -> UNetStep:
            block = ResidualBlock.random(random, channels, condition, dropout)
            attentive = middle or height in settings.attention
            return UNetStep(
                block, Attention.random(random, channels[1], heads) if attentive else None
            )

        embedding = (
            Dense.random(random, (width, condition)),
            Dense.random(random, (condition, condition)),
        )
        table = random.normal(size=(classes + 1, condition)).astype(np.float32)
        labels = jnp.asarray(table) if classes else None
        stem = Convolution.random(random, (shape[2], width))
        down, halving, skips, now = [], [], [width], width
        for level, (size, height) in enumerate(zip(sizes, heights, strict=True)):
            steps = []
            for _ in range(blocks):
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
            for _ in range(blocks + 1):
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
            Convolution.random(random, (now, shape[2]), scale=0.0),
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
        """f(a, x, label) at one image; with a key, dropout is on.

        Args:
            signal: a in [0, 1].
            image: as ``settings.shape``.
            label: below ``classes``, or ``classes`` (or None) for none.
            key: of the dropout.
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
        # arctan2 keeps its digits, and its derivative, at both ends; arccos does neither.
        angle = jnp.arctan2(jnp.sqrt(jnp.maximum(1.0 - signal**2, 0.0)), signal)
        waves = wave_features(_STEPS * angle / (0.5 * jnp.pi), self.settings.width)
        first, second = self.embedding
        condition = second(jax.nn.silu(first(waves)))
        if self.labels is None:
            return condition
        chosen = jnp.asarray(self.settings.classes if label is None else label)
        return condition + self.labels.astype(condition.dtype)[chosen]


# What a network is made of besides arrays: the closed list that files may name.
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


def _keys(key: Key | None) -> Iterator[Key | None]:
    """A new key each time, or None each time."""
    while True:
        if key is None:
            yield None
        else:
            key, now = jax.random.split(key)
            yield now


def _checked(settings: UNetSettings) -> UNetSettings:
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
    return settings
