"""IDX files: the format of MNIST, plain or compressed by gzip."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

# The only type code in use for images and labels: unsigned bytes.
_BYTES = 0x08
# Images, rows, columns, and colours at most.
_MOST_AXES = 4


def read_idx(path: Path) -> np.ndarray:
    """The array of unsigned bytes in an IDX file; ``.gz`` is decompressed.

    Raises:
        ValueError: no such file, a damaged or truncated one, or another type than bytes.
    """
    if not path.is_file():
        raise ValueError(f"{path}: got no such file; wants an IDX file.")
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as error:
            raise ValueError(
                f"{path}: got a damaged .gz file ({error}); wants an IDX file compressed by gzip."
            ) from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _BYTES or data[3] < 1:
        raise ValueError(f"{path}: got a file that is no IDX of bytes; wants MNIST's format.")
    if data[3] > _MOST_AXES:
        raise ValueError(
            f"{path}: got an IDX of {data[3]} dimensions; wants labels (1) or images (3)."
        )
    header = 4 + 4 * data[3]
    if len(data) < header:
        raise ValueError(f"{path}: got a truncated header; wants the whole IDX file.")
    shape = struct.unpack(f">{data[3]}I", data[4:header])
    if len(data) - header != math.prod(shape):
        raise ValueError(
            f"{path}: got {len(data) - header} bytes for shape {shape}; wants "
            f"{math.prod(shape)}: the whole IDX file."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
