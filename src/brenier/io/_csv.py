"""Points in CSV: which row is the header, and where a fault is, as a spreadsheet counts."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from brenier.io._table import Table

_EXACT_INTEGER = 2.0**53  # from here on float64 skips integers
# Separators that tables come with where commas are decimal marks, or by habit.
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
# Rows that are looked at to tell a separator, or a header of numbers from a point.
_LOOKED = 100
# Letters of a cell that a message repeats.
_SHOWN = 60


def read_csv(name: str, path: Path) -> Table:
    """The points in a CSV file; a first row without numbers, or of quoted ones, is a header."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: got bytes that are not UTF-8 ({error}); wants text.") from None
    lines = list(io.StringIO(text, newline=None))
    rows = [line for line in lines if line.strip()]
    try:
        head = csv.reader(rows)
        first = next(head, [])
    except csv.Error as error:
        raise ValueError(f"{name}: got {error} in line 1; wants a table of numbers.") from None
    has_names = _is_header(name, first, rows, rows[head.line_num :])
    names = check_names(name, first) if has_names else None
    body = rows[head.line_num :] if has_names else rows
    if not body:
        raise ValueError(f"{name}: got no rows; wants at least one point.")
    # A quoted line break in the header makes no row of its own in a spreadsheet.
    broken = head.line_num - 1 if has_names else 0
    numbers = [i + 1 - broken for i, line in enumerate(lines) if line.strip()][-len(body) :]
    try:
        values = np.loadtxt(body, delimiter=",", quotechar='"', comments=None, ndmin=2)
    except ValueError as error:
        _check_separator(name, rows)
        _raise_fault(name, body, numbers, names, len(first))
        raise ValueError(f"{name}: got {error}; wants a table of numbers.") from None
    if values.shape[1] != len(first) or not np.abs(values).max() <= _EXACT_INTEGER:
        _raise_fault(name, body, numbers, names, len(first))
    if not np.isfinite(values).all():
        _raise_not_finite(name, values, numbers, names)
    return Table(values, name, names)


def write_csv(handle: BinaryIO, values: np.ndarray, names: Sequence[str] | None) -> None:
    """Rows of numbers that read back the same bits, below the names where there are any."""
    text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
    rows = csv.writer(text, lineterminator="\n")
    if names is not None:
        # In quotes, names that are numbers are read back as names.
        quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        (quoted if any(map(is_number, names)) else rows).writerow(names)
    rows.writerows(values.astype(str).tolist())  # the shortest text that reads back the same bits
    text.detach()  # flushes; the handle stays open for its owner


