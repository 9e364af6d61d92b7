"""IDX files: the format of MNIST, plain or compressed by gzip."""

import gzip
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from brenier.io._refusals import check_file, check_unpacked, refusing
from brenier.io.points._arrays import read_bytes

# The only type code in use for images and labels: unsigned bytes.
_BYTES = 0x08
# Images, rows, columns, and colours at most.
_MOST_AXES = 4


def read_idx(path: Path) -> np.ndarray:
    """The array of unsigned bytes in an IDX file; ``.gz`` is decompressed.

    Raises:
        ValueError: names the file: no such file, damaged, truncated, or of another type than bytes.
    """
    check_file(path, "an IDX file")
    name, size = str(path), path.stat().st_size
    with path.open("rb") as handle:
        if path.suffix.lower() != ".gz":
            return _read(name, handle, size)
        with gzip.GzipFile(fileobj=handle) as unpacked:
            return _read(name, unpacked, size)


def _read(name: str, stream: Any, size: int) -> np.ndarray:
    """The array in the stream of a file of ``size`` bytes."""
    head = _next(name, stream, 4)
    if len(head) < 4 or head[0] or head[1] or head[2] != _BYTES or head[3] < 1:
        raise ValueError(f"{name}: got a file that is no IDX of bytes; wants MNIST's format.")
    axes = int(head[3])
    if axes > _MOST_AXES:
        raise ValueError(
            f"{name}: got an IDX of {axes} dimensions; wants labels (1) or images (3)."
        )
    lengths = _next(name, stream, 4 * axes)
    if len(lengths) < 4 * axes:
        raise ValueError(f"{name}: got a truncated header; wants the whole IDX file.")
    shape = struct.unpack(f">{axes}I", lengths.tobytes())
    promised = math.prod(shape)
    check_unpacked(name, size, promised)
    values = _next(name, stream, promised)
    if len(values) != promised or len(_next(name, stream, 1)):
        got = f"{len(values):,} bytes" if len(values) != promised else "more bytes than belong"
        raise ValueError(
            f"{name}: got {got} for shape {shape}; wants {promised:,}: the whole IDX file."
        )
    return values.reshape(shape)


def _next(name: str, stream: Any, count: int) -> np.ndarray:
    with refusing(name, "a damaged .gz file", "an IDX file compressed by gzip"):
        return read_bytes(stream, count)
