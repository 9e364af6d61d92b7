"""The architecture of a U-Net, and the steps that one of guided-diffusion is told."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least
from brenier._types import Scalar
from brenier.velocities import TableSchedule

_SIDES = (8, 512)
# Of guided-diffusion's schedules: the shift of the cosine, and the largest share of the signal that
# one step may take.
_COSINE_OFFSET, _LARGEST_RATE = 0.008, 0.999
# The step numbers that networks were first made for: others are rescaled to them where asked.
_STEPS = 1000
_MOST_STEPS = 10**6


@dataclass(frozen=True)
class Timesteps:
    """The steps 0 … T − 1 of guided-diffusion, in which its networks are told the noise level.

    Between two steps the number is that of ``TableSchedule``, less 1.

    Args:
        schedule: "linear", β from 0.1/T to 20/T, or "cosine", of Nichol & Dhariwal (2021).
        count: T.
        rescaled: whether networks are told 1000 t / T in place of t.

    Raises:
        ValueError: an unknown schedule, or fewer than two steps.

    >>> steps = Timesteps("cosine", 4000)
    >>> float(steps.at(steps.table.signal(jnp.asarray(1001.0)), float))
    1000.0
    """

    schedule: Literal["linear", "cosine"] = "linear"
    count: int = _STEPS
    rescaled: bool = False

    def __post_init__(self):
        if self.schedule not in ("linear", "cosine"):
            raise ValueError(f"schedule: got {self.schedule!r}; wants 'linear' or 'cosine'.")
        check_at_least("count", self.count, 2)
        if self.count > _MOST_STEPS:
            raise ValueError(f"count: got {self.count}; wants at most {_MOST_STEPS:,} steps.")
        if self.schedule == "linear" and 20.0 / self.count >= 1.0:
            raise ValueError(f"count: got {self.count} linear steps; wants more than 20.")

    @property
    def table(self) -> TableSchedule:
        """Their signal levels √ᾱ."""
        return _table(self)

    def at(self, signal: Scalar, dtype: Any) -> Scalar:
        """The number that a network is told at a signal level."""
        step = jnp.maximum(self.table.time(signal) - 1.0, 0.0).astype(dtype)
        # Rounded as the original rounds it: a network knows no more digits.
        return step * float(np.float32(_STEPS / self.count)) if self.rescaled else step


@functools.lru_cache(maxsize=64)
def _table(steps: Timesteps) -> TableSchedule:
    if steps.schedule == "linear":
        rates = np.linspace(0.1 / steps.count, 20.0 / steps.count, steps.count)
    else:
        shares = (np.arange(steps.count + 1) / steps.count + _COSINE_OFFSET) / (1 + _COSINE_OFFSET)
        bars = np.cos(0.5 * math.pi * shares) ** 2
        rates = np.minimum(1.0 - bars[1:] / bars[:-1], _LARGEST_RATE)
    return TableSchedule(np.sqrt(np.cumprod(1.0 - rates)).tolist())


@dataclass(frozen=True)
class UNetSettings:
    """The architecture of a ``UNet``: ours by default; with ``timesteps``, of guided-diffusion.

    Args:
        shape: (height, width, channels) of the images; sides of 8 to 512 pixels that can be halved
            ``len(multipliers) - 1`` times.
        width: channels at full resolution.
        multipliers: of the width, one for each resolution, finest first.
        blocks: residual blocks at each resolution (one more on the way up).
        attention: heights of the resolutions that have self-attention.
        heads: number of attention heads; divides the channels of every resolution.
        dropout: probability that an activation is set to 0 in training.
        classes: number of labels; 0 for none. One more, ``classes``, means "no label".
        head_channels: channels of each attention head, in place of ``heads``; 0 for ``heads``.
        up_heads: number of attention heads on the way up; 0 for ``heads``.
        resampling: between resolutions, by a "convolution" or by a "residual" block.
        modulation: the condition enters each block as a "scale and shift", or as a "shift" only.
        variance: whether the output has a second half, for learned variances: it is trained and
            kept by others, and not computed here.
        timesteps: the steps that the network is told in place of the noise level. Other things go
            with them, as in guided-diffusion: 32 groups in each group norm, the first multiplier
            for the first convolution too, and a label for every image where there are classes.

    >>> UNetSettings((28, 28, 1), width=16, classes=10).multipliers
    (1, 2)
    """

    shape: tuple[int, int, int] = (8, 8, 1)
    width: int = 32
    multipliers: Sequence[int | float] = (1, 2)
    blocks: int = 1
    attention: Sequence[int] = ()
    heads: int = 1
    dropout: float = 0.0
    classes: int = 0
    head_channels: int = 0
    up_heads: int = 0
    resampling: Literal["convolution", "residual"] = "convolution"
    modulation: Literal["scale and shift", "shift"] = "scale and shift"
    variance: bool = False
    timesteps: Timesteps | None = None

    def __post_init__(self):
        # JAX hashes the settings of a network, and lists have no hash.
        for name in ("multipliers", "attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def sizes(self) -> list[int]:
        """Channels at each resolution, finest first."""
        return [int(self.width * multiplier) for multiplier in self.multipliers]

    @property
    def heights(self) -> list[int]:
        """Heights of the resolutions, finest first."""
        return [self.shape[0] >> level for level in range(len(self.multipliers))]

    @property
    def coarsest(self) -> int:
        """Pixels of the coarsest resolution."""
        return self.shape[0] * self.shape[1] // 4 ** (len(self.multipliers) - 1)

    @property
    def groups(self) -> int | None:
        """Of each group norm; None where it depends on the channels."""
        return None if self.timesteps is None else 32

    @property
    def unlabelled(self) -> bool:
        """Whether the network can be called without a label."""
        return not self.classes or self.timesteps is None

    @property
    def fewest_weights(self) -> int:
        """What the network has at least: the weights of its widest layers, by formula.

        >>> UNetSettings().fewest_weights < 200_000
        True
        """
        blocks = 9 * (2 * self.blocks + 1) * sum(size**2 for size in self.sizes)
        ends = 18 * self.shape[2] * min(self.width, *self.sizes)
        return blocks + ends + 4 * self.width * (5 * self.width + self.classes)

    def heads_of(self, channels: int, *, up: bool = False) -> int:
        """Attention heads of a layer of so many channels."""
        if self.head_channels:
            return channels // self.head_channels
        return self.up_heads if up and self.up_heads else self.heads


def changed_fields(old: Any, new: Any) -> str:
    """The names of what differs in two settings of one class.

    >>> changed_fields(UNetSettings(), UNetSettings(width=8, heads=2))
    'width, heads'
    """
    names = (field.name for field in dataclasses.fields(old))
    return ", ".join(name for name in names if getattr(old, name) != getattr(new, name))


def check_settings(settings: UNetSettings) -> None:
    """Raise a ``ValueError`` where the settings do not go together; it names the first."""
    _check_sizes(settings)
    _check_attention(settings)
    if not 0.0 <= settings.dropout < 1.0:
        raise ValueError(f"dropout: got {settings.dropout}; wants a number in [0, 1).")
    for name, value, known in (
        ("resampling", settings.resampling, ("convolution", "residual")),
        ("modulation", settings.modulation, ("scale and shift", "shift")),
    ):
        if value not in known:
            raise ValueError(f"{name}: got {value!r}; wants one of {list(known)}.")


def _check_sizes(settings: UNetSettings) -> None:
    shape, sizes = settings.shape, settings.sizes
    if len(shape) != 3 or not all(_SIDES[0] <= s <= _SIDES[1] for s in shape[:2]) or shape[2] < 1:
        raise ValueError(
            f"shape: got {shape}; wants (height, width, channels) with sides "
            f"of {_SIDES[0]} to {_SIDES[1]} pixels."
        )
    for name, value in (
        ("width", settings.width),
        ("blocks", settings.blocks),
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
    if settings.groups and any(size % settings.groups for size in sizes):
        raise ValueError(
            f"width: got {settings.width}, with channels {sizes}; wants multiples of "
            f"{settings.groups}, the groups of each norm."
        )


def _check_attention(settings: UNetSettings) -> None:
    sizes, heights = settings.sizes, settings.heights
    unknown = set(settings.attention) - set(heights)
    if unknown:
        raise ValueError(
            f"attention: got {sorted(unknown)}; wants heights of resolutions, {heights}."
        )
    check_at_least("heads", settings.heads, 1)
    # Attention is in the middle too, and only there may a head count matter.
    attentive = [s for s, h in zip(sizes, heights, strict=True) if h in settings.attention]
    channels = attentive + sizes[-1:] if settings.groups else sizes
    for name, count in (
        ("head_channels", settings.head_channels),
        ("up_heads", settings.up_heads),
        ("heads", 0 if settings.head_channels else settings.heads),
    ):
        check_at_least(name, count, 0)
        if count and any(size % count for size in channels):
            raise ValueError(
                f"{name}: got {count}; wants a divisor of the channels, {sorted(set(channels))}."
            )
