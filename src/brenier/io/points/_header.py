"""The first row of a CSV file: names of the columns, or a point; refused where neither is told."""

import csv
from collections.abc import Sequence

from brenier._warnings import warn_user
from brenier.io.points._table import listed, shortened

# Separators that tables come with where commas are decimal marks, or by habit.
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
# Rows that are looked at to tell a separator, or a header of numbers from a point.
LOOKED = 100
# What stands where a value is missing: it says nothing of its column.
_MISSING = ("", "-", "?", "#n/a", "n/a", "na", "none", "null")


def is_number(cell: str) -> bool:
    """Whether a cell is read as a number: Python takes other digits and 1_000 too, files do not."""
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell


def names_above(name: str, remarks: Sequence[str], width: int) -> tuple[str, ...] | None:
    """The names of so many columns that the last remark holds, as ``savetxt`` writes them; or None.

    Raises:
        ValueError: a remark may be a row.
    """
    names: tuple[str, ...] = ()
    for remark in remarks:
        names = tuple(cell.strip() for cell in next(csv.reader([remark[1:]]), []))
        if len(names) == width and remark[1:2].strip() and any(map(is_number, names[1:])):
            raise ValueError(
                f"{name}: got the line {shortened(remark.strip())} above the first row, which may "
                "be a row too; wants a header above it, or a blank behind the # of a remark."
            )
    if len(names) != width:
        return None
    is_whole = len(set(names)) == width and all(names)
    return names if is_whole and not any(map(is_number, names)) else None


def is_header(
    name: str, row: Sequence[str], rows: list[str], below: list[str], places: Sequence[int]
) -> bool:
    """Whether the first row names the columns, of which those at the places are to be read.

    Numbers may, where they are quoted, counted, or beside two words above numbers.
    """
    numeric = [is_number(cell) for cell in row]
    if not any(numeric):
        return bool(row)
    may_be_read = all(numeric[place] for place in places)
    # Where all of a file is in quotes, they say nothing of a row that may be read.
    told = not (may_be_read and _is_quoted(below)) if below else not all(numeric)
    if told and _is_quoted(rows):
        return True
    others = [cells for cells in csv.reader(below[:LOOKED]) if len(cells) == len(row)]
    columns = list(zip(*others, strict=True)) or [()] * len(row)
    words = {
        cell
        for cell, column in zip(row, columns, strict=True)
        if column and not (is_number(cell) or _is_missing(cell)) and all(map(is_number, column))
    }
    if len(words) > 1:
        return True
    numbers = [cell.strip() for cell, is_one in zip(row, numeric, strict=True) if is_one]
    may_name = bool(below) and all(map(is_whole, numbers)) and len(set(numbers)) == len(numbers)
    is_counted = may_name and numbers == [str(place) for place in range(len(row))]
    # pandas' own names of columns; but one column may well begin at 0.
    if is_counted and len(row) > 1 and not all(any(map(is_whole, column)) for column in columns):
        return True
    # What is chosen is numbers, or an error will say where it is not.
    is_odd = any(
        _is_odd(cell, columns[place], may_name and place not in places)
        for place, cell in enumerate(row)
    )
    if is_odd and not may_be_read:
        check_separator(name, rows)
        raise ValueError(
            f"{name}: got a first row {listed(row)} that mixes numbers and words; wants a header "
            "without numbers (or in quotes), or numbers only (--columns chooses columns)."
        )
    if is_counted or (is_odd and may_name):
        raise ValueError(
            f"{name}: got a first row {listed(row)} that may be a point, or names of columns; "
            "wants names in quotes, of words, or chosen by name; or a header above the points."
        )
    # A writer writes all of a column alike: whole numbers above fractions are hardly a point.
    entries = [
        is_whole(cell)
        for column, is_one in zip(columns, numeric, strict=True)
        for cell in column
        if is_one and is_number(cell)
    ]
    if is_odd or (may_name and 2 * sum(entries) < len(entries)):
        kind = "words and numbers" if is_odd else "whole numbers above fractions"
        warn_user(
            f"{name}: got a first row {listed(row)} of {kind}, and took it for a point; where it "
            "names the columns, put the names in quotes."
        )
    return False


def _is_odd(first: str, column: Sequence[str], may_name: bool) -> bool:
    """Whether the first cell is a word that comes once, or a number that may name words."""
    if is_number(first):
        said = [cell for cell in column if not _is_missing(cell)]
        return may_name and bool(said) and not any(map(is_number, said))
    return not _is_missing(first) and first not in column


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING


def _is_quoted(rows: list[str]) -> bool:
    """Whether all cells of the first of the rows are in quotes."""
    try:
        row: Sequence[object] = next(csv.reader(rows, quoting=csv.QUOTE_NONNUMERIC), [])
    except (ValueError, csv.Error):  # a word without quotes
        return False
    return all(isinstance(cell, str) for cell in row)


def is_whole(cell: str) -> bool:
    return cell.strip().lstrip("+-").isdecimal()


def check_separator(name: str, rows: Sequence[str]) -> None:
    """Raise where the cells of a table that is no CSV are separated by something else."""
    some = [row.strip() for row in rows[:LOOKED]]
    for separator, word in _SEPARATORS.items():
        widths = {row.count(separator) for row in some}
        cells = [cell for cell in some[-1].split(separator) if not cell.endswith(",")]
        count = sum(is_number(cell.replace(",", ".")) for cell in cells)
        if widths != {0} and len(widths) == 1 and count >= sum(map(is_number, some[-1].split(","))):
            raise ValueError(
                f"{name}: got cells separated by {word}; wants commas between them, and points as "
                "decimal marks."
            )
