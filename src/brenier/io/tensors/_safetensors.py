"""The safetensors format: a length, a JSON header, and the bytes of all tensors."""

import math
import os
from typing import Any

import numpy as np

from brenier._json import parsed_json
from brenier.io.tensors._dtypes import as_dtype

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_MOST_HEADER = 10**8  # the format's own limit
_WANTS = "wants the whole file, as safetensors wrote it"


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a file by name; the arrays lie in the file, which is mapped into memory.

    Raises:
        ValueError: a damaged file, or a tensor of a dtype that NumPy and ml_dtypes lack.
    """
    mapped = np.memmap(path, np.uint8, mode="r") if os.path.getsize(path) else np.zeros(0, np.uint8)
    length = int.from_bytes(mapped[:8].tobytes(), "little")
    if len(mapped) < 8 or not 2 <= length <= min(_MOST_HEADER, len(mapped) - 8):
        raise ValueError(f"{path}: got a truncated file, or no safetensors; {_WANTS}.")
    header = parsed_json(str(path), mapped[8 : 8 + length].tobytes())
    if not isinstance(header, dict):
        raise ValueError(f"{path}: got a header without names; {_WANTS}.")
    data = mapped[8 + length :]
    header.pop("__metadata__", None)
    return {name: _array(path, name, entry, data) for name, entry in header.items()}


def _array(path: Any, name: str, entry: Any, data: np.ndarray) -> np.ndarray:
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
        fits = start <= end <= len(data) and end - start == dtype.itemsize * math.prod(shape)
    if not fits:
        raise ValueError(
            f"{path}: got {name:.200} of shape {shape!r:.100} at bytes {place!r:.100} of "
            f"{len(data):,}; {_WANTS}."
        )
    return data[start:end].view(dtype).reshape(shape)
