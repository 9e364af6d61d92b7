"""Folders of image models: weights in safetensors, configuration in JSON."""

import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier.io._atomic import atomic_write
from brenier.io._outputs import check_output_folder
from brenier.io._tree import decode, encode

# Imported where a model is written or read: most who open files have none.
if TYPE_CHECKING:
    from brenier.images import ImageModel, UNet

MODEL_FORMAT = "brenier image model"
MODEL_VERSION = 1
_CONFIG, _WEIGHTS = "config.json", "weights.safetensors"


def save_model(
    folder: str | os.PathLike[str], model: "ImageModel", about: Mapping[str, Any] | None = None
) -> None:
    """Write a model to a folder, which is made where it is missing.

    ``weights.safetensors`` gets the weights of the model's ``UNet``, named by their place in it;
    ``config.json`` the rest of the model, and ``about`` (plain JSON, on its training).

    Raises:
        ValueError: another network than a ``UNet``, or a folder that is a file.

    >>> import tempfile
    >>> from brenier.images import ImageModel, UNet, UNetSettings
    >>> from brenier.velocities import CosineSchedule
    >>> net = UNet.random(jax.random.key(0), UNetSettings(width=2, multipliers=(1,)))
    >>> folder = tempfile.mkdtemp()
    >>> save_model(folder, ImageModel(net, (8, 8, 1), "v", CosineSchedule()))
    >>> load_model(folder).dimension
    64
    """
    from safetensors.numpy import save

    from brenier.images import UNet

    home = Path(folder)
    check_model_folder(home)
    if not isinstance(model.network, UNet):
        raise ValueError(
            f"model: got a {type(model.network).__name__} as its network; wants a "
            "UNet (of another one, keep the code that makes it)."
        )
    home.mkdir(parents=True, exist_ok=True)
    config = {
        "format": MODEL_FORMAT,
        "format_version": MODEL_VERSION,
        "brenier_version": importlib.metadata.version("brenier"),
        "shape": model.shape,
        "prediction": model.prediction,
        "levels": model.levels,
        "classes": model.classes,
        "schedule": encode(model.schedule, "schedule", []),
        "network": dataclasses.asdict(model.network.settings),
        "about": dict(about or {}),
    }
    weights = {name: np.asarray(leaf) for name, leaf in _named(model.network).items()}
    with atomic_write(home / _WEIGHTS) as handle:
        handle.write(save(weights, metadata={"format": MODEL_FORMAT}))
    with atomic_write(home / _CONFIG) as handle:
        handle.write(json.dumps(config, indent=1, allow_nan=False).encode() + b"\n")


def load_model(folder: str | os.PathLike[str]) -> "ImageModel":
    """The model that ``save_model`` wrote. Nothing in the folder can run code.

    Raises:
        ValueError: no such folder, one of another format or a newer version, damaged weights, or
            weights that do not fit the configuration.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from brenier.images import ImageModel, UNet, UNetSettings
    from brenier.velocities import AbstractSchedule

    home = Path(folder)
    config = read_model_config(home)
    try:
        height, width, channels = config["network"]["shape"]
        settings = {name: config["network"][name] for name in _network_settings()}
        skeleton = UNet.random(
            jax.random.key(0), UNetSettings((height, width, channels), **settings)
        )
        schedule = decode(config["schedule"], [], "schedule", str(config.get("brenier_version")))
        shape, classes, levels = tuple(config["shape"]), config["classes"], config["levels"]
        prediction = config["prediction"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{home / _CONFIG}: got a configuration without {error}; wants the file "
            "as brenier wrote it."
        ) from None
    if not isinstance(schedule, AbstractSchedule):
        raise ValueError(
            f"{home / _CONFIG}: got {type(schedule).__name__} as the schedule; wants "
            "a schedule of brenier."
        )
    if not (home / _WEIGHTS).is_file():
        raise ValueError(f"{home}: got a folder without {_WEIGHTS}; wants a model folder.")
    try:
        weights = load((home / _WEIGHTS).read_bytes())
    except SafetensorError as error:
        raise ValueError(
            f"{home / _WEIGHTS}: got damaged weights ({error}); wants the file as it was written."
        ) from None
    wanted = {name: (tuple(leaf.shape), str(leaf.dtype)) for name, leaf in _named(skeleton).items()}
    got = {name: (leaf.shape, str(leaf.dtype)) for name, leaf in weights.items()}
    if got != wanted:
        name = min(set(got.items()) ^ set(wanted.items()))[0]
        raise ValueError(
            f"{home / _WEIGHTS}: got {got.get(name, 'nothing')} as {name}; wants "
            f"{wanted.get(name, 'no such array')}, by {_CONFIG}."
        )
    network = jax.tree.unflatten(
        jax.tree.structure(skeleton), [jnp.asarray(weights[name]) for name in _named(skeleton)]
    )
    return ImageModel(network, shape, prediction, schedule, levels, classes)


def read_model_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The configuration in a model folder: shape, prediction, classes, schedule, network, about.

    Raises:
        ValueError: no such folder, not a model folder, or one of a newer version.
    """
    file = Path(folder) / _CONFIG
    if not Path(folder).is_dir():
        raise ValueError(f"{folder}: got no such folder; wants a model folder.")
    if not file.is_file():
        raise ValueError(f"{folder}: got a folder without {_CONFIG}; wants a model folder.")
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: got no JSON ({error}); wants a model's configuration.") from None
    if not isinstance(config, dict) or config.get("format") != MODEL_FORMAT:
        kind = config.get("_class_name") if isinstance(config, dict) else None
        hint = " (brenier.io.load_diffusers reads those of diffusers)" if kind else ""
        raise ValueError(
            f"{folder}: got a folder of another format{hint}; wants one that brenier "
            "ddpm train wrote."
        )
    if config.get("format_version") != MODEL_VERSION:
        raise ValueError(
            f"{folder}: got a model of format {config.get('format_version')}, written "
            f"by brenier {config.get('brenier_version')}; this brenier reads format "
            f"{MODEL_VERSION}: upgrade brenier."
        )
    return config


def check_model_folder(folder: str | os.PathLike[str]) -> None:
    """Raise, before any work, where a model cannot be written.

    Raises:
        ValueError: a file, a folder that cannot be written to, or one with the configuration of
            another format.
    """
    home = Path(folder)
    if home.exists() and not home.is_dir():
        raise ValueError(f"{folder}: got a file; wants a folder to write a model to.")
    check_output_folder(home)
    if (home / _CONFIG).exists():
        read_model_config(home)


def _network_settings() -> list[str]:
    """What a network is built from, besides its shape."""
    from brenier.images import UNetSettings

    return [field.name for field in dataclasses.fields(UNetSettings) if field.name != "shape"]


def _named(network: "UNet") -> dict[str, Any]:
    """The arrays of a network by their place in it, as in ``down.0.0.block.first.kernel``."""
    leaves = jax.tree_util.tree_leaves_with_path(network)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
