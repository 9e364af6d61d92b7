"""Models saved by the ``diffusers`` library: the optional extra ``brenier[diffusers]``."""

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from brenier._extras import check_installed
from brenier._json import parsed_json
from brenier.io._refusals import check_file, one_line, refusing

# Imported where a model is read: most who open files have none.
if TYPE_CHECKING:
    from brenier.images import ImageModel
    from brenier.velocities import AbstractSchedule

_STEPS = 10**6  # of a schedule, at most
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


def load_diffusers(folder: str | os.PathLike[str]) -> "ImageModel":
    """The ``UNet2DModel`` in a folder, with the DDPM or DDIM scheduler beside it, as a model.

    The folder is that of a pipeline, with ``unet/`` and ``scheduler/`` in it, or holds
    ``config.json`` and ``scheduler_config.json`` itself. The network runs in PyTorch, called from
    JAX batch by batch. Encoders, decoders and DDIM work; likelihoods and Jacobians, which need
    derivatives, do not.

    The 1000 discrete noise levels of the scheduler become continuous by interpolation. Only weights
    in safetensors are loaded: nothing in the folder can run code.

    Raises:
        ValueError: the extra is not installed, no such folder, a network that is not a
            ``UNet2DModel``, or a schedule or prediction that brenier does not know.

    >>> load_diffusers("my-ddpm")
    Traceback (most recent call last):
        ...
    ValueError: my-ddpm/config.json: got no such file; wants a model folder of diffusers.
    """
    from brenier.images import HostNetwork, ImageModel

    home = Path(folder)
    network_home = home / "unet" if (home / "unet").is_dir() else home
    scheduler_home = home / "scheduler" if (home / "scheduler").is_dir() else home
    config = _config(network_home / "config.json")
    plan = _config(scheduler_home / "scheduler_config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise ValueError(
            f"{network_home}: got a {one_line(config.get('_class_name'))}; wants a UNet2DModel."
        )
    predicted = plan.get("prediction_type", "epsilon")
    if not isinstance(predicted, str) or predicted not in _PREDICTIONS:
        raise ValueError(
            f"{scheduler_home}: got the prediction {predicted!r:.100}; wants "
            f"one of {sorted(_PREDICTIONS)}."
        )
    shape, classes = _shape(network_home, config)
    schedule, signals = _schedule(scheduler_home, plan)
    check_installed(str(folder), "torch", "diffusers")
    torch, diffusers = importlib.import_module("torch"), importlib.import_module("diffusers")
    # diffusers promises no list of what it raises.
    with refusing(network_home, "a model that diffusers cannot open", "one it wrote"):
        network = diffusers.UNet2DModel.from_pretrained(network_home, use_safetensors=True).eval()

    def evaluate(at: np.ndarray, images: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        # The signals decrease along the table; np.interp wants them increasing.
        steps = np.interp(at, signals[::-1], np.arange(len(signals))[::-1])
        batch = torch.from_numpy(np.array(images.transpose(0, 3, 1, 2), np.float32, order="C"))
        classes = None if labels is None else torch.from_numpy(np.array(labels, np.int64))
        with torch.no_grad():
            found = network(
                batch, torch.from_numpy(np.array(steps, np.float32)), class_labels=classes
            ).sample
        return found.numpy().transpose(0, 2, 3, 1)

    return ImageModel(
        HostNetwork(evaluate),
        shape,
        cast(Literal["epsilon", "v"], _PREDICTIONS[predicted]),
        schedule,
        classes=classes,
    )


def _shape(home: Path, config: dict[str, Any]) -> tuple[tuple[int, int, int], int]:
    """(height, width, channels) of the images, and the number of classes.

    Raises:
        ValueError: impossible ones, or layers of more weights than the files beside have bytes.
    """
    size = config.get("sample_size")
    sides: list[Any] = size if isinstance(size, list) else [size, size]
    widths = config.get("block_out_channels", [])
    counts: list[Any] = [*sides, config.get("in_channels"), config.get("layers_per_block", 1)]
    classes = config.get("num_class_embeds", 0)
    classes = 0 if classes is None else classes
    lists = len(sides) == 2 and isinstance(widths, list)
    if (
        not lists
        or not all(map(_is_count, (*counts, *widths)))
        or not (classes == 0 or _is_count(classes))
    ):
        raise ValueError(
            f"{home}: got a network of {counts!s:.100} (sides, channels, layers), widths "
            f"{widths!r:.100} and {classes!r:.100} classes; wants integers above 0."
        )
    held = sum(file.stat().st_size for file in home.glob("*.safetensors"))
    least = 9 * counts[3] * sum(width**2 for width in widths)
    if held and least > held:
        raise ValueError(
            f"{home}: got layers of at least {least:,} weights beside files of {held:,} bytes; "
            "wants the configuration of these weights."
        )
    return (sides[0], sides[1], counts[2]), classes


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _schedule(home: Path, plan: dict[str, Any]) -> "tuple[AbstractSchedule, np.ndarray]":
    """The schedule in continuous time, and the table √ᾱ of the discrete schedule."""
    from brenier.velocities import CosineSchedule, LinearSchedule

    count, kind = plan.get("num_train_timesteps", 1000), plan.get("beta_schedule", "linear")
    first, last = plan.get("beta_start", 1e-4), plan.get("beta_end", 0.02)
    rates = isinstance(first, float | int) and isinstance(last, float | int)
    if not (rates and 0.0 < first <= last < 1.0 and _is_count(count) and count <= _STEPS):
        raise ValueError(
            f"{home}: got {count!r:.100} steps of rates {first!r:.100} to {last!r:.100}; wants at "
            f"most {_STEPS:,} steps, of rates between 0 and 1 that do not fall."
        )
    if kind == "linear":
        betas = np.linspace(first, last, count)
        schedule: AbstractSchedule = LinearSchedule(first * count, last * count)
    elif kind == "squaredcos_cap_v2":
        schedule = CosineSchedule()
        shares = (np.arange(count + 1) / count + 0.008) / 1.008
        bars = np.cos(0.5 * np.pi * shares) ** 2
        betas = np.minimum(1.0 - bars[1:] / bars[:-1], 0.999)
    else:
        raise ValueError(
            f"{home}: got the schedule {kind!r:.100}; wants linear or squaredcos_cap_v2."
        )
    return schedule, np.sqrt(np.cumprod(1.0 - betas))


def _config(file: Path) -> dict[str, Any]:
    check_file(file, "a model folder of diffusers")
    config = parsed_json(str(file), file.read_bytes())
    if not isinstance(config, dict):
        raise ValueError(f"{file}: got no configuration; wants diffusers' own.")
    return config
