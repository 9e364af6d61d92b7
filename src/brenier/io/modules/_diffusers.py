"""Models saved by the ``diffusers`` library, read without it and without PyTorch."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._annotations import check_fields
from brenier._json import parsed_json
from brenier.io._refusals import check_file, one_line, refusing
from brenier.io.modules._diffusers_schedule import Scheduler, read_scheduler
from brenier.io.tensors import read_tensors

# Imported where a model is read: most who open files have none.
if TYPE_CHECKING:
    from brenier.images import ImageModel, UNet2DSettings

_NETWORK = "UNet2DModel"
# diffusers' own defaults, for files of versions that did not write them.
_DEFAULTS: Mapping[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownBlock2D", *["AttnDownBlock2D"] * 3],
    "up_block_types": [*["AttnUpBlock2D"] * 3, "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
}


def load_diffusers(folder: str | os.PathLike[str], *, clipping: bool = True) -> "ImageModel":
    """The ``UNet2DModel`` in a folder, with the scheduler beside it, as a model in JAX.

    The folder is that of a pipeline, with ``unet/`` and ``scheduler/`` in it, or holds
    ``config.json`` and ``scheduler_config.json`` itself. Weights are ``.safetensors`` or ``.bin``,
    whole or sharded; see ``read_tensors``. Nothing in the folder can run code.

    The scheduler is DDPM, DDIM, PNDM, DPM-Solver (multistep and singlestep), Euler, EDM (Euler and
    DPM-Solver) or FlowMatchEuler; each becomes the one velocity that the encoder integrates. Where
    its steps lie (``timestep_spacing``, ``steps_offset``, ``set_alpha_to_one``, Karras sigmas) is
    what ``ddim_decoder`` and ``ddim_encoder`` follow, in steps of first order.

    Args:
        folder: the folder.
        clipping: whether to keep the scheduler's ``clip_sample``, by which ``ddim_decoder`` cuts
            predicted images. It has no inverse: encoders refuse it, and ``thresholding`` is refused
            at once. False leaves both out.

    Raises:
        ValueError: no such folder, a network that is not a ``UNet2DModel``, a scheduler, a schedule
            or a prediction that brenier does not know, switches that have no deterministic inverse,
            tensors that are missing, surplus or of another shape.

    >>> load_diffusers("my-ddpm")
    Traceback (most recent call last):
        ...
    ValueError: my-ddpm/config.json: got no such file; wants a model folder of diffusers.
    """
    from brenier.images import ImageModel, UNet2D
    from brenier.velocities import TableSchedule

    network_home, tensors, settings, scheduler = _read(Path(folder), clipping)
    network = UNet2D.of_tensors(str(network_home), tensors, settings)
    return ImageModel(
        network,
        settings.shape,
        settings.noise.gives,
        TableSchedule(scheduler.signals),
        classes=0 if settings.class_embed_type == "identity" else settings.classes,
        sampling=scheduler.sampling,
    )


def is_diffusers_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder looks like one of diffusers.

    >>> is_diffusers_folder("no-such-folder")
    False
    """
    home = Path(folder)
    files = ("model_index.json", "unet/config.json", "scheduler_config.json")
    return any((home / file).is_file() for file in files)


def _read(
    home: Path, clipping: bool
) -> "tuple[Path, dict[str, np.ndarray], UNet2DSettings, Scheduler]":
    """Where the network lies, its weights, its architecture, and the scheduler."""
    network_home = home / "unet" if (home / "unet").is_dir() else home
    scheduler_home = home / "scheduler" if (home / "scheduler").is_dir() else home
    config = _config(network_home / "config.json")
    plan = _config(scheduler_home / "scheduler_config.json")
    if config.get("_class_name") != _NETWORK:
        raise ValueError(
            f"{network_home}: got a {one_line(config.get('_class_name'))}; wants a {_NETWORK}."
        )
    scheduler = read_scheduler(scheduler_home, plan, clipping=clipping)
    # Before the architecture, which is measured by them.
    tensors = read_tensors(network_home)
    return network_home, tensors, _settings(network_home, config, scheduler), scheduler


def _settings(home: Path, config: dict[str, Any], scheduler: Scheduler) -> "UNet2DSettings":
    """The architecture.

    Raises:
        ValueError: an impossible one, or one of more weights than the files beside have bytes.
    """
    from brenier.images import UNet2DSettings

    config = {**_DEFAULTS, **config}
    size = config.get("sample_size")
    if size is None:
        raise ValueError(
            f"{home}: got sample_size None; wants config.json to say the side of the images."
        )
    sides = size if isinstance(size, list) else [size, size]
    fields = {field.name for field in dataclasses.fields(UNet2DSettings)} - {"shape", "noise"}
    given = {name: value for name, value in config.items() if name in fields}
    given |= {"shape": (*sides, config["in_channels"]), "noise": scheduler.noise}
    # What older versions wrote as null stands for the default.
    given = {
        name: value for name, value in given.items() if value is not None or _may_be_none(name)
    }
    check_fields(UNet2DSettings, given, str(home))
    with refusing(home, "an impossible network", "one that diffusers wrote", ValueError):
        settings = UNet2DSettings(**given)
    held = sum(file.stat().st_size for file in home.iterdir() if file.is_file())
    if settings.fewest_weights > held:
        raise ValueError(
            f"{home}: got layers of at least {settings.fewest_weights:,} weights beside files of "
            f"{held:,} bytes; wants the configuration of these weights."
        )
    return settings


def _may_be_none(name: str) -> bool:
    return name in (
        "time_embedding_dim", "mid_block_type", "attention_head_dim", "norm_num_groups",
        "attn_norm_num_groups", "class_embed_type", "num_class_embeds", "num_train_timesteps",
    )  # fmt: skip


def _config(file: Path) -> dict[str, Any]:
    check_file(file, "a model folder of diffusers")
    config = parsed_json(str(file), file.read_bytes())
    if not isinstance(config, dict):
        raise ValueError(f"{file}: got no configuration; wants diffusers' own.")
    return config
