"""Arrays of NumPy, .npy and .npz, whose headers are compared with the bytes that there are."""

import math
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brenier._checks import OF_RECORDS
from brenier.io._refusals import check_unpacked, refusing
from brenier.io.points._table import listed

_DAMAGED = ("a damaged .npz file, or none", "arrays (np.savez)")
_MAGIC = b"\x93NUMPY"
# By the version of the format: bytes of the header's length, and the header's encoding.
_VERSIONS = {1: (2, "latin-1"), 2: (4, "latin-1"), 3: (4, "utf-8")}
# Bytes read at a time: between two blocks Ctrl-C is heard.
_BLOCK = 2**24
# NumPy's memory begins 16 bytes into a page, whither a file is copied three times as slowly.
_SHIFT = 48
# As NumPy's own limits.
_LONGEST_HEADER, _MOST_AXES = 10_000, 64
# An entry of a header; Python 2 wrote some integers with an L.
_ENTRY = re.compile(
    r"""['"](descr|fortran_order|shape)['"]\s*:\s*(['"][^'"]*['"]|True|False|\([\d\s,L]*\)|\[)"""
)
_NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f([248]|16)|c(8|16|32))")


def read_npy(name: str, path: Path, *, mapped: bool = False) -> np.ndarray:
    """The array of an ``.npy`` file, of whatever shape and kind of numbers.

    With ``mapped`` it lies in the file, which is mapped into memory: read-only.

    Raises:
        ValueError: names the file: damaged, of other bytes than its header says, or no numbers.
    """
    if mapped and path.stat().st_size:  # an empty file cannot be mapped
        return _array(name, np.asarray(np.memmap(path, np.uint8, mode="r")), ".npy")
    with path.open("rb") as handle:
        return _array(name, read_bytes(handle, path.stat().st_size), ".npy")


def read_npz(name: str, path: Path, key: str | None) -> np.ndarray:
    """One of the arrays of an ``.npz`` file, packed or not; where there is one, no key is needed.

    Raises:
        ValueError: as ``read_npy``; or no such array, or it is not said which.
    """
    with path.open("rb") as handle:
        archive, members = _archive(name, handle)
        if key is None and len(members) != 1:
            raise ValueError(
                f"{name}: got {len(members)} arrays {listed(list(members))}; wants the name of "
                f"one, as in {name}:points."
            )
        chosen = next(iter(members)) if key is None else key
        if chosen not in members:
            raise ValueError(
                f"{name}: got no array named {key!r}; wants one of {listed(list(members))}."
            )
        size = members[chosen].file_size
        check_unpacked(name, path.stat().st_size, size)
        with refusing(name, *_DAMAGED), archive.open(members[chosen]) as packed:
            data = read_bytes(packed, size)
    return _array(name, data, ".npz")


def npz_members(name: str, path: Path) -> list[str]:
    """The names of the arrays in an ``.npz`` file, or a ``ValueError``: it is none."""
    with path.open("rb") as handle:
        return list(_archive(name, handle)[1])


def _archive(name: str, handle: BinaryIO) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """The archive of an ``.npz`` file, and its members by the names of the arrays."""
    with refusing(name, *_DAMAGED):
        archive = zipfile.ZipFile(handle)
    files = [member for member in archive.infolist() if not member.filename.endswith("/")]
    return archive, {member.filename.removesuffix(".npy"): member for member in files}


def write_npy(handle: Any, values: np.ndarray) -> None:
    """As ``np.save``, which on a full disk raises an error that does not say so."""
    rows = np.ascontiguousarray(values)
    header = np.lib.format.header_data_from_array_1_0(rows)
    np.lib.format.write_array_header_1_0(handle, header)
    handle.write(rows.data)


def write_npz(handle: BinaryIO, values: np.ndarray, key: str, before: Path | None) -> None:
    """An ``.npz`` file of one array, below the others of the file that stood there before."""
    with zipfile.ZipFile(handle, "w") as archive:
        if before is not None and before.is_file():
            with before.open("rb") as stored:
                old, members = _archive(str(before), stored)
                for name, member in members.items():
                    if name != key:
                        _copy(old, member, archive)
        with archive.open(f"{key}.npy", "w", force_zip64=True) as stream:
            write_npy(stream, values)


def _copy(old: zipfile.ZipFile, member: zipfile.ZipInfo, new: zipfile.ZipFile) -> None:
    """A member as it is, in blocks; what is in it is not looked at."""
    kept = zipfile.ZipInfo(member.filename, member.date_time)
    kept.compress_type, kept.external_attr = member.compress_type, member.external_attr
    with (
        refusing(old.filename or member.filename, *_DAMAGED),
        old.open(member) as stored,
        new.open(kept, "w", force_zip64=True) as stream,
    ):
        shutil.copyfileobj(stored, stream, _BLOCK)


def read_bytes(stream: Any, count: int) -> np.ndarray:
    """The next ``count`` bytes, or fewer where the stream ends; in blocks."""
    data = np.empty(count + _SHIFT, np.uint8)[_SHIFT:]
    done = 0
    while done < count:
        got = stream.readinto(data[done : done + _BLOCK])
        if not got:
            break
        done += got
    return data[:done]


def _array(name: str, data: np.ndarray, kind: str) -> np.ndarray:
    """The array in the bytes of an ``.npy`` file."""
    header, body = _header(data)
    entries: dict[str, str] = dict(_ENTRY.findall(header))
    shape = tuple(int(length) for length in re.findall(r"\d{1,19}", entries.get("shape", "")))
    if len(entries) < 3 or len(shape) > _MOST_AXES:
        raise ValueError(
            f"{name}: got a damaged {kind} file, or none (it has no header of NumPy's); wants an "
            "array."
        )
    descr = entries["descr"].strip("'\"")
    if "O" in descr:
        raise ValueError(
            f"{name}: got an array of Python objects (Object arrays cannot be loaded: reading one "
            "may run code); wants an array of numbers (x.astype(float))."
        )
    if not _NUMBERS.fullmatch(descr):
        got, remedy = f"entries of type {descr!r}", "x.astype(float)"
        if descr == "[":
            got, remedy = "records", OF_RECORDS
        raise ValueError(f"{name}: got an array of {got}; wants real numbers ({remedy}).")
    dtype = np.dtype(descr)
    promised = math.prod(shape) * dtype.itemsize
    if promised != len(body):
        raise ValueError(
            f"{name}: got a damaged {kind} file: {len(body):,} bytes for shape {shape} of {dtype}; "
            f"wants {promised:,}."
        )
    values = body.view(dtype)
    in_fortran_order = entries["fortran_order"] == "True"
    return values.reshape(shape[::-1]).T if in_fortran_order else values.reshape(shape)


def _header(data: np.ndarray) -> tuple[str, np.ndarray]:
    """The header of an ``.npy`` file, empty where there is none, and the bytes below it."""
    start = data[:12].tobytes()
    if start[:6] != _MAGIC or start[6:7] not in (b"\1", b"\2", b"\3"):
        return "", data
    width, encoding = _VERSIONS[start[6]]
    begin = 8 + width
    end = begin + int.from_bytes(start[8:begin], "little")
    if end - begin > _LONGEST_HEADER:
        return "", data
    return data[begin:end].tobytes().decode(encoding, "replace"), data[end:]
