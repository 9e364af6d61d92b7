"""Bytes of others: what libraries raise on them, and how much may come out of packed ones."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# So much may come out of any file, in bytes; more where the file has a hundredth of it.
_ALWAYS_UNPACKED = 2**28
_MOST_UNPACKED = 100
# Bytes read at a time: between two blocks Ctrl-C is heard.
_BLOCK = 2**24
# NumPy's memory begins 16 bytes into a page, whither a file is copied three times as slowly.
_SHIFT = 48
# Numbers of an ``OSError`` that bytes cause: none, as libraries raise it, or an impossible place.
_OF_THE_BYTES = (None, errno.EINVAL, errno.EOVERFLOW)
# Letters of a library's message that ours repeats.
_SHOWN = 200


@contextmanager
def foreign(name: str, kind: str, wish: str) -> Iterator[None]:
    """A library at work on a file: whatever it raises on the bytes becomes one ``ValueError``.

    For calls of a library and nothing else: on hostile bytes parsers raise anything, so no list of
    exceptions is complete. What is no fault of the bytes goes through: a disk that fails, memory,
    Ctrl-C. The library's warnings are not shown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in _OF_THE_BYTES:
            raise
        raise ValueError(f"{name}: got {kind} ({_one_line(error)}); wants {wish}.") from error


def check_unpacked(name: str, packed: int, unpacked: int) -> None:
    """Raise a ``ValueError`` where a file says that it holds far more bytes than it has.

    Of a file of ``packed`` bytes: above 256 MiB, and above 100 times the file.
    """
    if unpacked > max(_ALWAYS_UNPACKED, _MOST_UNPACKED * packed):
        raise ValueError(
            f"{name}: got {packed:,} bytes that unpack to {unpacked:,}; wants at most "
            f"{_MOST_UNPACKED} times as many, or {_ALWAYS_UNPACKED:,} (store them uncompressed)."
        )


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


def _one_line(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}…"
