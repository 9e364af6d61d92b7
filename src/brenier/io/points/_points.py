"""Reading and writing points: .npy, .npz, .csv, .parquet, and pictures.

PyArrow and Pillow are imported where they are used, to keep ``import brenier`` quick.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from brenier._atomic import atomic_write
from brenier._checks import as_float_array, check_points
from brenier._extras import check_installed
from brenier._outputs import check_folder
from brenier.io._refusals import check_file
from brenier.io.points._arrays import npz_members, read_npy, read_npz, write_npy, write_npz
from brenier.io.points._csv import read_csv, write_csv
from brenier.io.points._parquet import read_parquet, write_parquet
from brenier.io.points._pictures import PICTURE_FORMATS, check_picture, read_picture, write_picture
from brenier.io.points._table import Table, places_of

_SUFFIXES = (".npy", ".npz", ".csv", ".parquet", *PICTURE_FORMATS)
# What reads and writes a kind of file, where that is no part of the core.
_PACKAGES = {".parquet": "pyarrow", **dict.fromkeys(PICTURE_FORMATS, "PIL")}


def read_points(spec: str | os.PathLike[str], columns: Sequence[str] | None = None) -> Table:
    """The points in a file: (n, d) values, and what ``write_points`` needs to give its kind back.

    ``.npy``; ``.npz`` (``file.npz:key`` names the array, needless where there is one); ``.csv``
    (a first row without numbers, or of numbers in quotes, is a header); ``.parquet``; pictures,
    whose pixels are points in [0, 1]^3, or [0, 1] where grey. float32 stays float32; CSV, integers
    and pictures give float64.

    Args:
        spec: where the file is.
        columns: those to read, in this order: each a name, or a place from "0" on. The others may
            hold anything. A picture has none to choose.

    Raises:
        ValueError: names the file, what it got and what it wants: no such file, an empty or damaged
            one, an unknown ending, no such column, one that is not numeric, NaN or infinite
            entries. No other exception comes of what a file holds.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/points.csv"
    >>> _ = Path(path).write_text("height,weight\\n1.5,2\\n3,4.25\\n")
    >>> table = read_points(path)
    >>> table.names, table.values.tolist()
    (('height', 'weight'), [[1.5, 2.0], [3.0, 4.25]])
    """
    name = os.fspath(spec)
    path, key = _split(name)
    suffix = _check_suffix(name, path)
    _check_there(name, path)
    match suffix:
        case ".npy":
            table = _chosen(Table(read_npy(name, path), name), columns)
        case ".npz":
            table = _chosen(Table(read_npz(name, path, key), name), columns)
        case ".csv":
            table = read_csv(name, path, columns)
        case ".parquet":
            table = read_parquet(name, path, columns)
        case _:
            if columns is not None:
                raise ValueError(f"{name}: got columns to choose of a picture; wants a table.")
            return read_picture(name, path)
    return replace(table, values=check_points(name, table.values, names=table.names), file=name)


def read_weighted_points(
    spec: str | os.PathLike[str],
    columns: Sequence[str] | None,
    weights: str | None,
    asked_by: str = "weights",
) -> tuple[Table, np.ndarray | None]:
    """``read_points``, and one more column as the rows' weights (n,): that one is no coordinate.

    Args:
        spec, columns: as for ``read_points``.
        weights: the column, a name or a place from "0" on; None for no weights.
        asked_by: what errors about that column begin with.

    Raises:
        ValueError: as ``read_points``; no such column, or one that is a coordinate, too.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/points.csv"
    >>> _ = Path(path).write_text("height,people\\n1.5,2\\n3,4\\n")
    >>> table, weights = read_weighted_points(path, None, "people")
    >>> table.names, weights.tolist()
    (('height',), [2.0, 4.0])
    """
    if weights is None:
        return read_points(spec, columns), None
    if columns is not None:
        table, place = read_points(spec, [*columns, weights]), len(columns)
    else:
        table = read_points(spec)
        where = f"{asked_by}: {table.file}"
        (place,) = places_of(where, table.names, table.values.shape[1], [weights])
    rest = [i for i in range(table.values.shape[1]) if i != place]
    names = None if table.names is None else tuple(table.names[i] for i in rest)
    values = check_points(table.file, table.values[:, rest], names=names)
    return replace(table, values=values, names=names), table.values[:, place]


def read_array(spec: str | os.PathLike[str]) -> np.ndarray:
    """The array of an ``.npy`` file, or of ``file.npz:key``, of any shape; floats, and finite.

    Raises:
        ValueError: names the file: no such one, a damaged one, another ending, or no real numbers.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/eye.npy"
    >>> np.save(path, np.eye(2))
    >>> read_array(path).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    name = os.fspath(spec)
    path, key = _split(name)
    if path.suffix.lower() not in (".npy", ".npz"):
        raise ValueError(f"{name}: got {_ending(path)}; wants .npy or .npz.")
    _check_there(name, path)
    is_npz = path.suffix.lower() == ".npz"
    values = as_float_array(name, read_npz(name, path, key) if is_npz else read_npy(name, path))
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: got NaN or infinite entries; wants finite numbers.")
    return values


