"""The safetensors format: a length, a JSON header, and the bytes of all tensors."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from brenier._json import parsed_json
from brenier.io.tensors._dtypes import as_dtype

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_MOST_HEADER = 10**8  # the format's own limit
_WANTS = "wants the whole file, as safetensors wrote it"


class Place(NamedTuple):
    """Where in a file the numbers of a tensor lie."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.dtype.itemsize * math.prod(self.shape)


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a file by name; the arrays lie in the file, which is mapped into memory.

    Raises:
        ValueError: a damaged file, or a tensor of a dtype that NumPy and ml_dtypes lack.
    """
    places = safetensors_places(path)
    mapped = np.memmap(path, np.uint8, mode="r")
    return {
        name: mapped[place.start : place.start + place.size].view(place.dtype).reshape(place.shape)
        for name, place in places.items()
    }


def safetensors_places(path: str | os.PathLike[str]) -> dict[str, Place]:
    """Where the tensors of a file lie, by name; as ``read_safetensors``."""
    held = os.path.getsize(path)
    with open(path, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if held < 8 or not 2 <= length <= min(_MOST_HEADER, held - 8):
            raise ValueError(f"{path}: got a truncated file, or no safetensors; {_WANTS}.")
        header = parsed_json(str(path), handle.read(length))
    if not isinstance(header, dict):
        raise ValueError(f"{path}: got a header without names; {_WANTS}.")
    header.pop("__metadata__", None)
    first = 8 + length
    return {name: _place(path, name, entry, first, held) for name, entry in header.items()}


class Lazy(NamedTuple):
    """A tensor that is made when it is written."""

    dtype: np.dtype
    shape: tuple[int, ...]
    make: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.dtype.itemsize * math.prod(self.shape)


def safetensors_parts(
    tensors: Mapping[str, Lazy], about: Mapping[str, str]
) -> tuple[int, Iterator[bytes | memoryview]]:
    """The bytes of a file of tensors: how many, and part by part, each made when its turn comes."""
    header = _header(tensors, about)
    size = len(header) + sum(tensor.size for tensor in tensors.values())

    def parts() -> Iterator[bytes | memoryview]:
        yield header
        for tensor in tensors.values():
            array = np.ascontiguousarray(tensor.make(), tensor.dtype)
            assert array.shape == tensor.shape
            yield array.reshape(-1).view(np.uint8).data

    return size, parts()


def _header(tensors: Mapping[str, Lazy], about: Mapping[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": dict(about)}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.size
        entries[name] = {
            "dtype": _NAMES[tensor.dtype.name],
            "shape": tensor.shape,
            "data_offsets": [start, end],
        }
    text = json.dumps(entries, separators=(",", ":")).encode()
    # Numbers of 8 bytes begin at multiples of 8.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _place(path: Any, name: str, entry: Any, first: int, held: int) -> Place:
    entry = entry if isinstance(entry, dict) else {}
    kind, shape, place = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise ValueError(
            f"{path}: got the dtype {kind!r:.50} of {name:.200}; wants one of {sorted(_DTYPES)}."
        )
    counts = [*shape, *place] if isinstance(shape, list) and isinstance(place, list) else [-1]
    fits = all(type(count) is int and count >= 0 for count in counts) and len(counts) >= 2
    dtype = as_dtype(_DTYPES[kind])
    if fits:
        start, end = counts[-2:]
        fits = start <= end <= held - first and end - start == dtype.itemsize * math.prod(shape)
    if not fits:
        raise ValueError(
            f"{path}: got {name:.200} of shape {shape!r:.100} at bytes {place!r:.100} of "
            f"{held - first:,}; {_WANTS}."
        )
    return Place(dtype, tuple(shape), first + start)
