"""What may stand where a command writes: looked at before any work is done."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

MAP_ENDINGS = (".brenier",)
"""How the file of a map ends."""
PAGE_ENDINGS = (".html", ".htm")
"""How the file of a certificate's page ends."""
FIGURE_ENDINGS = (".png",)
"""How the file of a figure ends."""

PathLike: TypeAlias = str | os.PathLike[str]


def check_folder(path: PathLike, endings: Sequence[str] = ()) -> None:
    """Raise a ``ValueError``, before any work is done, where no file can be written at ``path``.

    A device or a pipe needs no folder. Of ``endings``, where some are given, the path has one, or
    none at all: a name without an ending says no other kind.
    """
    ending = Path(path).suffix
    if endings and ending and ending.lower() not in endings:
        raise ValueError(f"{path}: got the ending {ending!r}; wants {' or '.join(endings)}.")
    if is_stream(path):
        if not os.access(path, os.W_OK):
            raise ValueError(f"{path}: got a device that cannot be written to; wants another.")
        return
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise ValueError(f"{path}: got a link that leads to itself; wants the path of a file.")
    if not target.parent.is_dir():
        raise ValueError(f"{path}: got a folder that does not exist; wants an existing folder.")
    if target.is_dir():
        raise ValueError(f"{path}: got a folder; wants the path of a file.")
    _check_writable(path, target.parent)


def check_output_folder(path: PathLike) -> None:
    """Raise a ``ValueError`` where no folder can be made at ``path``, or the one there not written.

    Nothing is made yet.
    """
    home = Path(os.path.realpath(path))
    while not os.path.lexists(home):
        home = home.parent
    if not home.is_dir():
        raise ValueError(f"{path}: got a file ({home}); wants a folder to write to.")
    _check_writable(path, home)


def check_apart(outputs: Sequence[PathLike | None], inputs: Sequence[PathLike | None]) -> None:
    """Raise a ``ValueError`` where an output is an input, or another output, by whatever name.

    Files are compared, not their names: links, ``./`` and the case of letters hide nothing. Of
    ``file.npz:key`` it is the file that counts. None stands for what was not given.
    """
    written = [output for output in outputs if output is not None]
    read = [given for given in inputs if given is not None]
    for i, output in enumerate(written):
        for given in read:
            if _same(output, given):
                raise ValueError(
                    f"{output}: got an output that would replace the input {given}; wants another "
                    "path."
                )
        for other in written[:i]:
            if _same(output, other):
                raise ValueError(
                    f"{output}: got the same path for two outputs; wants one for each."
                )


def check_outside(output: PathLike, folder: PathLike) -> None:
    """Raise a ``ValueError`` where a folder to write to lies in one that is read as a whole."""
    home = Path(os.path.realpath(folder))
    if any(parent == home for parent in Path(os.path.realpath(output)).parents):
        raise ValueError(
            f"{output}: got a folder inside the input {folder}; wants one outside, since what is "
            "written would be read next time."
        )


def is_stream(path: PathLike) -> bool:
    """Whether what stands there is written to as it is: a device, a pipe, a socket."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _file(spec: PathLike) -> str:
    """The file of ``file.npz:key`` or ``file.npz:x,tx``; any other path as it is."""
    name = os.fspath(spec)
    head, colon, _ = name.rpartition(":")
    return head if colon and head.lower().endswith(".npz") and not os.path.exists(name) else name


def _same(one: PathLike, other: PathLike) -> bool:
    first, second = _file(one), _file(other)
    if is_stream(first) or is_stream(second):
        return False  # a terminal may be read and written
    if os.path.realpath(first) == os.path.realpath(second):
        return True
    return os.path.exists(first) and os.path.exists(second) and os.path.samefile(first, second)


def _check_writable(path: PathLike, folder: Path) -> None:
    """By making a file there: permissions alone know of no read-only disk."""
    if os.access(folder, os.W_OK | os.X_OK):
        probe = folder / f".brenier.{secrets.token_hex(4)}.part"
        try:
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            reason = f" ({error.strerror})"
        else:
            return
    else:
        reason = ""
    raise ValueError(
        f"{path}: got a folder that cannot be written to{reason}; wants one where files can be "
        "made."
    )
