"""Named tensors of a network from whatever file, files or folder they lie in."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from brenier._json import parsed_json
from brenier.io._refusals import check_file
from brenier.io.tensors._safetensors import read_safetensors
from brenier.io.tensors._torch import read_torch

_SAFE, _INDEX = ".safetensors", ".index.json"
# A variant stands before the end: x.safetensors.index.fp16.json.
_INDICES = re.compile(r".+\.index(\.[^.]+)?\.json")
_TORCH = (".bin", ".pt", ".pth", ".ckpt")
# What networks are called in folders, the preferred name first.
_IN_FOLDERS = tuple(
    f"{stem}{ending}"
    for ending in (_SAFE, _SAFE + _INDEX, ".bin", ".bin" + _INDEX)
    for stem in ("diffusion_pytorch_model", "model", "pytorch_model")
)
# What data-parallel training puts before every name.
_WRAPPED = "module."


def read_tensors(path: str | os.PathLike[str], part: str | None = None) -> dict[str, np.ndarray]:
    """The tensors of a network by name, from a file of safetensors or of PyTorch, or a folder.

    A ``.pt``, ``.pth``, ``.bin`` or ``.ckpt`` is read without PyTorch, in its present format and in
    that before 1.6: tensors of any dtype, dictionaries, numbers and texts. Nothing in a file can
    run code: a pickle that asks for anything else is refused, by the name of what it asked for.
    Weights in several files are put together by their ``*.index.json``. Arrays lie in the files,
    which are mapped into memory: each page is read once, when it is used.

    Args:
        path: the file, an index, or a folder with one of diffusers' names in it.
        part: which dictionary of a file with several ("ema", "model/state_dict"); not needed where
            there is one.

    Returns:
        the arrays by name, read-only, in the dtype of the file (bfloat16 is that of ml_dtypes); a
        prefix ``module.`` of all names is left out.

    Raises:
        ValueError: no such file, a damaged one, one that asks for code, no tensors, several
            dictionaries without ``part``, or none of that name.

    >>> read_tensors("no-such.pt")
    Traceback (most recent call last):
        ...
    ValueError: no-such.pt: got no such file; wants weights in safetensors or of PyTorch.
    """
    home = Path(path)
    if home.is_dir():
        home = _in_folder(home)
    found = _sharded(home) if _INDICES.fullmatch(home.name) else _in_file(home, part)
    if not found:
        raise ValueError(f"{home}: got no tensors; wants the weights of a network.")
    if all(name.startswith(_WRAPPED) for name in found):
        return {name.removeprefix(_WRAPPED): array for name, array in found.items()}
    return found


def _in_file(path: Path, part: str | None = None) -> dict[str, np.ndarray]:
    check_file(path, "weights in safetensors or of PyTorch")
    if path.suffix != _SAFE:
        return read_torch(path, part)
    if part is not None:
        raise ValueError(f"part: got {part!r:.100} for {path}, which has no parts; wants none.")
    return read_safetensors(path)


def _in_folder(home: Path) -> Path:
    """The weights in a folder: diffusers' names first, else the only file that can be weights."""
    for name in _IN_FOLDERS:
        if (home / name).is_file():
            return home / name
    files = sorted(file for file in home.iterdir() if file.is_file())
    # Whole files beside an index are its parts.
    others = [file for file in files if _INDICES.fullmatch(file.name)] or [
        file for file in files if file.suffix in (_SAFE, *_TORCH)
    ]
    if len(others) != 1:
        names = ", ".join(file.name for file in others[:5]) or "none"
        raise ValueError(
            f"{home}: got {len(others)} files of weights ({names}); wants one, or "
            f"{_IN_FOLDERS[0]} or .bin (or name the file itself)."
        )
    return others[0]


def _sharded(index: Path) -> dict[str, np.ndarray]:
    """Weights in several files beside the index that says which tensor is in which."""
    check_file(index, "weights in safetensors or of PyTorch")
    plan = parsed_json(str(index), index.read_bytes())
    places: Any = plan.get("weight_map") if isinstance(plan, dict) else None
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise ValueError(f"{index}: got no weight_map; wants an index of sharded weights.")
    found: dict[str, np.ndarray] = {}
    for file in sorted(set(places.values())):
        if Path(file).name != file or _INDICES.fullmatch(file):
            raise ValueError(f"{index}: got the file {file!r:.200}; wants one beside the index.")
        shard = _in_file(index.parent / file)
        wanted = {name for name, place in places.items() if place == file}
        differ = sorted(wanted ^ set(shard))
        if differ:
            raise ValueError(
                f"{index.parent / file}: got {'no' if differ[0] in wanted else 'the'} tensor "
                f"{differ[0]:.200}; wants those of {index.name}, and no others."
            )
        found |= shard
    return found