def check_names(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names of columns without spaces around, or a ``ValueError``: one is missing or double."""
    stripped = tuple(column.strip() for column in names)
    if "" in stripped:
        raise ValueError(
            f"{name}: got no name for column {stripped.index('')}; wants a name for each (of a "
            "data frame, write no index: to_csv(..., index=False))."
        )
    double = sorted(column for column, count in Counter(stripped).items() if count > 1)
    if double:
        raise ValueError(f"{name}: got columns {double} more than once; wants distinct names.")
    return stripped


def is_number(cell: str) -> bool:
    """Whether a cell is read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_header(name: str, first: Sequence[str], rows: list[str], below: list[str]) -> bool:
    """Whether the first row names the columns. Numbers may, where they are quoted or counted."""
    numeric = [is_number(cell) for cell in first]
    if not any(numeric):
        return bool(first)
    quoted = _is_quoted(rows)
    if not all(numeric):
        if quoted:
            return True
        _check_separator(name, rows)
        raise ValueError(
            f"{name}: got a first row {_listed(first)} that mixes numbers and words; wants a "
            "header without numbers (or in quotes), or numbers only."
        )
    if quoted and below and not _is_quoted(below):
        return True
    if not below or [cell.strip() for cell in first] != [str(i) for i in range(len(first))]:
        return False
    # pandas' own names of columns. A writer writes all of a column alike: a whole number above
    # fractions is no point. One column may well begin at 0.
    cells = zip(*csv.reader(below[:_LOOKED]), strict=False)
    if len(first) > 1 and any(not any(map(_is_whole, column)) for column in cells):
        return True
    raise ValueError(
        f"{name}: got a first row {_listed(first)} that may be a point, or names of columns as "
        "pandas counts them; wants names in quotes or of words, or 0.0 for a number."
    )


def _is_quoted(rows: list[str]) -> bool:
    """Whether all cells of the first of the rows are in quotes."""
    try:
        row: Sequence[object] = next(csv.reader(rows, quoting=csv.QUOTE_NONNUMERIC), [])
    except (ValueError, csv.Error):  # a word without quotes
        return False
    return all(isinstance(cell, str) for cell in row)


def _is_whole(cell: str) -> bool:
    return cell.strip().lstrip("+-").isdecimal()


def _check_separator(name: str, rows: Sequence[str]) -> None:
    """Raise where the cells of a table that is no CSV are separated by something else."""
    for separator, word in _SEPARATORS.items():
        some = [row.strip() for row in rows[:_LOOKED]]
        widths = {row.count(separator) for row in some}
        if len(widths) == 1 and widths.pop() > 0:
            raise ValueError(
                f"{name}: got cells separated by {word}; wants commas between them, and points as "
                "decimal marks."
            )


def _raise_fault(
    name: str, body: Sequence[str], numbers: Sequence[int], names: Sequence[str] | None, width: int
) -> None:
    """Name the first cell that is no number of ours: the slow second look at a faulty table."""
    reader, i = csv.reader(body), -1
    while True:
        begun = reader.line_num
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise ValueError(
                f"{name}: got {error} in line {numbers[begun]}; wants a table of numbers."
            ) from None
        if row is None:
            return
        i, line = i + 1, numbers[begun]
        if len(row) != width:
            raise ValueError(
                f"{name}: got {len(row)} cells in row {i}; wants {width}, as above (line {line} "
                "of the file)."
            )
        for j, cell in enumerate(row):
            _check_cell(_label(name, names, j), cell, f"in row {i} (line {line} of the file)")


def _check_cell(label: str, cell: str, where: str) -> None:
    if not is_number(cell):
        raise ValueError(f"{label}: got the entry {_short(cell)} {where}; wants numbers.")
    if not _is_whole(cell):
        return
    if np.isinf(float(cell)):
        raise ValueError(
            f"{label}: got an integer of {len(cell.strip()):,} digits {where}, which is beyond "
            "float64; wants smaller numbers."
        )
    if Decimal(cell.strip()) != Decimal(float(cell)):
        raise ValueError(
            f"{label}: got the integer {_shortened(cell.strip())} {where}, which float64 cannot "
            "hold exactly; wants smaller integers or floats."
        )


def _raise_not_finite(
    name: str, values: np.ndarray, numbers: Sequence[int], names: Sequence[str] | None
) -> NoReturn:
    bad = ~np.isfinite(values)
    row, column = (int(i) for i in np.argwhere(bad)[0])
    raise ValueError(
        f"{name}: got {int(bad.sum())} NaN or infinite entries, the first at row {row}, column "
        f"{column if names is None else names[column]!r} (line {numbers[row]} of the file); wants "
        "finite numbers."
    )


def _label(name: str, names: Sequence[str] | None, column: int) -> str:
    return f"{name}, column {column if names is None else names[column]!r}"


def _short(cell: str) -> str:
    return repr(cell) if len(cell) <= _SHOWN else f"{cell[:_SHOWN]!r}… ({len(cell):,} letters)"


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}… ({len(cell):,} digits)"


def _listed(cells: Sequence[str]) -> str:
    more = f" and {len(cells) - 10:,} more" if len(cells) > 10 else ""
    return f"[{', '.join(_short(cell) for cell in cells[:10])}]{more}"
