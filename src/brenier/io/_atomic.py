"""Writing a file whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise a ``ValueError``, before any work is done, where no file can be written at ``path``."""
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise ValueError(f"{path}: got a folder that does not exist; wants an existing folder.")
    if target.is_dir():
        raise ValueError(f"{path}: got a folder; wants the path of a file.")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The path of a new file beside ``path`` that takes its name only when the block ends well.

    For writers that want a path rather than a handle; else as ``atomic_write``.

    Raises:
        ValueError: the folder does not exist, or ``path`` is a folder.
    """
    check_folder(path)
    target = Path(os.path.realpath(path))  # a link stays a link: what it points at is replaced
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(part, target)
    except BaseException:  # Ctrl-C too must not leave the part behind
        part.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary handle whose bytes become the file at ``path`` only when the block ends well.

    The bytes go to a new file in the same folder, are flushed to disk, then take the name in one
    step; where the block raises or the process dies, what stood at ``path`` still stands.

    Raises:
        ValueError: the folder does not exist, or ``path`` is a folder.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "a.txt") as handle:
    ...     _ = handle.write(b"whole")
    >>> [p.name for p in folder.iterdir()]
    ['a.txt']
    """
    with atomic_path(path) as part, part.open("xb") as handle:
        yield handle