def write_points(
    spec: str | os.PathLike[str], values: np.ndarray, like: Table | None = None
) -> None:
    """Write points (n, d) to a file of the kind that its ending says, whole or not at all.

    Names of columns and rows, the shape of a picture and its opacity are those of ``like``: of rows
    in Parquet, as pandas keeps its index there. Colours are
    clipped to [0, 1] and rounded. In ``.npz`` the array is called ``points``; ``file.npz:key``
    names it, and keeps the other arrays that the file holds.

    Raises:
        ValueError: as ``check_output``; or values that are not finite or of another shape.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/points.csv"
    >>> write_points(path, np.array([[1.5, 2.0]]), Table(np.ones((1, 2)), names=("a", "b")))
    >>> Path(path).read_text()
    'a,b\\n1.5,2.0\\n'
    """
    name = os.fspath(spec)
    like = Table(values) if like is None else like
    check_output(name, like)
    values = check_points("values", values)
    path, key = _split(name)
    with atomic_write(path) as handle:
        match path.suffix.lower():
            case ".npy":
                write_npy(handle, values)
            case ".npz":
                write_npz(handle, values, key or "points", None if key is None else path)
            case ".csv":
                write_csv(handle, values, like.names)
            case ".parquet":
                index = like.index if len(like.values) == len(values) else None
                write_parquet(handle, values, like.names, index)
            case suffix:
                assert like.picture is not None  # check_output has seen it
                write_picture(handle, suffix, values, like.picture)


def check_output(spec: str | os.PathLike[str], like: Table | None = None) -> None:
    """Raise, before any work is done, where points like these cannot be written to such a file.

    Without ``like``, where none can: that is known before anything is read.

    Raises:
        ValueError: an unknown ending, a folder that does not exist, or a picture where the points
            are not those of one.

    >>> check_output("no-such/points.csv")
    Traceback (most recent call last):
        ...
    ValueError: no-such/points.csv: got a folder that does not exist; wants an existing folder.
    """
    name = os.fspath(spec)
    path, key = _split(name)
    suffix = _check_suffix(name, path)
    check_folder(path)
    if key is not None and path.is_file():
        npz_members(name, path)
    if like is not None and suffix in PICTURE_FORMATS:
        check_picture(name, suffix, like)


def _ending(path: Path) -> str:
    return f"the ending {path.suffix!r}" if path.suffix else "a name without an ending"


def _check_there(name: str, path: Path) -> None:
    check_file(path, "a file of points", name)
    if path.stat().st_size == 0:
        raise ValueError(f"{name}: got an empty file; wants at least one point.")


def _chosen(table: Table, columns: Sequence[str] | None) -> Table:
    """The chosen columns of an array."""
    if columns is None or table.values.ndim != 2:
        return table
    places = places_of(table.file, None, table.values.shape[1], columns)
    return replace(table, values=table.values[:, places])


def _split(spec: str) -> tuple[Path, str | None]:
    """``file.npz:key`` as (file.npz, key)."""
    head, colon, key = spec.rpartition(":")
    if colon and key and head.lower().endswith(".npz") and not Path(spec).exists():
        return Path(head), key
    return Path(spec), None


def _check_suffix(name: str, path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == ".h5ad":
        raise ValueError(f"{name}: got single cells (.h5ad) beside a table; wants both .h5ad.")
    if suffix not in _SUFFIXES:
        raise ValueError(
            f"{name}: got {_ending(path)}; wants one of {', '.join(_SUFFIXES)}, "
            "or .h5ad where all are single cells."
        )
    if suffix in _PACKAGES:
        check_installed(name, _PACKAGES[suffix])
    return suffix
