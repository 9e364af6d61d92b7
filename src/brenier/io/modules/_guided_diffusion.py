"""Checkpoints of guided-diffusion ("ADM", Dhariwal & Nichol 2021): their names and shapes."""

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from brenier.io.tensors import Lazy

# Imported where a model is read: most who open files have none.
if TYPE_CHECKING:
    from brenier.images import UNet, UNetSettings

Shapes = Mapping[str, tuple[int, ...]]
_FIRST, _STEM, _HEAD = "time_embed.0.weight", "input_blocks.0.0.weight", "out.2.weight"
# The multipliers that the original takes for each size of images where none are given.
_SIZES = MappingProxyType(
    {(1, 2, 3, 4): 64, (1, 1, 2, 3, 4): 128, (1, 1, 2, 2, 4, 4): 256, (0.5, 1, 1, 2, 2, 4, 4): 512}
)
# What our modules are called there, inside a block.
_OF_BLOCK = MappingProxyType(
    {
        "first_norm": "in_layers.0",
        "first": "in_layers.2",
        "modulation": "emb_layers.1",
        "second_norm": "out_layers.0",
        "second": "out_layers.3",
        "shortcut": "skip_connection",
    }
)
_OF_ATTENTION = MappingProxyType({"norm": "norm", "queries": "qkv", "output": "proj_out"})
_ENDS = MappingProxyType(
    {
        "embedding.0": "time_embed.0",
        "embedding.1": "time_embed.2",
        "stem": "input_blocks.0.0",
        "norm": "out.0",
        "head": "out.2",
    }
)
_LEAVES = MappingProxyType(
    {"scale": "weight", "shift": "bias", "kernel": "weight", "weight": "weight", "bias": "bias"}
)
# Axes of length 1 at the end: dense layers that are convolutions there.
_ONES = MappingProxyType({"skip_connection": (1, 1), "qkv": (1,), "proj_out": (1,)})
_SHOWN = 4  # names of a kind that an error lists

# Other networks, by how names begin in them.
_OTHERS = MappingProxyType(
    {
        "down_blocks.": "weights of diffusers (give the folder that holds their scheduler too)",
        "stem.kernel": "weights of a model folder of brenier, which is none to import",
        "model.diffusion_model.": "weights of a latent diffusion model",
        "out.2.positional_embedding": "weights of a classifier of guided-diffusion",
    }
)

AttentionOrder = Literal["legacy", "new"]


@dataclass(frozen=True)
class GuidedDiffusion:
    """What the weights of a checkpoint do not say, by the names of guided-diffusion's own flags.

    Channels, multipliers, residual blocks, places of attention, classes, ``use_scale_shift_norm``,
    ``resblock_updown`` and ``learn_sigma`` are read off the weights.

    Args:
        image_size: side of the images; None where the multipliers say it (they do by default).
        num_heads: of each attention layer; or ``num_head_channels``.
        num_head_channels: channels of each attention head, in place of ``num_heads``.
        num_heads_upsample: on the way up; None for ``num_heads``.
        attention_order: "new" where the flag ``use_new_attention_order`` was set, else "legacy".
        noise_schedule: "linear" or "cosine".
        diffusion_steps: number of steps of the schedule.
        rescale_timesteps: whether the network was told 1000 t / steps in place of t.
        dropout: for training it further.
        class_cond: whether it must have classes; None to take it as it is.
        part: which dictionary of the file, where it has several; see ``read_tensors``.

    >>> GuidedDiffusion(num_head_channels=64, attention_order="legacy").diffusion_steps
    1000
    """

    image_size: int | None = None
    num_heads: int | None = None
    num_head_channels: int | None = None
    num_heads_upsample: int | None = None
    attention_order: AttentionOrder | None = None
    noise_schedule: Literal["linear", "cosine"] | None = None
    diffusion_steps: int = 1000
    rescale_timesteps: bool = False
    dropout: float = 0.0
    class_cond: bool | None = None
    part: str | None = None

    def __post_init__(self):
        for name, value, known in (
            ("attention_order", self.attention_order, get_args(AttentionOrder)),
            ("noise_schedule", self.noise_schedule, ("linear", "cosine")),
        ):
            if value is not None and value not in known:
                raise ValueError(f"{name}: got {value!r}; wants {' or '.join(known)}.")


