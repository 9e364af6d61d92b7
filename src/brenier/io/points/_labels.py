"""Columns of a table that say of what condition a row is."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brenier._extras import check_installed
from brenier.io._refusals import check_file, refusing
from brenier.io.points._csv import check_names, open_text
from brenier.io.points._table import places_of


def read_labels(
    spec: str | os.PathLike[str], columns: Sequence[str]
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Columns of a ``.csv`` or ``.parquet`` file as they stand there, and the names of the others.

    Each is an array of numbers (float64) where all of its cells are such, else of text.

    Raises:
        ValueError: another kind of file, or no such column.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/cells.csv"
    >>> _ = Path(path).write_text("kind,a,day\\nB,1.5,3\\nT,2,4\\n")
    >>> labels, others = read_labels(path, ["kind", "day"])
    >>> [label.tolist() for label in labels], others
    ([['B', 'T'], [3.0, 4.0]], ('a',))
    """
    name, path = os.fspath(spec), Path(spec)
    if path.suffix.lower() == ".csv":
        check_file(name, "a .csv file")
        names, rows = _csv_rows(name, path)
    elif path.suffix.lower() == ".parquet":
        check_file(name, "a .parquet file")
        names, rows = _parquet_rows(name, path)
    else:
        raise ValueError(
            f"{name}: got the ending {path.suffix!r}; wants .csv, .parquet or .h5ad, which have "
            "columns of conditions."
        )
    places = places_of(name, names, len(names), columns)
    others = tuple(own for i, own in enumerate(names) if i not in places)
    return [_typed([row[place] for row in rows]) for place in places], others


def _csv_rows(name: str, path: Path) -> tuple[tuple[str, ...], list[list[str]]]:
    with (
        refusing(name, "no table", "a .csv file", csv.Error, UnicodeDecodeError),
        open_text(path) as lines,
    ):
        rows = [row for row in csv.reader(lines) if row and not row[0].startswith("#")]
    if not rows:
        raise ValueError(f"{name}: got no rows; wants a table with names of columns.")
    names = check_names(name, rows[0])
    short = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if short is not None:
        raise ValueError(
            f"{name}: got {len(rows[short])} cells in row {short}; wants {len(names)}."
        )
    return names, [[cell.strip() for cell in row] for row in rows[1:]]


def _parquet_rows(name: str, path: Path) -> tuple[tuple[str, ...], list[list[str]]]:
    check_installed(name, "pyarrow")
    import pyarrow.parquet as pq

    with refusing(name, "no Parquet file, or a damaged one", "a Parquet table"):
        table = pq.read_table(path)
    columns = [
        ["" if cell is None else str(cell) for cell in column.to_pylist()]
        for column in table.columns
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return check_names(name, table.column_names), rows


def _typed(cells: Sequence[str]) -> np.ndarray:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        return np.array([cell or None for cell in cells], dtype=object)
