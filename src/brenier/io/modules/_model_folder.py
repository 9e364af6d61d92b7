"""Folders of image models: weights in safetensors, configuration in JSON."""

import dataclasses
import functools
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import jax
import jax.numpy as jnp
import numpy as np

from brenier._annotations import check_fields
from brenier._atomic import atomic_write
from brenier._json import parsed_json
from brenier._outputs import check_output_folder
from brenier._version import __version__
from brenier.io._refusals import one_line, refusing
from brenier.io.modules._container import digest_of_parts, plain_json
from brenier.io.modules._tree import decode, encode
from brenier.io.tensors import Lazy, Place, safetensors_parts, safetensors_places

# Imported where a model is written or read: most who open files have none.
if TYPE_CHECKING:
    from brenier.images import ImageModel, Sampling, UNet, UNet2D, UNet2DSettings, UNetSettings

MODEL_FORMAT = "brenier image model"
MODEL_VERSION = 1
_CONFIG, _WEIGHTS = "config.json", "weights.safetensors"
_PENDING = f"{_WEIGHTS}.new"
_AS_WRITTEN = "the file as brenier wrote it"
# What a configuration has had from the first version on.
_FIRST_SETTINGS = (
    "shape",
    "width",
    "multipliers",
    "blocks",
    "attention",
    "heads",
    "dropout",
    "classes",
)
_BLOCK = 2**24  # bytes that are read at a time


def save_model(
    folder: str | os.PathLike[str], model: "ImageModel", about: Mapping[str, Any] | None = None
) -> None:
    """Write a model to a folder, which is made where it is missing.

    ``weights.safetensors`` gets the weights of the model's network, named by their place in it;
    ``config.json`` the rest of the model, ``about`` (plain JSON, on its training) and a checksum
    over both files. Over another model: the old one, whole, until the new one is.

    Raises:
        ValueError: another network than a ``UNet`` or ``UNet2D``, weights that are no finite
            numbers, or a folder that is a file.

    >>> import tempfile
    >>> from brenier.images import ImageModel, UNet, UNetSettings
    >>> from brenier.velocities import CosineSchedule
    >>> net = UNet.random(jax.random.key(0), UNetSettings(width=2, multipliers=(1,)))
    >>> folder = tempfile.mkdtemp()
    >>> save_model(folder, ImageModel(net, (8, 8, 1), "v", CosineSchedule()))
    >>> load_model(folder).dimension
    64
    """
    from brenier.images import UNet, UNet2D

    home = Path(folder)
    check_model_folder(home)
    if not isinstance(model.network, UNet | UNet2D):
        raise ValueError(
            f"model: got a {type(model.network).__name__} as its network; wants a "
            "UNet or a UNet2D (of another one, keep the code that makes it)."
        )
    weights = {name: np.asarray(leaf) for name, leaf in named_leaves(model.network).items()}
    tensors = {
        name: Lazy(array.dtype, array.shape, functools.partial(np.asarray, array))
        for name, array in weights.items()
    }
    write_model(home, model, tensors, "model", about)


def write_model(
    home: Path,
    model: "ImageModel",
    tensors: Mapping[str, Lazy],
    source: str,
    about: Mapping[str, Any] | None = None,
) -> None:
    """``save_model`` of weights that are made one by one; those of ``model`` are not looked at.

    Args:
        home: the folder, which ``check_model_folder`` has seen.
        model: the model, whose network may hold shapes in place of weights.
        tensors: the weights, by their places in the network.
        source: what they come from, for messages.
        about: plain JSON, on the training.

    Raises:
        ValueError: weights that are no finite numbers; nothing is written then.
    """
    for name, tensor in tensors.items():
        check_finite(source, name, tensor.make())
    network: Any = model.network
    home.mkdir(parents=True, exist_ok=True)
    config = plain_json(
        {
            "format": MODEL_FORMAT,
            "format_version": MODEL_VERSION,
            "brenier_version": __version__,
            "shape": model.shape,
            "prediction": model.prediction,
            "levels": model.levels,
            "classes": model.classes,
            "precision": model.precision,
            "schedule": encode(model.schedule, "schedule", []),
            "sampling": None if model.sampling is None else dataclasses.asdict(model.sampling),
            "architecture": type(network).__name__,
            "network": dataclasses.asdict(network.settings),
            "about": dict(about or {}),
        }
    )
    size, parts = safetensors_parts(tensors, {"format": MODEL_FORMAT})
    _finish(home)
    with atomic_write(home / _PENDING) as handle:
        config["sha256"] = digest_of_parts(config, size, _written(handle, parts))
    # From this step on it is the new model: its weights are known by their checksum.
    with atomic_write(home / _CONFIG) as handle:
        handle.write(json.dumps(config, indent=1).encode() + b"\n")
    os.replace(home / _PENDING, home / _WEIGHTS)