def network_settings(path: Any, shapes: Shapes, told: GuidedDiffusion) -> "UNetSettings":
    """The architecture of the network whose weights have these shapes.

    Raises:
        ValueError: weights of something else, or options that are missing or contradicted.
    """
    from brenier.images import Timesteps, UNetSettings

    colours, outputs = _ends(path, shapes)
    width = shapes[_FIRST][1]
    levels, blocks = _levels(path, shapes)
    sizes = [_channels(path, shapes, range(1 + i, 1 + i + blocks)) for i in _places(levels, blocks)]
    multipliers = tuple(int(s / width) if s % width == 0 else s / width for s in sizes)
    classes = shapes["label_emb.weight"][0] if len(shapes.get("label_emb.weight", ())) == 2 else 0
    _check_told(path, told, classes)
    side = told.image_size or _SIZES.get(multipliers)
    wanted = [
        name
        for name, missing in (
            ("image_size", side is None),
            ("num_heads or num_head_channels", not (told.num_heads or told.num_head_channels)),
            ("noise_schedule", told.noise_schedule is None),
        )
        if missing
    ]
    deepest = sizes[-1]
    one_head = told.num_head_channels == deepest or (
        not told.num_head_channels and (told.num_heads, told.num_heads_upsample or 1) == (1, 1)
    )
    if told.attention_order is None and not one_head:
        wanted.append("attention_order")
    if wanted or side is None or told.noise_schedule is None:
        raise ValueError(
            f"{path}: got weights of multipliers {multipliers} that do not say everything; wants "
            f"{', '.join(wanted)} too, as the model was trained with."
        )
    attentive = [
        side >> level
        for level, place in enumerate(_places(levels, blocks))
        if f"input_blocks.{place + 1}.1.qkv.weight" in shapes
        or f"input_blocks.{place + 1}.1.norm.weight" in shapes
    ]
    residual = any(
        f"output_blocks.{i}.{j}.in_layers.0.weight" in shapes
        for i in range(levels * (blocks + 1))
        for j in (1, 2)
    )
    modulated = shapes.get("middle_block.0.emb_layers.1.bias", (2 * deepest,))[0] == 2 * deepest
    return UNetSettings(
        (side, side, colours),
        width=width,
        multipliers=multipliers,
        blocks=blocks,
        attention=tuple(attentive),
        heads=1 if told.num_head_channels else told.num_heads or 1,
        dropout=told.dropout,
        classes=classes,
        head_channels=told.num_head_channels or 0,
        up_heads=0 if told.num_head_channels else told.num_heads_upsample or 0,
        resampling="residual" if residual else "convolution",
        modulation="scale and shift" if modulated else "shift",
        variance=outputs == 2 * colours,
        timesteps=Timesteps(told.noise_schedule, told.diffusion_steps, told.rescale_timesteps),
    )


def converters(
    path: Any,
    tensors: Mapping[str, np.ndarray],
    skeleton: "UNet",
    leaves: Shapes,
    order: AttentionOrder | None,
) -> dict[str, Lazy]:
    """Each of our arrays, made when it is wanted, of the dtype of the file.

    Args:
        path: of the file, for messages.
        tensors: its arrays.
        skeleton: a network of the settings; its arrays are not looked at.
        leaves: the shapes of its arrays, by their places in it.
        order: of heads and of queries, keys and values, in the rows of ``qkv``.

    Raises:
        ValueError: missing, surplus and misshaped tensors, all named.
    """
    names = {place: _name(place, skeleton.settings) for place in leaves}
    wanted = {names[place]: _shape(names[place], shape) for place, shape in leaves.items()}
    missing = [name for name in wanted if name not in tensors]
    surplus = [name for name in tensors if name not in wanted]
    bent = [
        f"{name} of {tensors[name].shape} (not {shape})"
        for name, shape in wanted.items()
        if name in tensors and tensors[name].shape != shape
    ]
    foreign = [
        f"{name} of {array.dtype}"
        for name, array in tensors.items()
        if name in wanted and array.dtype.name not in ("float16", "bfloat16", "float32", "float64")
    ]
    kinds = (("missing", missing), ("surplus", surplus), ("misshaped", bent), ("no real", foreign))
    faults = [f"{len(found)} {kind}: {_listed(found)}" for kind, found in kinds if found]
    if faults:
        raise ValueError(
            f"{path}: got tensors that do not fit a network of guided-diffusion with these "
            f"settings ({'; '.join(faults)}); wants its state_dict, whole."
        )
    return {
        place: Lazy(
            tensors[names[place]].dtype,
            shape,
            functools.partial(
                _converted, place, tensors[names[place]], _heads(skeleton, place, order)
            ),
        )
        for place, shape in leaves.items()
    }


