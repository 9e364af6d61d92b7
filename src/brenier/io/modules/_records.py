"""What long work has done so far, as a file: plain values, arrays and brenier's own classes."""

import os
from typing import Any

import numpy as np

from brenier.io.modules._container import read_container, write_container
from brenier.io.modules._tree import decode, encode


def write_record(path: str | os.PathLike[str], kind: str, content: Any) -> None:
    """Write nested dictionaries, lists, arrays and modules to one file, whole or not at all.

    Raises:
        ValueError: something that cannot be saved (it is named), or no such folder.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/work.brenier"
    >>> write_record(path, "work", {"rows": np.arange(3)})
    >>> read_record(path, "work")["rows"].tolist()
    [0, 1, 2]
    """
    arrays: list[np.ndarray] = []
    write_container(path, kind, {"root": encode(content, kind, arrays)}, arrays)


def read_record(path: str | os.PathLike[str], kind: str) -> Any:
    """What ``write_record`` wrote. Nothing in a file can run code.

    Raises:
        ValueError: as ``load``.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/work.brenier"
    >>> write_record(path, "work", {"done": [1, 2], "value": np.float64(0.5)})
    >>> read_record(path, "work")
    {'done': [1, 2], 'value': 0.5}
    """
    manifest, arrays = read_container(path, kind)
    return decode(manifest["root"], arrays, str(path), manifest["brenier_version"])
