"""Models saved by the ``diffusers`` library: the optional extra ``brenier[diffusers]``."""

import importlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

# Imported where a model is read: most who open files have none.
if TYPE_CHECKING:
    from brenier.images import ImageModel
    from brenier.velocities import AbstractSchedule

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
    """
    from brenier.images import HostNetwork, ImageModel

    home = Path(folder)
    network_home = home / "unet" if (home / "unet").is_dir() else home
    scheduler_home = home / "scheduler" if (home / "scheduler").is_dir() else home
    config = _config(network_home / "config.json")
    plan = _config(scheduler_home / "scheduler_config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise ValueError(f"{network_home}: got a {config.get('_class_name')}; wants a UNet2DModel.")
    prediction = _PREDICTIONS.get(plan.get("prediction_type", "epsilon"))
    if prediction is None:
        raise ValueError(
            f"{scheduler_home}: got the prediction {plan['prediction_type']!r}; wants "
            f"one of {sorted(_PREDICTIONS)}."
        )
    schedule, signals = _schedule(scheduler_home, plan)
    try:
        torch = importlib.import_module("torch")
        diffusers = importlib.import_module("diffusers")
    except ImportError as error:
        raise ValueError(
            f"{folder}: got a diffusers model, and no {error.name} to run it; wants "
            "pip install 'brenier[diffusers]'."
        ) from None
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

    size = config["sample_size"]
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    return ImageModel(
        HostNetwork(evaluate),
        (height, width, config["in_channels"]),
        cast(Literal["epsilon", "v"], prediction),
        schedule,
        classes=config.get("num_class_embeds") or 0,
    )


def _schedule(home: Path, plan: dict[str, Any]) -> "tuple[AbstractSchedule, np.ndarray]":
    """The schedule in continuous time, and the table √ᾱ of the discrete schedule."""
    from brenier.velocities import CosineSchedule, LinearSchedule

    count, kind = plan.get("num_train_timesteps", 1000), plan.get("beta_schedule", "linear")
    first, last = plan.get("beta_start", 1e-4), plan.get("beta_end", 0.02)
    if kind == "linear":
        betas = np.linspace(first, last, count)
        schedule: AbstractSchedule = LinearSchedule(first * count, last * count)
    elif kind == "squaredcos_cap_v2":
        schedule = CosineSchedule()
        shares = (np.arange(count + 1) / count + 0.008) / 1.008
        bars = np.cos(0.5 * np.pi * shares) ** 2
        betas = np.minimum(1.0 - bars[1:] / bars[:-1], 0.999)
    else:
        raise ValueError(f"{home}: got the schedule {kind!r}; wants linear or squaredcos_cap_v2.")
    return schedule, np.sqrt(np.cumprod(1.0 - betas))


def _config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(f"{file}: got no such file; wants a model folder of diffusers.")
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: got no JSON ({error}); wants diffusers' own.") from None
    if not isinstance(config, dict):
        raise ValueError(f"{file}: got no configuration; wants diffusers' own.")
    return config
