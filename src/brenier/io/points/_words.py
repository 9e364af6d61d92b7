"""Columns of words: labels beside the points of a table."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from brenier._atomic import atomic_write
from brenier._extras import check_installed
from brenier._outputs import check_folder
from brenier.io._refusals import check_file, refusing
from brenier.io.points._csv import read_csv_words
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
    name = os.fspath(path)
    check_words_file(name)
    check_file(path, "a table", name)
    if Path(path).suffix.lower() == ".csv":
        words = read_csv_words(name, Path(path), column)
    else:
        words = _parquet_words(name, Path(path), column)
    if "" in words:
        row = words.index("")
        raise ValueError(f"{name}, column {column!r}: got no entry in row {row}; wants a label.")
    return np.array(words)


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


def _parquet_words(name: str, path: Path, column: str) -> list[str]:
    import pyarrow.parquet as pq

    with refusing(name, "no Parquet file, or a damaged one", "a Parquet table"):
        names = pq.read_schema(path).names
    stored = names[places_of(name, names, len(names), [column])[0]]
    with refusing(name, "no Parquet file, or a damaged one", "a Parquet table"):
        entries = pq.read_table(path, columns=[stored]).column(0).to_pylist()
    return ["" if entry is None else str(entry) for entry in entries]
