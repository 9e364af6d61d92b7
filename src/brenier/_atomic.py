"""Writing a file whole or not at all."""

import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from brenier._outputs import check_folder, is_stream

# A part is named by the machine and the process that write it: .NAME.MACHINE-PID-TOKEN.part
_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"
_PART = re.compile(r"\..*\.(?:([0-9a-f]{8})-(\d+)-)?[0-9a-f]{8}\.part")
# Bytes of a file's name that its part repeats: what is added must not make it too long.
_NAMED = 180
# The parts that this process is writing.
_open_parts: set[Path] = set()
# Seconds after which a part is given up whose writer cannot be asked: it is on another machine.
_GIVEN_UP = 86_400.0


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The path of a new, empty file beside ``path`` that takes its name when the block ends well.

    For writers that want a path rather than a handle; else as ``atomic_write``.

    Raises:
        ValueError: the folder does not exist or cannot be written to, or ``path`` is a folder.
    """
    check_folder(path)
    with _named(path), (_stream_path if is_stream(path) else _path_beside)(path) as part:
        yield part


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """An error of the system that names no file, or a part, names what was to be written."""
    try:
        yield
    except OSError as error:
        shown = "" if error.filename is None else Path(os.fsdecode(error.filename)).name
        if error.errno is None or (shown and not _PART.fullmatch(shown)):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


@contextmanager
def _path_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    target = Path(os.path.realpath(path))  # a link stays a link: what it points at is replaced
    _sweep(target)
    mode = _mode(target)
    part = target.with_name(_part_name(target))
    _open_parts.add(part)
    try:
        # What replaces a private file is private from its first byte on.
        os.close(
            os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else 0o600)
        )
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        if mode is not None:
            part.chmod(mode)
        os.replace(part, target)
    except BaseException:  # Ctrl-C too must not leave the part behind
        part.unlink(missing_ok=True)
        raise
    finally:
        _open_parts.discard(part)


def discard_parts() -> None:
    """Delete what this process has begun to write: it is about to end without a word of Python's.

    What stood at the names still stands.
    """
    for part in tuple(_open_parts):
        part.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary handle whose bytes become the file at ``path`` only when the block ends well.

    The bytes go to a new file in the same folder, are flushed to disk, then take the name in one
    step; where the block raises or the process dies, what stood at ``path`` still stands. The
    permissions of what is replaced are kept. A device or a pipe is not replaced: it gets the bytes
    at the end.

    Raises:
        ValueError: the folder does not exist or cannot be written to, or ``path`` is a folder.

    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "a.txt") as handle:
    ...     _ = handle.write(b"whole")
    >>> [p.name for p in folder.iterdir()]
    ['a.txt']
    """
    with atomic_path(path) as part, part.open("wb") as handle:
        yield handle


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """The bytes as the file at ``path``, as ``atomic_write`` writes it.

    >>> folder = Path(tempfile.mkdtemp())
    >>> write_whole(folder / "a.txt", b"whole")
    >>> (folder / "a.txt").read_bytes()
    b'whole'
    """
    with atomic_write(path) as handle:
        handle.write(data)


@contextmanager
def _stream_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file elsewhere, whose bytes go to the device or the pipe when the block ends well."""
    with tempfile.TemporaryDirectory(prefix="brenier-") as folder:
        part = Path(folder, "part")
        part.touch()
        yield part
        with part.open("rb") as handle, open(path, "wb") as stream:
            shutil.copyfileobj(handle, stream)


def _part_name(target: Path) -> str:
    named = os.fsdecode(os.fsencode(target.name)[:_NAMED])
    return f".{named}.{_MACHINE}-{os.getpid()}-{secrets.token_hex(4)}.part"


def _mode(target: Path) -> int | None:
    """The permissions of the file there, or None where there is none."""
    try:
        return stat.S_IMODE(target.stat().st_mode) & 0o777
    except FileNotFoundError:
        return None


def _sweep(target: Path) -> None:
    """Delete the parts beside ``target`` that killed writers left."""
    for file in target.parent.glob(".*.part"):
        if _is_stale(file, target):
            # Another process may sweep the same folder, and not all files are ours to delete.
            try:
                file.unlink(missing_ok=True)
            except OSError:
                continue


def _is_stale(file: Path, target: Path) -> bool:
    named = _PART.fullmatch(file.name)
    if named is None:
        return False
    machine, pid = named.groups()
    if machine is None:  # as brenier named them before it said who writes
        return file.name.startswith(f".{target.name}.")
    if machine == _MACHINE:
        return not _is_alive(int(pid))
    try:
        return time.time() - file.stat().st_mtime > _GIVEN_UP
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere os.kill ends the process that it asks
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
