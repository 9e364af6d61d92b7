"""Reading and writing points: .npy, .npz, .csv, .parquet, and pictures.

PyArrow and Pillow are imported where they are used, to keep ``import brenier`` quick.
"""

import csv
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from brenier._checks import as_float_array, check_points
from brenier.io._atomic import atomic_write
from brenier.io._outputs import check_folder
from brenier.io._pictures import PICTURE_FORMATS, check_picture, read_picture, write_picture
from brenier.io._table import Table

_SUFFIXES = (".npy", ".npz", ".csv", ".parquet", *PICTURE_FORMATS)
_EXACT_INTEGER = 2.0**53  # from here on float64 skips integers


def read_points(spec: str | os.PathLike[str]) -> Table:
    """The points in a file: (n, d) values, and what ``write_points`` needs to give its kind back.

    ``.npy``; ``.npz`` (``file.npz:key`` names the array, needless where there is one); ``.csv``
    (a first row without numbers is a header); ``.parquet``; pictures, whose pixels are points in
    [0, 1]^3, or [0, 1] where grey. float32 stays float32; CSV, integers and pictures give float64.

    Raises:
        ValueError: names the file, what it got and what it wants: no such file, an empty or damaged
            one, an unknown ending, a column that is not numeric, NaN or infinite entries.

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
    if not path.is_file():
        raise ValueError(f"{name}: got no such file; wants a file of points.")
    if path.stat().st_size == 0:
        raise ValueError(f"{name}: got an empty file; wants at least one point.")
    match suffix:
        case ".npy":
            table = Table(_read_npy(name, path), name)
        case ".npz":
            table = Table(_read_npz(name, path, key), name)
        case ".csv":
            table = _read_csv(name, path)
        case ".parquet":
            table = _read_parquet(name, path)
        case _:
            return read_picture(name, path)
    return Table(check_points(name, table.values), name, table.names)


def write_points(
    spec: str | os.PathLike[str], values: np.ndarray, like: Table | None = None
) -> None:
    """Write points (n, d) to a file of the kind that its ending says, whole or not at all.

    Names of columns, the shape of a picture and its opacity are those of ``like``. Colours are
    clipped to [0, 1] and rounded. In ``.npz`` the array is called ``points``, or ``file.npz:key``.

    Raises:
        ValueError: as ``check_output``; or values that are not finite or of another shape.
    """
    name = os.fspath(spec)
    like = Table(values) if like is None else like
    check_output(name, like)
    values = check_points("values", values)
    path, key = _split(name)
    with atomic_write(path) as handle:
        match path.suffix.lower():
            case ".npy":
                _write_npy(handle, values)
            case ".npz":
                np.savez(handle, allow_pickle=False, **{key or "points": values})
            case ".csv":
                _write_csv(handle, values, like.names)
            case ".parquet":
                _write_parquet(handle, values, like.names)
            case suffix:
                assert like.picture is not None  # check_output has seen it
                write_picture(handle, suffix, values, like.picture)


def check_output(spec: str | os.PathLike[str], like: Table | None = None) -> None:
    """Raise, before any work is done, where points like these cannot be written to such a file.

    Without ``like``, where none can: that is known before anything is read.

    Raises:
        ValueError: an unknown ending, a folder that does not exist, or a picture where the points
            are not those of one.
    """
    name = os.fspath(spec)
    path, _ = _split(name)
    suffix = _check_suffix(name, path)
    check_folder(path)
    if like is not None and suffix in PICTURE_FORMATS:
        check_picture(name, suffix, like)


def _split(spec: str) -> tuple[Path, str | None]:
    """``file.npz:key`` as (file.npz, key)."""
    head, colon, key = spec.rpartition(":")
    if colon and key and head.lower().endswith(".npz") and not Path(spec).exists():
        return Path(head), key
    return Path(spec), None


def _check_suffix(name: str, path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ValueError(
            f"{name}: got the ending {path.suffix!r}; wants one of {', '.join(_SUFFIXES)}."
        )
    return suffix


def _read_npy(name: str, path: Path) -> np.ndarray:
    try:
        with path.open("rb") as handle:
            return np.lib.format.read_array(handle, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{name}: got a damaged .npy file ({error}); wants an array.") from None


def _read_npz(name: str, path: Path, key: str | None) -> np.ndarray:
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{name}: got a damaged .npz file, or none; wants arrays (np.savez).")
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = archive.files
            chosen = key if key is not None or len(keys) != 1 else keys[0]
            if chosen in keys:
                return archive[chosen]
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name}: got a damaged .npz file ({error}); wants arrays.") from None
    if key is None:
        raise ValueError(
            f"{name}: got {len(keys)} arrays {keys}; wants the name of one, as in {name}:points."
        )
    raise ValueError(f"{name}: got no array named {key!r}; wants one of {keys}.")


def _read_csv(name: str, path: Path) -> Table:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: got bytes that are not UTF-8 ({error}); wants text.") from None
    rows = [row for row in io.StringIO(text, newline=None) if row.strip()]
    first = next(csv.reader(rows), [])
    numeric = [_is_number(cell) for cell in first]
    if any(numeric) and not all(numeric):
        raise ValueError(
            f"{name}: got a first row {first} that mixes numbers and words; wants a header without "
            "numbers, or numbers only."
        )
    names = None if all(numeric) else _check_names(name, first)
    body = rows if names is None else rows[1:]
    if not body:
        raise ValueError(f"{name}: got no rows; wants at least one point.")
    try:
        values = np.loadtxt(body, delimiter=",", quotechar='"', comments=None, ndmin=2)
    except ValueError as error:
        _raise_csv_fault(name, body, names, len(first))
        raise ValueError(f"{name}: got {error}; wants a table of numbers.") from None
    if values.shape[1] != len(first) or np.abs(values).max() > _EXACT_INTEGER:
        _raise_csv_fault(name, body, names, len(first))
    return Table(values, name, names)


def _raise_csv_fault(
    name: str, body: Sequence[str], names: Sequence[str] | None, width: int
) -> None:
    """Name the first cell that is no number of ours: the slow second look at a faulty table."""
    for i, row in enumerate(csv.reader(body)):
        if len(row) != width:
            raise ValueError(f"{name}: got {len(row)} cells in row {i}; wants {width}, as above.")
        for j, cell in enumerate(row):
            label = f"{name}, column {j if names is None else names[j]!r}"
            if not _is_number(cell):
                raise ValueError(f"{label}: got the entry {cell!r} in row {i}; wants numbers.")
            if cell.strip().lstrip("+-").isdecimal() and int(cell) != float(cell):
                raise ValueError(
                    f"{label}: got the integer {cell.strip()} in row {i}, which float64 cannot "
                    "hold exactly; wants smaller integers or floats."
                )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(name: str, path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{name}: got no Parquet file ({error}); wants a Parquet table.") from None
    stored = (table.schema.pandas_metadata or {}).get("index_columns", [])
    table = table.drop_columns([column for column in stored if isinstance(column, str)])
    names = _check_names(name, table.column_names)
    columns = []
    for column, values in zip(names, table.columns, strict=True):
        label = f"{name}, column {column!r}"
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
            raise ValueError(f"{label}: got entries of type {values.type}; wants numbers.")
        columns.append(as_float_array(label, values.to_numpy()))
    values = np.column_stack(columns) if columns else np.empty((table.num_rows, 0))
    return Table(values, name, names)


def _check_names(name: str, names: Sequence[str]) -> tuple[str, ...]:
    stripped = tuple(column.strip() for column in names)
    if "" in stripped:
        raise ValueError(
            f"{name}: got no name for column {stripped.index('')}; wants a name for each (of a "
            "data frame, write no index: to_csv(..., index=False))."
        )
    double = sorted({column for column in stripped if stripped.count(column) > 1})
    if double:
        raise ValueError(f"{name}: got columns {double} more than once; wants distinct names.")
    return stripped


def _write_npy(handle: BinaryIO, values: np.ndarray) -> None:
    """As ``np.save``, which on a full disk raises an error that does not say so."""
    rows = np.ascontiguousarray(values)
    header = np.lib.format.header_data_from_array_1_0(rows)
    np.lib.format.write_array_header_1_0(handle, header)
    handle.write(rows.data)


def _write_csv(handle: BinaryIO, values: np.ndarray, names: Sequence[str] | None) -> None:
    text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
    rows = csv.writer(text, lineterminator="\n")
    if names is not None:
        rows.writerow(names)
    rows.writerows(values.astype(str).tolist())  # the shortest text that reads back the same bits
    text.detach()  # flushes; the handle stays open for its owner


def _write_parquet(handle: BinaryIO, values: np.ndarray, names: Sequence[str] | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = names or [f"x{i}" for i in range(values.shape[1])]
    pq.write_table(pa.table(dict(zip(columns, values.T, strict=True))), handle)
