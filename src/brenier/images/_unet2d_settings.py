"""The architecture of a ``UNet2D``, by the names that diffusers has for its switches."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from brenier._types import Float
from brenier.images._noise_levels import NoiseLevels

_DOWN = (
    "DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D", "SkipDownBlock2D",
    "AttnSkipDownBlock2D",
)  # fmt: skip
_UP = (
    "UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D", "SkipUpBlock2D", "AttnSkipUpBlock2D",
)  # fmt: skip
_ACTIVATIONS = ("silu", "swish", "mish", "gelu", "relu")
# Of the waves of a step: the longest is this much longer than the shortest.
_LONGEST = 10_000.0
_SIDES = (1, 4096)
_MOST_LEVELS = 20


@dataclass(frozen=True)
class UNet2DSettings:
    """What diffusers' ``UNet2DModel`` is made of: its own names, and some of its defaults.

    Args:
        shape: (height, width, channels) of the images; ``sample_size`` and ``in_channels``.
        noise: how the network is told the noise level, and what it predicts.
        out_channels: those of the images, or twice as many where variances were learned too.
        block_out_channels, down_block_types, up_block_types: of the resolutions, in the order of
            the way down and of the way up.
        mid_block_type: "UNetMidBlock2D", or None for nothing between the two ways.

    The others switch what their names say; see diffusers' documentation of ``UNet2DModel``.

    Raises:
        ValueError: a value out of range, or a kind that brenier does not know; the first is named.

    >>> UNet2DSettings().condition
    128
    """

    shape: tuple[int, int, int] = (8, 8, 1)
    noise: NoiseLevels = field(default_factory=NoiseLevels)
    out_channels: int = 1
    center_input_sample: bool = False
    time_embedding_type: str = "positional"
    time_embedding_dim: int | None = None
    freq_shift: int | float = 0
    flip_sin_to_cos: bool = True
    down_block_types: Sequence[str] = ("DownBlock2D",)
    mid_block_type: str | None = "UNetMidBlock2D"
    up_block_types: Sequence[str] = ("UpBlock2D",)
    block_out_channels: Sequence[int] = (32,)
    layers_per_block: int = 1
    mid_block_scale_factor: int | float = 1
    downsample_padding: int = 1
    downsample_type: str = "conv"
    upsample_type: str = "conv"
    act_fn: str = "silu"
    attention_head_dim: int | None = 8
    norm_num_groups: int | None = 32
    attn_norm_num_groups: int | None = None
    norm_eps: float = 1e-5
    resnet_time_scale_shift: str = "default"
    add_attention: bool = True
    class_embed_type: str | None = None
    num_class_embeds: int | None = None
    num_train_timesteps: int | None = None
    dropout: float = 0.0

    def __post_init__(self):
        # JAX hashes the settings of a network, and lists have no hash.
        for name in ("shape", "down_block_types", "up_block_types", "block_out_channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _check_counts(self)
        _check_kinds(self)

    @property
    def condition(self) -> int:
        """The length of the embedding of a step."""
        return self.time_embedding_dim or 4 * self.block_out_channels[0]

    @property
    def classes(self) -> int:
        """The number of labels; 0 without, and 1 where a label is a vector."""
        if self.class_embed_type == "identity":
            return 1
        if self.class_embed_type == "timestep":
            return self.num_class_embeds or self.noise.count
        return self.num_class_embeds or 0

    @property
    def coarsest(self) -> int:
        """Pixels of the coarsest resolution."""
        return self.shape[0] * self.shape[1] // 4 ** (len(self.block_out_channels) - 1)

    @property
    def unlabelled(self) -> bool:
        """Whether the network can be called without a label."""
        return not self.classes

    @property
    def frequencies(self) -> Float[np.ndarray, " _"]:
        """Of the waves of a step, rounded in float32 as PyTorch rounds them.

        >>> UNet2DSettings().frequencies[:2].tolist()
        [1.0, 0.5623413324356079]
        """
        half = self.block_out_channels[0] // 2
        scaled = np.float32(-math.log(_LONGEST)) * np.arange(half, dtype=np.float32)
        exponents = scaled / np.float32(half - self.freq_shift)
        return np.exp(exponents.astype(float)).astype(np.float32)

    @property
    def fewest_weights(self) -> int:
        """What the network has at least: the weights of its widest layers, by formula.

        >>> UNet2DSettings().fewest_weights < 50_000
        True
        """
        return 9 * self.layers_per_block * sum(width**2 for width in self.block_out_channels)

    def head_channels(self, channels: int) -> int:
        """Channels of each attention head in a layer of so many."""
        return self.attention_head_dim or channels


def _check_counts(settings: UNet2DSettings) -> None:
    shape, widths = settings.shape, settings.block_out_channels
    counts: dict[str, Any] = {
        "out_channels": settings.out_channels,
        "layers_per_block": settings.layers_per_block,
        "time_embedding_dim": settings.time_embedding_dim or 1,
        "attention_head_dim": settings.attention_head_dim or 1,
        "norm_num_groups": settings.norm_num_groups or 1,
        "attn_norm_num_groups": settings.attn_norm_num_groups or 1,
        "num_class_embeds": settings.num_class_embeds or 1,
        "num_train_timesteps": settings.num_train_timesteps or 1,
        **{f"block_out_channels[{level}]": width for level, width in enumerate(widths)},
    }
    for name, value in counts.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name}: got {value!r:.100}; wants an integer above 0.")
    sides = len(shape) == 3 and all(type(s) is int and s >= 1 for s in shape)
    if not sides or max(shape[:2]) > _SIDES[1]:
        raise ValueError(
            f"shape: got {shape!r:.100}; wants (height, width, channels), sides of at most "
            f"{_SIDES[1]} pixels."
        )
    if settings.out_channels not in (shape[2], 2 * shape[2]):
        raise ValueError(
            f"out_channels: got {settings.out_channels} for images of {shape[2]}; wants as many, "
            "or twice as many where variances were learned."
        )
    levels = {len(widths), len(settings.down_block_types), len(settings.up_block_types)}
    if levels - {len(widths)} or not 1 <= len(widths) <= _MOST_LEVELS:
        raise ValueError(
            f"block_out_channels: got {len(widths)} for {len(settings.down_block_types)} blocks on "
            f"the way down and {len(settings.up_block_types)} up; wants one for each."
        )
    if not 0.0 <= settings.dropout < 1.0:
        raise ValueError(f"dropout: got {settings.dropout!r:.100}; wants a number in [0, 1).")
    padding = settings.downsample_padding
    if type(padding) is not int or not 0 <= padding <= 2:
        raise ValueError(f"downsample_padding: got {padding!r:.100}; wants 0, 1 or 2.")
    for name in ("norm_eps", "mid_block_scale_factor"):
        if not 0.0 < getattr(settings, name) < math.inf:
            raise ValueError(f"{name}: got {getattr(settings, name)!r:.100}; wants one above 0.")
    if not settings.freq_shift < widths[0] // 2:
        raise ValueError(
            f"freq_shift: got {settings.freq_shift!r:.100}; wants less than {widths[0] // 2}."
        )


def _check_kinds(settings: UNet2DSettings) -> None:
    choices: list[tuple[str, Any, tuple[Any, ...]]] = [
        ("time_embedding_type", settings.time_embedding_type, ("positional", "fourier", "learned")),
        ("mid_block_type", settings.mid_block_type, ("UNetMidBlock2D", None)),
        ("downsample_type", settings.downsample_type, ("conv", "resnet")),
        ("upsample_type", settings.upsample_type, ("conv", "resnet")),
        ("resnet_time_scale_shift", settings.resnet_time_scale_shift, ("default", "scale_shift")),
        ("class_embed_type", settings.class_embed_type, (None, "timestep", "identity")),
        ("act_fn", settings.act_fn.lower(), _ACTIVATIONS),
        *(("down_block_types", kind, _DOWN) for kind in settings.down_block_types),
        *(("up_block_types", kind, _UP) for kind in settings.up_block_types),
    ]
    for name, value, known in choices:
        if value not in known:
            raise ValueError(f"{name}: got {value!r:.100}; wants one of {list(known)}.")
    if settings.time_embedding_type == "learned" and settings.num_train_timesteps is None:
        raise ValueError("num_train_timesteps: got none for learned embeddings; wants their count.")
