"""The container of maps and checkpoints: a zip of plain arrays and one JSON manifest.

Members are stored uncompressed with fixed timestamps, so the same content gives the same bytes.
"""

import hashlib
import io
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brenier._atomic import atomic_write
from brenier._version import __version__
from brenier.io._refusals import check_file, check_unpacked, one_line

FORMAT_VERSION = 1
_MANIFEST = "manifest.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
# What brenier stores, and what a user may pack again.
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Of an array as ``_npy_bytes`` writes it.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][biufc][0-9]+)', 'fortran_order': False, "
    rb"'shape': \(([0-9, ]*)\), \} *\n",
    re.DOTALL,
)
_END_OF_ZIP = b"PK\x05\x06"
_END_SIZE = 22
# What zipfile, zlib, struct and json raise on damage; all of them mean the same to the user.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,  # RecursionError too
    EOFError,
    OSError,
    OverflowError,
    ValueError,
    TypeError,
    LookupError,
)


class DamagedFileError(ValueError):
    """A file that brenier wrote, and something has damaged since."""


def write_container(
    path: str | os.PathLike[str], kind: str, content: dict[str, Any], arrays: Sequence[np.ndarray]
) -> None:
    """Write ``content`` (plain JSON) and ``arrays`` to one file, atomically."""
    members = [(f"arrays/{i}.npy", _npy_bytes(array)) for i, array in enumerate(arrays)]
    manifest = plain_json(
        {
            "format": "brenier",
            "format_version": FORMAT_VERSION,
            "brenier_version": __version__,
            "kind": kind,
            "arrays": len(members),
            **content,
        }
    )
    manifest["sha256"] = digest(manifest, [data for _, data in members])
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
    brenier, of another kind, packed so that it would fill the memory.
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
    foreign = DamagedFileError(
        f"{path}: got a zip that brenier did not write, or a damaged one; wants a brenier file."
    )
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _DAMAGE:
        raise altered from None
    members = {member.filename: member for member in archive.infolist()}
    if any(member.compress_type not in _PACKINGS for member in members.values()):
        raise altered
    check_unpacked(path, len(data), sum(member.file_size for member in members.values()))
    if _MANIFEST not in members:
        raise foreign
    try:
        manifest = json.loads(archive.read(_MANIFEST))
    except _DAMAGE:
        raise altered from None
    if not isinstance(manifest, dict) or manifest.get("format") != "brenier":
        raise foreign
    version = manifest.get("format_version")
    if not isinstance(version, int):
        raise altered
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path}: got a file of format {version}, written by brenier "
            f"{one_line(manifest.get('brenier_version'))}; this brenier reads formats up to "
            f"{FORMAT_VERSION}: upgrade brenier."
        )
    try:
        wanted = manifest.pop("sha256")
        contents = [archive.read(f"arrays/{i}.npy") for i in range(len(members) - 1)]
        intact = wanted == digest(manifest, contents) and len(contents) == manifest["arrays"]
        arrays = [_read_npy(content) for content in contents] if intact else []
    except _DAMAGE:
        raise altered from None
    if not intact:
        raise altered
    if manifest.get("kind") != kind:
        got = one_line(manifest.get("kind"))
        raise ValueError(f"{path}: got a brenier {got}; wants a brenier {kind}.")
    return manifest, arrays


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    file = Path(path)
    if file.is_dir():
        raise ValueError(
            f"{path}: got a folder; wants a brenier file (brenier.io.load_model reads the "
            "folder of an image model)."
        )
    check_file(path, "a brenier file")
    data = file.read_bytes()
    if not data:
        raise DamagedFileError(f"{path}: got an empty file; wants a brenier file.")
    return data


def plain_json(value: Any) -> Any:
    """As it will be read: keys become strings, tuples lists. A checksum is over this."""
    return json.loads(json.dumps(value, allow_nan=False))


def _json_bytes(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return text.encode()


def digest(manifest: Mapping[str, Any], members: Sequence[bytes]) -> str:
    """The checksum over plain JSON and the bytes beside it."""
    digest = hashlib.sha256(_json_bytes(manifest))
    for member in members:
        digest.update(len(member).to_bytes(8, "little"))
        digest.update(member)
    return digest.hexdigest()


def digest_of_parts(
    manifest: Mapping[str, Any], size: int, parts: Iterable[bytes | memoryview]
) -> str:
    """``digest`` with one member of so many bytes, which come in parts."""
    digest = hashlib.sha256(_json_bytes(manifest))
    digest.update(size.to_bytes(8, "little"))
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    little_endian = array.dtype.newbyteorder("<")
    np.save(stream, np.asarray(array, dtype=little_endian, order="C"), allow_pickle=False)
    return stream.getvalue()


def _read_npy(data: bytes) -> np.ndarray:
    """The array of an .npy member, with no more memory than the member has bytes."""
    header = _HEADER.match(data)
    if header is None:
        raise ValueError
    dtype, start = np.dtype(header[1].decode()), header.end()
    shape = tuple(int(size) for size in header[2].replace(b" ", b"").split(b",") if size)
    if start + math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError
    return np.frombuffer(data, dtype, math.prod(shape), start).reshape(shape).copy()
