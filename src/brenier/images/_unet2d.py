"""The ``UNet2DModel`` of the diffusers library, with its weights by its own names."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Key, Scalar
from brenier.images._diffusers_layers import Layers, activation, blurred_down, blurred_up, pooled
from brenier.images._layers import upsampled
from brenier.images._unet2d_settings import UNet2DSettings

# The images of blocks with a skip path: written into diffusers.
_SKIP_CHANNELS = 3
# Of the group norms in blocks with a skip path: written into diffusers.
_SKIP_GROUPS = 32
_RESNET_RESCALE = 2.0**0.5


class UNet2D(eqx.Module):
    """diffusers' ``UNet2DModel`` as the network f(a, x, label) of an ``ImageModel``.

    Its output is what ``settings.noise`` makes of the network's own: ε where it predicts the noise,
    else v. Blocks are those of Ho et al. (2020), of Dhariwal & Nichol (2021) (``Resnet…``) and of
    Song et al. (2021) (``Skip…``); see ``UNet2DSettings`` for the switches.

    Not for training from the start: a ``UNet`` has the settings for that.

    >>> net = UNet2D.random(jax.random.key(0), UNet2DSettings())
    >>> net(jnp.array(0.5), jnp.zeros((8, 8, 1))).shape
    (8, 8, 1)
    """

    weights: dict[str, Array]
    settings: UNet2DSettings = eqx.field(static=True)

    @classmethod
    def random(cls, key: Key, settings: UNet2DSettings) -> "UNet2D":
        """A network with normal weights of variance 1 / inputs; not inside ``jit``.

        Raises:
            ValueError: settings that do not go together.
        """
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
        weights = {}
        for name, shape in wanted_shapes(settings).items():
            drawn = random.normal(size=shape) / np.prod(shape[:-1], initial=1.0) ** 0.5
            weights[name] = jnp.asarray(drawn.astype(np.float32))
        return cls(weights, settings)

    @classmethod
    def shapes(cls, settings: UNet2DSettings) -> "UNet2D":
        """The network with the shapes of its weights in their places.

        >>> UNet2D.shapes(UNet2DSettings()).weights["conv_in.bias"].shape
        (32,)
        """
        wanted = wanted_shapes(settings).items()

        def zeros() -> "UNet2D":
            return cls({name: jnp.zeros(shape, jnp.float32) for name, shape in wanted}, settings)

        return jax.eval_shape(zeros)

    @classmethod
    def of_tensors(
        cls, name: str, tensors: Mapping[str, np.ndarray], settings: UNet2DSettings
    ) -> "UNet2D":
        """The network with the tensors of a file, named as diffusers names them, or once did.

        Args:
            name: of the file, for messages.
            tensors: in PyTorch's order of axes.
            settings: the architecture.

        Raises:
            ValueError: a tensor that is missing, is not of the network, has another shape, or is no
                finite numbers.
        """
        try:
            wanted = wanted_shapes(settings)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        tensors = _renamed(tensors)
        differ = sorted(set(wanted) ^ set(tensors))
        if differ:
            more = f" and {len(differ) - 1} others" if len(differ) > 1 else ""
            got = "no" if differ[0] in wanted else "the surplus"
            raise ValueError(
                f"{name}: got {got} tensor {differ[0]:.200}{more}; wants those of its "
                "configuration."
            )
        weights = {}
        for part, shape in wanted.items():
            weights[part] = jnp.asarray(_in_order(name, part, tensors[part], shape))
        return cls(weights, settings)

    def __call__(
        self, signal: Scalar, image: Float[Array, "h w c"], label: Array | None = None
    ) -> Float[Array, "h w c"]:
        """f(a, x, label) at one image.

        Args:
            signal: a in [0, 1].
            image: of shape ``settings.shape``.
            label: of a network with classes: a class, or a vector where they are of kind identity.

        Raises:
            ValueError: no label for a network with classes.
        """
        noise = self.settings.noise
        scaled = image * jnp.asarray(noise.input_scale(signal), image.dtype)
        step = noise.told(signal, image.dtype)
        return noise.answer(signal, image, self.own(step, scaled, label))

    def own(self, step: Scalar, image: Array, label: Array | None = None) -> Float[Array, "h w c"]:
        """What the network itself says of an image at a step: what diffusers' ``forward`` gives."""
        return _forward(Layers(self.weights), self.settings, step, image, label)


