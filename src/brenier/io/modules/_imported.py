"""Models of other programs, opened and made model folders of ours."""

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier.io._refusals import refusing
from brenier.io.modules._guided_diffusion import GuidedDiffusion, converters, network_settings
from brenier.io.modules._model_folder import (
    check_finite,
    check_model_folder,
    named_leaves,
    write_model,
)
from brenier.io.tensors import Lazy, read_tensors

# Imported where a model is read: most who open files have none.
if TYPE_CHECKING:
    from brenier.images import ImageModel

_AS_TRAINED = GuidedDiffusion()


def load_guided_diffusion(
    path: str | os.PathLike[str], told: GuidedDiffusion = _AS_TRAINED
) -> "ImageModel":
    """The model in a checkpoint of guided-diffusion ("ADM", Dhariwal & Nichol 2021).

    A state_dict of ``create_model``, in a file of PyTorch (read without it) or of safetensors; the
    file of the running average is the model, as its authors publish it. The network predicts ε at
    the steps of its schedule; between two steps it is called at a number between theirs. Learned
    variances are not used by encoders and decoders.

    Args:
        path: the file.
        told: what its weights do not say.

    Raises:
        ValueError: a file that cannot be read, or of another network (missing, surplus and
            misshaped tensors are named), or settings that are needed and not told.

    >>> load_guided_diffusion("no-such.pt")
    Traceback (most recent call last):
        ...
    ValueError: no-such.pt: got no such file; wants weights in safetensors or of PyTorch.
    """
    model, tensors = _opened(path, told)
    leaves = []
    for name, tensor in tensors.items():
        array = tensor.make()
        check_finite(str(path), name, array)
        # A copy in any case: the file may change.
        leaves.append(jnp.array(array, np.promote_types(array.dtype, np.float32)))
    network = jax.tree.unflatten(jax.tree.structure(model.network), leaves)
    return dataclasses.replace(model, network=network)


def import_guided_diffusion(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    told: GuidedDiffusion = _AS_TRAINED,
) -> dict[str, Any]:
    """Write a checkpoint of guided-diffusion as a model folder, as ``load_guided_diffusion``.

    The weights keep their precision. They go from file to file one by one: no more memory is held
    than the largest takes, beside the pages of the file.

    Args:
        path: the file.
        folder: the model folder; nothing is written where an error is found.
        told: what its weights do not say.

    Returns:
        what ``read_model_config`` has as ``about``: the file, its checksum, and the family.

    Raises:
        ValueError: as ``load_guided_diffusion`` and ``check_model_folder``.
    """
    home = Path(folder)
    check_model_folder(home)
    model, tensors = _opened(path, told)
    about = {
        "checkpoint": Path(path).name,
        "checkpoint_sha256": _checksum(Path(path)),
        "family": "guided-diffusion",
    }
    write_model(home, model, tensors, str(path), about)
    return about


def _checksum(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _opened(
    path: str | os.PathLike[str], told: GuidedDiffusion
) -> "tuple[ImageModel, dict[str, Lazy]]":
    """The model without its weights, and these, made one by one in its order."""
    from brenier.images import ImageModel, UNet

    arrays = read_tensors(path, told.part)
    settings = network_settings(path, {name: a.shape for name, a in arrays.items()}, told)
    with refusing(path, "an impossible network", "one of guided-diffusion", ValueError):
        skeleton = UNet.shapes(settings)
    leaves = {name: leaf.shape for name, leaf in named_leaves(skeleton).items()}
    tensors = converters(path, arrays, skeleton, leaves, told.attention_order)
    assert settings.timesteps is not None  # all networks of the family have them
    model = ImageModel(
        skeleton, settings.shape, "epsilon", settings.timesteps.table, classes=settings.classes
    )
    return model, tensors
