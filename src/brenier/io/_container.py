"""The container of maps and checkpoints: a zip of plain arrays and one JSON manifest.

Members are stored uncompressed with fixed timestamps, so the same content gives the same bytes.
"""

import hashlib
import importlib.metadata
import io
import json
import math
import os
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brenier.io._atomic import atomic_write

FORMAT_VERSION = 1
_MANIFEST = "manifest.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_END_OF_ZIP = b"PK\x05\x06"
_END_SIZE = 22
# What zipfile and struct raise on damaged headers; all of them mean the same to the user.
_DAMAGE = (
    zipfile.BadZipFile,
    RuntimeError,
    EOFError,
    OSError,
    OverflowError,
    ValueError,
    KeyError,
    struct.error,
    IndexError,
)


class DamagedFileError(ValueError):
    """A file that brenier wrote, and something has damaged since."""


def write_container(
    path: str | os.PathLike[str], kind: str, content: dict[str, Any], arrays: Sequence[np.ndarray]
) -> None:
    """Write ``content`` (plain JSON) and ``arrays`` to one file, atomically."""
    members = [(f"arrays/{i}.npy", _npy_bytes(array)) for i, array in enumerate(arrays)]
    manifest = {
        "format": "brenier",
        "format_version": FORMAT_VERSION,
        "brenier_version": importlib.metadata.version("brenier"),
        "kind": kind,
        "arrays": len(members),
        **content,
    }
    manifest["sha256"] = _digest(manifest, [data for _, data in members])
    members.insert(0, (_MANIFEST, _json_bytes(manifest) + b"\n"))
    with atomic_write(path) as handle, zipfile.ZipFile(handle, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


def read_container(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The manifest and the arrays of a file, or a ``ValueError`` that says what is wrong with it.

    The causes told apart: no such file, not a brenier file, truncated, altered, written by a newer
    brenier, of another kind.
    """
    data = _read_bytes(path)
    if not data.startswith(b"PK\x03\x04"[: max(len(data), 1)]):
        raise DamagedFileError(
            f"{path}: got a file that brenier did not write; wants a brenier file."
        )
    if data[-_END_SIZE:][:4] != _END_OF_ZIP:
        raise DamagedFileError(
            f"{path}: got a truncated file (or one with bytes added at its end); wants the whole "
            "file: copy it again, or save again."
        )
    altered = DamagedFileError(
        f"{path}: got an altered file (its checksum does not match its content); wants the file "
        "as brenier wrote it: copy it again, or save again."
    )
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        names = archive.namelist()
    except _DAMAGE:
        raise altered from None
    if _MANIFEST not in names:
        raise ValueError(f"{path}: got a zip that brenier did not write; wants a brenier file.")
    try:
        manifest = json.loads(archive.read(_MANIFEST))
    except _DAMAGE:
        raise altered from None
    if not isinstance(manifest, dict) or manifest.get("format") != "brenier":
        raise ValueError(f"{path}: got a zip that brenier did not write; wants a brenier file.")
    version = manifest.get("format_version")
    if not isinstance(version, int):
        raise altered
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path}: got a file of format {version}, written by brenier "
            f"{manifest.get('brenier_version')}; this brenier reads formats up to "
            f"{FORMAT_VERSION}: upgrade brenier."
        )
    try:
        members = [archive.read(f"arrays/{i}.npy") for i in range(len(names) - 1)]
        intact = manifest.pop("sha256") == _digest(manifest, members)
        arrays = [_read_npy(member) for member in members] if intact else []
    except _DAMAGE:
        raise altered from None
    if not intact or len(arrays) != manifest["arrays"]:
        raise altered
    if manifest["kind"] != kind:
        raise ValueError(f"{path}: got a brenier {manifest['kind']}; wants a brenier {kind}.")
    return manifest, arrays


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    file = Path(path)
    if file.is_dir():
        raise ValueError(
            f"{path}: got a folder; wants a brenier file (brenier.io.load_model reads the "
            "folder of an image model)."
        )
    if not file.is_file():
        raise ValueError(f"{path}: got no such file; wants a brenier file.")
    data = file.read_bytes()
    if not data:
        raise DamagedFileError(f"{path}: got an empty file; wants a brenier file.")
    return data


def _json_bytes(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode()


def _digest(manifest: dict[str, Any], members: Sequence[bytes]) -> str:
    digest = hashlib.sha256(_json_bytes(manifest))
    for member in members:
        digest.update(len(member).to_bytes(8, "little") + member)
    return digest.hexdigest()


def _npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    little_endian = array.dtype.newbyteorder("<")
    np.save(stream, np.asarray(array, dtype=little_endian, order="C"), allow_pickle=False)
    return stream.getvalue()


def _read_npy(data: bytes) -> np.ndarray:
    """The array of an .npy member, with no more memory than the member has bytes."""
    stream = io.BytesIO(data)
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    count = math.prod(shape)
    if dtype.kind not in "biufc" or min(shape, default=0) < 0:
        raise ValueError
    if stream.tell() + count * dtype.itemsize != len(data):
        raise ValueError
    return np.frombuffer(data, dtype, count, stream.tell()).reshape(shape).copy()
