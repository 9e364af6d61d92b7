"""Columns beside the points of a table: labels, and the conditions that rows are of."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brenier._atomic import atomic_write
from brenier._checks import refuse_dates
from brenier._extras import check_installed
from brenier._outputs import check_folder
from brenier.io._refusals import check_file, refusing
from brenier.io.points._csv import read_csv_words
from brenier.io.points._header import is_number
from brenier.io.points._parquet import index_columns
from brenier.io.points._table import places_of

_ENDINGS = (".csv", ".parquet")


def read_words(path: str | os.PathLike[str], column: str) -> np.ndarray:
    """A column of a ``.csv`` or ``.parquet`` file as words, (n,): a label for each point.

    Raises:
        ValueError: names the file: another ending, a damaged one, no such column, an empty entry.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/cells.csv"
    >>> _ = Path(path).write_text("height,kind\\n1.5,B\\n3,T\\n")
    >>> read_words(path, "kind").tolist()
    ['B', 'T']
    """
    (entries,), *_ = _entries(os.fspath(path), [column])
    return np.array([str(entry) for entry in entries])


def read_conditions(
    path: str | os.PathLike[str], columns: Sequence[str]
) -> tuple[list[np.ndarray], tuple[str, ...] | None, tuple[str, ...]]:
    """Columns of a ``.csv`` or ``.parquet`` file, each (n,), their names, and those of the others.

    Numbers (float64) where all entries of a column are some, and words where not; Parquet says
    itself which of them are numbers. Where columns have no names, theirs are None, and the others
    are called by their places.

    Raises:
        ValueError: as ``read_words``; dates of Parquet.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/cells.csv"
    >>> _ = Path(path).write_text("kind,a,day\\nB,1.5,3\\nT,2,4\\n")
    >>> conditions, names, others = read_conditions(path, ["kind", "2"])
    >>> [own.tolist() for own in conditions], names, others
    ([['B', 'T'], [3.0, 4.0]], ('kind', 'day'), ('a',))
    """
    entries, names, others = _entries(os.fspath(path), columns)
    for column, own in zip(columns, entries, strict=True):
        refuse_dates(f"{os.fspath(path)}, column {column!r}", own)
    if Path(path).suffix.lower() == ".csv":
        entries = [list(map(float, own)) if all(map(is_number, own)) else own for own in entries]
    return [_typed(own) for own in entries], names, others


def write_columns(path: str | os.PathLike[str], columns: Mapping[str, np.ndarray]) -> None:
    """Write columns of words and numbers to a ``.csv`` or ``.parquet`` file, whole or not at all.

    Raises:
        ValueError: as ``check_words_file``.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/kinds.csv"
    >>> write_columns(path, {"kind": np.array(["B"]), "probability": np.array([0.75])})
    >>> Path(path).read_text()
    'kind,probability\\nB,0.75\\n'
    """
    check_words_file(path)
    check_folder(path)
    with atomic_write(path) as handle:
        if Path(path).suffix.lower() == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table(dict(columns)), handle)
            return
        text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        text.detach()  # flushes; the handle stays open for its owner


def check_words_file(path: str | os.PathLike[str]) -> None:
    """A ``ValueError`` where a file of that name holds no columns of words.

    >>> check_words_file("kinds.npy")
    Traceback (most recent call last):
        ...
    ValueError: kinds.npy: got the ending '.npy'; wants .csv or .parquet, which hold labels.
    """
    ending = Path(path).suffix.lower()
    if ending not in _ENDINGS:
        raise ValueError(
            f"{path}: got the ending {ending!r}; wants .csv or .parquet, which hold labels."
        )
    if ending == ".parquet":
        check_installed(str(path), "pyarrow")


def _entries(
    name: str, columns: Sequence[str]
) -> tuple[Sequence[Sequence[Any]], tuple[str, ...] | None, tuple[str, ...]]:
    """The entries of columns, none of them missing, their names, and those of the others."""
    check_words_file(name)
    check_file(name, "a table")
    if Path(name).suffix.lower() == ".csv":
        entries, names, others = read_csv_words(name, Path(name), columns)
    else:
        entries, names, others = _parquet_entries(name, Path(name), columns)
    for column, own in zip(columns, entries, strict=True):
        absent = [row for row, entry in enumerate(own) if entry in ("", None) or entry != entry]
        if absent:
            raise ValueError(
                f"{name}, column {column!r}: got no entry in row {absent[0]}; wants a label."
            )
    return entries, names, others


def _typed(entries: Sequence[Any]) -> np.ndarray:
    """Numbers where all are some, and else words."""
    if all(isinstance(own, int | float) and not isinstance(own, bool) for own in entries):
        return np.array(entries, np.float64)
    return np.array([str(own) for own in entries], dtype=object)


def _parquet_entries(
    name: str, path: Path, columns: Sequence[str]
) -> tuple[list[list[Any]], tuple[str, ...], tuple[str, ...]]:
    import pyarrow.parquet as pq

    with refusing(name, "no Parquet file, or a damaged one", "a Parquet table"):
        schema = pq.read_schema(path)
    places = places_of(name, schema.names, len(schema.names), columns)
    with refusing(name, "no Parquet file, or a damaged one", "a Parquet table"):
        table = pq.read_table(path, columns=[schema.names[place] for place in places])
        entries = [table.column(i).to_pylist() for i in range(len(places))]
    index = index_columns(name, schema)
    return (
        entries,
        tuple(schema.names[place] for place in places),
        tuple(own for i, own in enumerate(schema.names) if i not in places and own not in index),
    )