def load_model(folder: str | os.PathLike[str]) -> "ImageModel":
    """The model that ``save_model`` wrote. Nothing in the folder can run code.

    Weights of half precision are widened. Folders of earlier versions have no checksum, and load
    without one.

    Raises:
        ValueError: no such folder, one of another format or a newer version, altered files,
            weights that do not fit the configuration or are no finite numbers.

    >>> import tempfile
    >>> from brenier.images import ImageModel, UNet, UNetSettings
    >>> from brenier.velocities import CosineSchedule
    >>> net, folder = UNet.random(jax.random.key(0), UNetSettings(width=2)), tempfile.mkdtemp()
    >>> save_model(folder, ImageModel(net, (8, 8, 1), "v", CosineSchedule()))
    >>> load_model(folder).shape
    (8, 8, 1)
    """
    from brenier.images import ImageModel

    home = Path(folder)
    file = home / _CONFIG
    config = read_model_config(home)
    place = _weights(home, config)
    try:
        network = config["network"]
        model = {name: config[name] for name in ("shape", "prediction", "levels", "classes")}
        # Folders of earlier versions have none.
        model["precision"] = config.get("precision", "highest")
        schedule = config["schedule"]
        settings = _network_settings(file, network, config.get("architecture", "UNet"))
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: got a configuration without {error}; wants the file as brenier wrote it."
        ) from None
    model["schedule"] = decode(
        schedule, [], f"{file}: schedule", one_line(config.get("brenier_version"))
    )
    model["sampling"] = _sampling(file, config.get("sampling"))
    check_fields(ImageModel, model, f"{file}: model")
    with refusing(place, "damaged weights", _AS_WRITTEN, ValueError):
        places = safetensors_places(place)
    held = sum(math.prod(tensor.shape) for tensor in places.values())
    with refusing(file, "an impossible network", _AS_WRITTEN, ValueError, OverflowError):
        if settings.fewest_weights > held:
            raise ValueError(
                f"a network of at least {settings.fewest_weights:,} weights beside a file of "
                f"{held:,}"
            )
        skeleton = _skeleton(settings)
    wanted = {name: tuple(leaf.shape) for name, leaf in named_leaves(skeleton).items()}
    got = {name: tensor.shape for name, tensor in places.items()}
    if got != wanted:
        name = min(set(got.items()) ^ set(wanted.items()))[0]
        raise ValueError(
            f"{place}: got {got.get(name, 'nothing')} as {name:.200}; wants "
            f"{wanted.get(name, 'no such array')}, by {_CONFIG}."
        )
    leaves = [jnp.array(_read(place, name, places[name])) for name in wanted]
    net = jax.tree.unflatten(jax.tree.structure(skeleton), leaves)
    with refusing(file, "an impossible model", _AS_WRITTEN, ValueError):
        return ImageModel(net, **{**model, "shape": tuple(model["shape"])})


