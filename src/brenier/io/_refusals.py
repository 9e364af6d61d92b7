"""How a reader says no: one line that names the file, before memory is taken."""

import errno
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brenier._memory import is_out_of_memory

# Bytes that any file may unpack to; beyond them, this many for each byte that it has.
_UNPACKED = 2**28
_RATIO = 100
# An object in Python's words, which say nothing to a reader: <_io.BytesIO object at 0x7f21a8>.
_ADDRESS = re.compile(r" ?<[^<>]* at 0x[0-9a-fA-F]+>")
_SAID = 500  # characters of another library's error that a message repeats, at most
# Numbers of an ``OSError`` that bytes cause: none, as libraries raise it, or an impossible place.
_OF_THE_BYTES = (None, errno.EINVAL, errno.EOVERFLOW)


@contextmanager
def refusing(
    path: str | os.PathLike[str], got: str, wants: str, *faults: type[Exception]
) -> Iterator[None]:
    """Any of the faults in the block becomes a ``ValueError`` of one line that names the file.

    For the one place where a library is called on a file's content: ``faults`` are what it
    promises to raise. On hostile bytes most raise anything, and none is named. What is no fault of
    the bytes goes through: a disk that fails, a full memory, Ctrl-C. Warnings are not shown.

    >>> with refusing("a.bin", "a damaged file", "the file as it was written", KeyError):
    ...     {}["size"]
    Traceback (most recent call last):
        ...
    ValueError: a.bin: got a damaged file ('size'); wants the file as it was written.
    """
    faults = faults or (Exception,)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except faults as error:
        of_the_disk = isinstance(error, OSError) and error.errno not in _OF_THE_BYTES
        if of_the_disk or is_out_of_memory(error):
            raise
        raise ValueError(f"{path}: got {got} ({one_line(error)}); wants {wants}.") from error


def check_file(path: str | os.PathLike[str], wants: str, name: str | None = None) -> None:
    """Raise a ``ValueError`` where no file can be read at a path; it says what stands there.

    ``name`` is what the user called it, where that is not the path.

    >>> check_file("no-such.csv", "a table")
    Traceback (most recent call last):
        ...
    ValueError: no-such.csv: got no such file; wants a table.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        got = "no such file"
    except OSError as error:  # links in a circle, a file for a folder, names too long
        got = f"no file ({error.strerror})"
    except ValueError as error:
        got = f"no such file ({error})"
    else:
        if stat.S_ISREG(mode):
            return
        got = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device, which is not read"
    raise ValueError(f"{Path(path) if name is None else name}: got {got}; wants {wants}.")


def one_line(error: object) -> str:
    """What an error (or a value from a file) says, without line breaks and not without end."""
    said = _ADDRESS.sub("", " ".join(str(error).split())).rstrip(".") or type(error).__name__
    return said if len(said) <= _SAID else f"{said[:_SAID]}..."


def check_unpacked(path: str | os.PathLike[str], packed: int, unpacked: int) -> None:
    """Raise a ``ValueError`` where what is read takes far more memory than the file has bytes."""
    if unpacked > max(_UNPACKED, _RATIO * packed):
        raise ValueError(
            f"{path}: got {unpacked:,} bytes packed into {packed:,}; wants at most {_RATIO} times "
            f"the file, or {_UNPACKED:,} bytes (a file that promises more is damaged, or made to "
            "fill the memory)."
        )