def wanted_shapes(settings: UNet2DSettings) -> dict[str, tuple[int, ...]]:
    """The weights of a network by name and shape, channels out last.

    Raises:
        ValueError: settings that do not go together.

    >>> wanted_shapes(UNet2DSettings())["conv_in.weight"]
    (3, 3, 1, 32)
    """
    seen: dict[str, tuple[int, ...]] = {}
    label = None
    if settings.classes:
        kind = settings.class_embed_type
        size = (settings.condition,) if kind == "identity" else ()
        label = jax.ShapeDtypeStruct(size, jnp.float32 if kind == "identity" else jnp.int32)
    image = jax.ShapeDtypeStruct(settings.shape, jnp.float32)
    step = jax.ShapeDtypeStruct((), jnp.float32)

    def forward(step: Scalar, image: Array, label: Array | None) -> Array:
        return _forward(Layers(None, seen), settings, step, image, label)

    # Blocks whose shapes do not go together (skip paths of another resolution) are found by JAX.
    try:
        jax.eval_shape(forward, step, image, label)
    except (TypeError, ZeroDivisionError) as error:
        raise ValueError(
            f"settings: got blocks that do not go together ({str(error).splitlines()[0]:.200}); "
            "wants a network that diffusers can make."
        ) from None
    return seen


def _renamed(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names of attention layers before diffusers 0.13, in the present ones."""
    olds = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    found = {}
    for name, array in tensors.items():
        layer, _, kind = name.rpartition(".")
        home, _, old = layer.rpartition(".")
        if "attentions." in home and old in olds:
            name = f"{home}.{olds[old]}.{kind}"
            array = array.reshape(array.shape[:2])  # 1 x 1 convolutions, in the oldest files
        # The downsampler once had its convolution twice, under two names.
        if "Conv2d_0" in name and name.replace("Conv2d_0", "conv") in tensors:
            continue
        found[name.replace("Conv2d_0", "conv")] = array
    return found


def _in_order(name: str, part: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of PyTorch in our order of axes, in float32."""
    table = part in ("class_embedding.weight", "time_proj.weight")
    if array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
    elif array.ndim == 2 and not table:
        array = array.T
    if array.shape != shape or array.dtype.kind not in "fV":
        raise ValueError(
            f"{name}: got {part:.200} of shape {array.shape} and dtype {array.dtype} (channels out "
            f"last); wants {shape}, floats, by the configuration."
        )
    array = np.ascontiguousarray(array, np.float32)
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(
            f"{name}: got {bad:,} of {array.size:,} weights of {part:.200} NaN or infinite; wants "
            "finite numbers."
        )
    return array


def _forward(
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
        frequencies = layers.take("time_proj.weight", (width,)).astype(step.dtype)
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
    hidden = act(layers.normed(f"{name}.norm1", x, first, settings.norm_eps))
    if resample is not None:
        x, hidden = resample(x), resample(hidden)
    hidden = layers.convolved(f"{name}.conv1", hidden, channels)
    scaled = settings.resnet_time_scale_shift == "scale_shift"
    told = layers.dense(f"{name}.time_emb_proj", act(condition), (2 if scaled else 1) * channels)
    if scaled:
        scale, shift = jnp.split(told, 2)
        hidden = layers.normed(f"{name}.norm2", hidden, second, settings.norm_eps)
        hidden = hidden * (1.0 + scale) + shift
    else:
        hidden = layers.normed(f"{name}.norm2", hidden + told, second, settings.norm_eps)
    hidden = layers.convolved(f"{name}.conv2", act(hidden), channels)
    if shortcut or x.shape[-1] != channels:
        x = layers.convolved(f"{name}.conv_shortcut", x, channels, size=1)
    return (x + hidden) / rescale


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