def read_model_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The configuration in a model folder: shape, prediction, classes, schedule, network, about.

    Raises:
        ValueError: no such folder, not a model folder, or one of a newer version.

    >>> import tempfile
    >>> from brenier.images import ImageModel, UNet, UNetSettings
    >>> from brenier.velocities import CosineSchedule
    >>> net, folder = UNet.random(jax.random.key(0), UNetSettings(width=2)), tempfile.mkdtemp()
    >>> save_model(folder, ImageModel(net, (8, 8, 1), "v", CosineSchedule()))
    >>> read_model_config(folder)["prediction"]
    'v'
    """
    file = Path(folder) / _CONFIG
    if not Path(folder).is_dir():
        raise ValueError(f"{folder}: got no such folder; wants a model folder.")
    if not file.is_file():
        raise ValueError(f"{folder}: got a folder without {_CONFIG}; wants a model folder.")
    config = parsed_json(str(file), file.read_bytes())
    if not isinstance(config, dict) or config.get("format") != MODEL_FORMAT:
        kind = config.get("_class_name") if isinstance(config, dict) else None
        hint = " (brenier ddpm import makes one of diffusers' folders)" if kind else ""
        raise ValueError(
            f"{folder}: got a folder of another format{hint}; wants one that brenier "
            "ddpm train or import wrote."
        )
    if config.get("format_version") != MODEL_VERSION:
        raise ValueError(
            f"{folder}: got a model of format {one_line(config.get('format_version'))}, written "
            f"by brenier {one_line(config.get('brenier_version'))}; this brenier reads format "
            f"{MODEL_VERSION}: upgrade brenier."
        )
    return config


def check_model_folder(folder: str | os.PathLike[str]) -> None:
    """Raise, before any work, where a model cannot be written.

    Raises:
        ValueError: a file, a folder that cannot be written to, or one with the configuration of
            another format.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "model")
    >>> check_model_folder(path)
    >>> path.touch()
    >>> check_model_folder(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: ...: got a file; wants a folder to write a model to.
    """
    home = Path(folder)
    if home.exists() and not home.is_dir():
        raise ValueError(f"{folder}: got a file; wants a folder to write a model to.")
    check_output_folder(home)
    if (home / _CONFIG).exists():
        read_model_config(home)


def _skeleton(settings: "UNetSettings | UNet2DSettings") -> "UNet | UNet2D":
    """The network of an architecture, with shapes in place of weights."""
    from brenier.images import UNet, UNet2D, UNetSettings

    return UNet.shapes(settings) if isinstance(settings, UNetSettings) else UNet2D.shapes(settings)


def _sampling(file: Path, given: Any) -> "Sampling | None":
    """The steps of a model with a scheduler; older folders have none."""
    from brenier.images import Sampling

    if given is None:
        return None
    return _of_fields(Sampling, f"{file}: sampling", given)


def _of_fields(kind: type[Any], name: str, given: Any) -> Any:
    """A dataclass of plain JSON."""
    if not isinstance(given, dict):
        raise ValueError(f"{name}: got a {type(given).__name__}; wants {_AS_WRITTEN}.")
    check_fields(kind, given, name)
    with refusing(name, "impossible values", _AS_WRITTEN, ValueError, TypeError):
        return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})


def _network_settings(
    file: Path, given: dict[str, Any], architecture: Any
) -> "UNetSettings | UNet2DSettings":
    """The architecture in a configuration; what an older brenier did not know has its default."""
    from brenier.images import NoiseLevels, Timesteps, UNet2DSettings, UNetSettings

    if architecture == "UNet2D":
        noise = _of_fields(NoiseLevels, f"{file}: network.noise", given["noise"])
        return _of_fields(UNet2DSettings, f"{file}: network", {**given, "noise": noise})
    if architecture != "UNet":
        raise ValueError(
            f"{file}: got the architecture {architecture!r:.100}; wants UNet or UNet2D."
        )
    fields = dataclasses.fields(UNetSettings)
    values = {
        field.name: given[field.name]
        for field in fields
        if field.name in given or field.name in _FIRST_SETTINGS
    }
    if values.get("timesteps") is not None:
        name = f"{file}: network.timesteps"
        values["timesteps"] = _of_fields(Timesteps, name, values["timesteps"])
    check_fields(UNetSettings, values, f"{file}: network")
    return UNetSettings(**{**values, "shape": tuple(values["shape"])})


def _weights(home: Path, config: dict[str, Any]) -> Path:
    """Where the weights of the configuration lie.

    Where a writer was killed after its configuration, they still wait under another name.
    """
    for place in (home / _WEIGHTS, home / _PENDING):
        if place.is_file() and ("sha256" not in config or _belongs(home, config, place)):
            return place
    if not (home / _WEIGHTS).is_file():
        raise ValueError(f"{home}: got a folder without {_WEIGHTS}; wants a model folder.")
    raise ValueError(
        f"{home}: got altered files (the checksum in {_CONFIG} is not that of {_CONFIG} and "
        f"{_WEIGHTS}); wants both as brenier wrote them (who changed them on purpose deletes the "
        "line sha256)."
    )


def _finish(home: Path) -> None:
    """What a killed writer left to do: its weights get their name."""
    pending = home / _PENDING
    if not (pending.is_file() and (home / _CONFIG).is_file()):
        return
    if _belongs(home, read_model_config(home), pending):
        os.replace(pending, home / _WEIGHTS)


def _belongs(home: Path, config: dict[str, Any], place: Path) -> bool:
    """Whether these are the weights that the configuration was written with."""
    content = {key: value for key, value in config.items() if key != "sha256"}
    with (
        place.open("rb") as handle,
        refusing(home / _CONFIG, "no plain JSON", _AS_WRITTEN, ValueError, RecursionError),
    ):
        blocks = iter(functools.partial(handle.read, _BLOCK), b"")
        return digest_of_parts(content, place.stat().st_size, blocks) == config.get("sha256")


def _written(handle: BinaryIO, parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The parts, each of them written to the file."""
    for part in parts:
        handle.write(part)
        yield part


def _read(path: Path, name: str, place: Place) -> np.ndarray:
    """The weights at a place of a file, in single precision at least."""
    if place.dtype.kind not in "fV":  # those of machine learning are V
        raise ValueError(
            f"{path}: got damaged weights ({name:.200} of {place.dtype}); wants {_AS_WRITTEN}."
        )
    flat = np.fromfile(path, place.dtype, math.prod(place.shape), offset=place.start)
    array = flat.reshape(place.shape)
    array = array if array.dtype.itemsize >= 4 else array.astype(np.float32)
    check_finite(str(path), name, array)
    return array


def check_finite(source: str, place: str, array: np.ndarray) -> None:
    """Raise a ``ValueError`` where weights are NaN or infinite."""
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(
            f"{source}: got {bad:,} of {array.size:,} weights of {place} NaN or infinite; wants "
            "finite numbers."
        )


def named_leaves(network: "UNet | UNet2D") -> dict[str, Any]:
    """The arrays of a network by their place in it, as in ``down.0.0.block.first.kernel``."""
    leaves = jax.tree_util.tree_leaves_with_path(network)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
