"""The pass through a ``UNet2DModel`` of diffusers, block by block."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Key, Scalar
from brenier.images._diffusers_layers import Layers, activation, blurred_down, blurred_up, pooled
from brenier.images._layers import dropped, upsampled
from brenier.images._unet2d_settings import UNet2DSettings

# The images of blocks with a skip path: written into diffusers.
_SKIP_CHANNELS = 3
# Of the group norms in blocks with a skip path: written into diffusers.
_SKIP_GROUPS = 32
_RESNET_RESCALE = 2.0**0.5


def forward_pass(
    layers: Layers, settings: UNet2DSettings, step: Scalar, image: Array, label: Array | None
) -> Array:
    """The pass through the network, at one image."""
    x = 2.0 * image - 1.0 if settings.center_input_sample else image
    condition = _condition(layers, settings, step, label)
    skip: Array | None = x
    x = layers.convolved("conv_in", x, settings.block_out_channels[0])
    passed = [x]
    for level in range(len(settings.down_block_types)):
        x, skip = _down(layers, settings, level, x, condition, skip, passed)
    if settings.mid_block_type is not None:
        x = _middle(layers, settings, x, condition)
    skip = None
    for level in range(len(settings.up_block_types)):
        x, skip = _up(layers, settings, level, x, condition, skip, passed)
    groups = settings.norm_num_groups or min(settings.block_out_channels[0] // 4, 32)
    x = layers.normed("conv_norm_out", x, groups, settings.norm_eps)
    x = layers.convolved("conv_out", jax.nn.silu(x), settings.out_channels)
    if skip is not None:
        x = x + skip
    return x / step if settings.time_embedding_type == "fourier" else x


def _condition(
    layers: Layers, settings: UNet2DSettings, step: Scalar, label: Array | None
) -> Float[Array, " e"]:
    """The embedding of the step, and of the label."""
    size = settings.condition

    def embedded(name: str, waves: Array) -> Array:
        hidden = jax.nn.silu(layers.dense(f"{name}.linear_1", waves, size))
        return layers.dense(f"{name}.linear_2", hidden, size)

    condition = embedded("time_embedding", _projected(layers, settings, step))
    if not settings.classes:
        return condition
    if label is None:
        raise ValueError("label: got none for a network that was trained with one for each image.")
    if settings.class_embed_type == "identity":
        return condition + label
    if settings.class_embed_type == "timestep":
        waves = _projected(layers, settings, label.astype(condition.dtype))
        return condition + embedded("class_embedding", waves)
    table = layers.take("class_embedding.weight", (settings.classes, size))
    return condition + table.astype(condition.dtype)[label]


def _projected(layers: Layers, settings: UNet2DSettings, step: Scalar) -> Float[Array, " w"]:
    """Waves of a step, as the network was trained on: its frequencies are rounded to float32."""
    width = settings.block_out_channels[0]
    if settings.time_embedding_type == "fourier":
        # Drawn once and never trained, in diffusers.
        frequencies = jax.lax.stop_gradient(layers.take("time_proj.weight", (width,)))
        frequencies = frequencies.astype(step.dtype)
        phases = jnp.log(step) * frequencies * 2.0 * np.float32(np.pi).astype(float)
        return jnp.concatenate([jnp.sin(phases), jnp.cos(phases)])
    if settings.time_embedding_type == "learned":
        count = settings.num_train_timesteps or 0
        table = layers.take("time_proj.weight", (count, width)).astype(step.dtype)
        below = jnp.clip(jnp.floor(step), 0, max(count - 2, 0)).astype(int)
        share = jnp.clip(step - below, 0.0, 1.0)
        return (1.0 - share) * table[below] + share * table[jnp.minimum(below + 1, count - 1)]
    phases = step * jnp.asarray(settings.frequencies).astype(step.dtype)
    halves = [jnp.sin(phases), jnp.cos(phases)]
    waves = jnp.concatenate(halves[::-1] if settings.flip_sin_to_cos else halves)
    return jnp.pad(waves, (0, width % 2))


def _residual(
    layers: Layers,
    settings: UNet2DSettings,
    name: str,
    x: Array,
    condition: Array,
    channels: int,
    *,
    groups: tuple[int, int] | None = None,
    resample: Any = None,
    shortcut: bool = False,
    rescale: float = 1.0,
) -> Array:
    """A residual block: two convolutions after group norms, the condition between them."""
    act = activation(settings.act_fn)
    usual = settings.norm_num_groups or 1
    first, second = groups or (usual, usual)
    scaled = settings.resnet_time_scale_shift == "scale_shift"

    def block(x: Array, condition: Array, key: Key | None) -> Array:
        hidden = act(layers.normed(f"{name}.norm1", x, first, settings.norm_eps))
        if resample is not None:
            x, hidden = resample(x), resample(hidden)
        hidden = layers.convolved(f"{name}.conv1", hidden, channels)
        told = layers.dense(
            f"{name}.time_emb_proj", act(condition), (2 if scaled else 1) * channels
        )
        if scaled:
            scale, shift = jnp.split(told, 2)
            hidden = layers.normed(f"{name}.norm2", hidden, second, settings.norm_eps)
            hidden = hidden * (1.0 + scale) + shift
        else:
            hidden = layers.normed(f"{name}.norm2", hidden + told, second, settings.norm_eps)
        hidden = dropped(act(hidden), settings.dropout, key)
        hidden = layers.convolved(f"{name}.conv2", hidden, channels)
        if shortcut or x.shape[-1] != channels:
            x = layers.convolved(f"{name}.conv_shortcut", x, channels, size=1)
        return (x + hidden) / rescale

    return layers.block(block, x, condition)


def _attended(
    layers: Layers,
    settings: UNet2DSettings,
    name: str,
    x: Array,
    groups: int | None,
    rescale: float = 1.0,
) -> Array:
    return layers.attended(
        name, x, settings.head_channels(x.shape[-1]), groups, settings.norm_eps, rescale
    )


def _middle(layers: Layers, settings: UNet2DSettings, x: Array, condition: Array) -> Array:
    channels, rescale = x.shape[-1], float(settings.mid_block_scale_factor)
    own = settings.norm_num_groups or min(channels // 4, 32)
    both, groups = (own, own), settings.attn_norm_num_groups
    if groups is None and settings.resnet_time_scale_shift == "default":
        groups = own

    def residual(index: int, x: Array) -> Array:
        name = f"mid_block.resnets.{index}"
        return _residual(
            layers, settings, name, x, condition, channels, groups=both, rescale=rescale
        )

    x = residual(0, x)
    if settings.add_attention:
        x = _attended(layers, settings, "mid_block.attentions.0", x, groups, rescale)
    return residual(1, x)


def _down(
    layers: Layers,
    settings: UNet2DSettings,
    level: int,
    x: Array,
    condition: Array,
    skip: Array | None,
    passed: list[Array],
) -> tuple[Array, Array | None]:
    """The blocks of a resolution and the way to the next; ``passed`` gets their activations."""
    kind, name = settings.down_block_types[level], f"down_blocks.{level}"
    channels, skips = settings.block_out_channels[level], "Skip" in kind
    rescale = _RESNET_RESCALE if skips else 1.0
    groups = _SKIP_GROUPS if skips else settings.norm_num_groups
    for index in range(settings.layers_per_block):
        own = (min(x.shape[-1] // 4, 32), min(channels // 4, 32)) if skips else None
        place = f"{name}.resnets.{index}"
        x = _residual(layers, settings, place, x, condition, channels, groups=own, rescale=rescale)
        if "Attn" in kind:
            x = _attended(layers, settings, f"{name}.attentions.{index}", x, groups, rescale)
        passed.append(x)
    if level + 1 == len(settings.down_block_types):
        return x, skip
    if skips:
        own = (min(channels // 4, 32),) * 2
        x = _residual(
            layers, settings, f"{name}.resnet_down", x, condition, channels,
            groups=own, resample=blurred_down, shortcut=True, rescale=rescale,
        )  # fmt: skip
        assert skip is not None
        skip = blurred_down(skip)
        x = layers.convolved(f"{name}.skip_conv", skip, channels, size=1) + x
    elif kind == "ResnetDownsampleBlock2D" or (
        kind == "AttnDownBlock2D" and settings.downsample_type == "resnet"
    ):
        place = f"{name}.downsamplers.0"
        x = _residual(layers, settings, place, x, condition, channels, resample=pooled)
    else:
        x = layers.halved(f"{name}.downsamplers.0.conv", x, settings.downsample_padding)
    passed.append(x)
    return x, skip


def _up(
    layers: Layers,
    settings: UNet2DSettings,
    level: int,
    x: Array,
    condition: Array,
    skip: Array | None,
    passed: list[Array],
) -> tuple[Array, Array | None]:
    """The blocks of a resolution on the way up, each beside an activation of the way down."""
    kind, name = settings.up_block_types[level], f"up_blocks.{level}"
    channels, skips = settings.block_out_channels[-1 - level], "Skip" in kind
    rescale = _RESNET_RESCALE if skips else 1.0
    for index in range(settings.layers_per_block + 1):
        beside = passed.pop()
        own = None
        if skips:
            # The attentive kind divides the second term only: written so into diffusers.
            wide, more = x.shape[-1], beside.shape[-1]
            first = wide + more // 4 if "Attn" in kind else (wide + more) // 4
            own = (min(first, 32), min(channels // 4, 32))
        x = jnp.concatenate([x, beside], axis=-1)
        place = f"{name}.resnets.{index}"
        x = _residual(layers, settings, place, x, condition, channels, groups=own, rescale=rescale)
        if kind == "AttnUpBlock2D":
            place = f"{name}.attentions.{index}"
            x = _attended(layers, settings, place, x, settings.norm_num_groups)
    if kind == "AttnSkipUpBlock2D":
        x = _attended(layers, settings, f"{name}.attentions.0", x, _SKIP_GROUPS, rescale)
    last = level + 1 == len(settings.up_block_types)
    if skips:
        skip = jnp.zeros((), x.dtype) if skip is None else blurred_up(skip)
    if last:
        return x, skip
    if skip is not None and skips:
        own = (min(channels // 4, 32),) * 2
        shown = jax.nn.silu(layers.normed(f"{name}.skip_norm", x, own[0], settings.norm_eps))
        skip = skip + layers.convolved(f"{name}.skip_conv", shown, _SKIP_CHANNELS)
        x = _residual(
            layers, settings, f"{name}.resnet_up", x, condition, channels,
            groups=own, resample=blurred_up, shortcut=True, rescale=rescale,
        )  # fmt: skip
    elif kind == "ResnetUpsampleBlock2D" or (
        kind == "AttnUpBlock2D" and settings.upsample_type == "resnet"
    ):
        place = f"{name}.upsamplers.0"
        x = _residual(layers, settings, place, x, condition, channels, resample=upsampled)
    else:
        x = layers.convolved(f"{name}.upsamplers.0.conv", upsampled(x), channels)
    return x, skip
