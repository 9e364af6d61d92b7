"""Compiled programs are kept on the disk: what one process compiled, the next one only reads.

``BRENIER_CACHE`` names the folder, or is ``off``; by default it is in the user's cache folder. A
cache that the user gave JAX (``jax_compilation_cache_dir``) is left as it is. JAX's names of
entries hold the versions, the flags and the instructions of the CPU that they were compiled for.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

VARIABLE = "BRENIER_CACHE"
# Seconds: reading a program takes some milliseconds.
_WORTH_KEEPING = 0.05
# Bytes; past them the programs longest unread go, to half of it.
_MOST_BYTES = 2**29


def keep_programs(config: Any) -> None:
    """Have JAX keep its programs, where there is a folder for them that only this user writes."""
    if config.jax_compilation_cache_dir is not None:
        return
    try:
        folder = _folder()
        if folder is None:
            return
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(folder):
            return
        _prune(folder)
    except (OSError, RuntimeError):  # no home, or nothing can be written there
        return
    config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
    # A full disk, or an entry half written by another process: it is compiled, as without a cache.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")


def _folder() -> Path | None:
    """Where programs are kept; None for nowhere."""
    given = os.environ.get(VARIABLE, "")
    if given == "off":
        return None
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        home = Path(os.environ["LOCALAPPDATA"]) if "LOCALAPPDATA" in os.environ else None
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Caches"
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return None if home is None else home / "brenier" / "programs"


def _is_ours(folder: Path) -> bool:
    """Whether this user, and no other, writes there: what is read from it is run."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    if sys.platform == "win32":
        return True
    info = folder.stat()
    return info.st_uid == os.getuid() and not info.st_mode & 0o022


def _prune(folder: Path) -> None:
    """Delete the programs longest unread, where all take more than ``_MOST_BYTES``."""
    with os.scandir(folder) as entries:
        files = [(entry.path, entry.stat()) for entry in entries if entry.is_file()]
    total = sum(info.st_size for _, info in files)
    if total <= _MOST_BYTES:
        return
    for path, info in sorted(files, key=lambda file: max(file[1].st_atime, file[1].st_mtime)):
        if total <= _MOST_BYTES // 2:
            break
        # Another process may prune too.
        Path(path).unlink(missing_ok=True)
        total -= info.st_size