def _converted(place: str, array: np.ndarray, heads: int) -> np.ndarray:
    """The array in our layout: inputs before outputs, sines first, q, k and v before heads."""
    if place == "labels" or (array.ndim == 1 and not heads):
        return array
    if heads:
        parts = array.reshape(heads, 3, -1, *array.shape[1:])
        array = np.ascontiguousarray(parts.swapaxes(0, 1)).reshape(array.shape)
        if array.ndim == 1:
            return array
    if place.endswith(".kernel"):
        return np.ascontiguousarray(array.transpose(2, 3, 1, 0))
    array = array.reshape(len(array), -1)
    if place == "embedding.0.weight":
        array = np.roll(array, array.shape[1] // 2, axis=1)
    return np.ascontiguousarray(array.T)


def _heads(skeleton: "UNet", place: str, order: AttentionOrder | None) -> int:
    """The heads whose rows are to be sorted; 0 for none."""
    module, _, _ = place.rpartition(".")
    if order == "new" or not module.endswith("attention.queries"):
        return 0
    room, *rest = module.split(".")
    step: Any = getattr(skeleton, room)
    for index in rest[:-2]:
        step = step[int(index)]
    return step.attention.heads


def _name(place: str, settings: "UNetSettings") -> str:
    """What our array at this place is called there."""
    if place == "labels":
        return "label_emb.weight"
    module, _, leaf = place.rpartition(".")
    end = _LEAVES[leaf]
    if module in _ENDS:
        return f"{_ENDS[module]}.{end}"
    room, *rest = module.split(".")
    blocks, levels = settings.blocks, len(settings.multipliers)
    if room == "middle":
        if rest[1] == "attention":
            return f"middle_block.1.{_OF_ATTENTION[rest[2]]}.{end}"
        return f"middle_block.{2 * int(rest[0])}.{_OF_BLOCK[rest[2]]}.{end}"
    level = int(rest[0])
    if room == "halving":
        inside = "op" if len(rest) == 1 else _OF_BLOCK[rest[1]]
        return f"input_blocks.{(level + 1) * (blocks + 1)}.0.{inside}.{end}"
    if room == "doubling":
        height = settings.heights[levels - 1 - level]
        position = 2 if height in settings.attention else 1
        inside = "conv" if len(rest) == 1 else _OF_BLOCK[rest[1]]
        return f"output_blocks.{level * (blocks + 1) + blocks}.{position}.{inside}.{end}"
    first, kind = (1, "input_blocks") if room == "down" else (0, "output_blocks")
    home = f"{kind}.{first + level * (blocks + 1) + int(rest[1])}"
    if rest[2] == "attention":
        return f"{home}.1.{_OF_ATTENTION[rest[3]]}.{end}"
    return f"{home}.0.{_OF_BLOCK[rest[3]]}.{end}"


def _shape(name: str, own: tuple[int, ...]) -> tuple[int, ...]:
    """The shape there of an array that has this one here."""
    if len(own) == 4:
        return (own[3], own[2], own[0], own[1])
    if len(own) == 1 or name == "label_emb.weight":
        return own
    return (*own[::-1], *_ONES.get(name.split(".")[-2], ()))


def _ends(path: Any, shapes: Shapes) -> tuple[int, int]:
    """Channels of the images, and of what the network gives."""
    axes = {_FIRST: 2, _STEM: 4, _HEAD: 4}
    missing = [name for name, count in axes.items() if len(shapes.get(name, ())) != count]
    colours, outputs = (0, 0) if missing else (shapes[_STEM][1], shapes[_HEAD][0])
    if not missing and colours <= 4 and outputs in (colours, 2 * colours):
        return colours, outputs
    got = f"{colours} channels in and {outputs} out, as an upsampler has"
    if missing:
        said = (kind for start, kind in _OTHERS.items() if any(n.startswith(start) for n in shapes))
        got = next(said, f"tensors as {_listed(list(shapes))}")
    lacks = f" (no {', '.join(missing)} of {[axes[name] for name in missing]} axes)"
    raise ValueError(
        f"{path}: got {got}{lacks if missing else ''}; wants a network of guided-diffusion, of as "
        "many channels out as in, or twice as many."
    )


def _levels(path: Any, shapes: Shapes) -> tuple[int, int]:
    """The number of resolutions, and of residual blocks at each."""
    homes = {
        tuple(map(int, name.split(".")[1:3]))
        for name in shapes
        if name.startswith("output_blocks.") and all(p.isdigit() for p in name.split(".")[1:3])
    }
    count = 1 + max((block for block, _ in homes), default=-1)
    doubled = {
        block
        for block, place in homes
        if place
        and any(
            f"output_blocks.{block}.{place}.{name}" in shapes
            for name in ("conv.weight", "conv.bias", "in_layers.0.weight", "in_layers.0.bias")
        )
    }
    levels = 1 + len(doubled)
    if count < 2 * levels or count % levels:
        raise ValueError(
            f"{path}: got {count} output_blocks, of which {len(doubled)} double the resolution; "
            f"wants as many at each of {levels} resolutions, and two at least."
        )
    return levels, count // levels - 1


def _places(levels: int, blocks: int) -> list[int]:
    """The number before that of the first input block of each resolution."""
    return [level * (blocks + 1) for level in range(levels)]


def _channels(path: Any, shapes: Shapes, blocks: range) -> int:
    """Those of a resolution, by what most of its tensors say."""
    names = [
        f"input_blocks.{block}.0.out_layers.{end}"
        for block in blocks
        for end in ("0.weight", "0.bias", "3.weight", "3.bias")
    ]
    said = Counter(shapes[name][0] for name in names if shapes.get(name))
    if not said:
        raise ValueError(f"{path}: got none of {_listed(names)}; wants a residual block there.")
    return said.most_common(1)[0][0]


def _check_told(path: Any, told: GuidedDiffusion, classes: int) -> None:
    if told.class_cond is not None and told.class_cond != bool(classes):
        got = f"{classes} classes" if classes else "no classes (no label_emb.weight)"
        raise ValueError(f"{path}: got {got}; wants class_cond={bool(classes)}.")


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
