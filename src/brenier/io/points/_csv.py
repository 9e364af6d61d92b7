"""Points in CSV: which lines are rows, and where a fault is, as a spreadsheet counts."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NoReturn, TextIO

import numpy as np

from brenier.io.points._header import (
    LOOKED,
    check_separator,
    is_header,
    is_number,
    is_whole,
    names_above,
)
from brenier.io.points._table import Table, listed, places_of, shortened

_EXACT_INTEGER = 2.0**53  # from here on float64 skips integers
# Digits of an integer that a message repeats.
_SHOWN = 60
_NO_REMARK = "; a remark begins with # and has more cells than a row, or fewer"
# Numbers that are turned to text at a time.
_WRITTEN = 2**17


@dataclass(frozen=True)
class _Sheet:
    """What the top of a file says of the whole.

    Args:
        name: of the file, for messages.
        path: where it is.
        names: of its columns, where it has them.
        has_header: whether the first row holds the names.
        width: how many columns it has.
        places: the columns that are wanted.
    """

    name: str
    path: Path
    names: tuple[str, ...] | None
    has_header: bool
    width: int
    places: Sequence[int]

    def label(self, column: int) -> str:
        """A column for a message: its name, or its place."""
        return str(column) if self.names is None else shortened(self.names[column])


def read_csv(name: str, path: Path, columns: Sequence[str] | None = None) -> Table:
    """The points in a CSV file; a first row without numbers, or of quoted ones, is a header.

    Empty lines are no rows, nor are remarks: lines that begin with #, above the rows, or among them
    with another number of cells. NumPy's ``savetxt`` writes names behind a #: there they are read.
    Of ``columns``, each is a name or a place; all are read without.
    """
    try:
        with open_text(path) as lines:
            remarks, rows = _above(lines)
            sheet, looked, below = _begun(name, path, remarks, rows, columns)
            body = chain(below, rows)
            values = _values(sheet, body if columns is None else _cut_out(sheet, body), looked)
    except UnicodeDecodeError as error:
        raise _no_text(name, error) from None
    names = sheet.names and tuple(sheet.names[place] for place in sheet.places)
    return Table(values, name, names)


def read_csv_words(
    name: str, path: Path, columns: Sequence[str]
) -> tuple[list[list[str]], tuple[str, ...] | None, tuple[str, ...]]:
    """Columns of a CSV file as words without the spaces around them; what they and others are."""
    try:
        with open_text(path) as lines:
            remarks, rows = _above(lines)
            sheet, _, _ = _begun(name, path, remarks, rows, columns)
        words: list[list[str]] = [[] for _ in columns]
        for i, (line, row) in enumerate(_records(sheet)):
            if len(row) != sheet.width:
                raise ValueError(
                    f"{name}: got {len(row)} cells in row {i}; wants {sheet.width}, as above "
                    f"(line {line} of the file)."
                )
            for own, place in zip(words, sheet.places, strict=True):
                own.append(row[place].strip())
    except UnicodeDecodeError as error:
        raise _no_text(name, error) from None
    called = sheet.names and tuple(sheet.names[place] for place in sheet.places)
    names = sheet.names or tuple(map(str, range(sheet.width)))
    return words, called, tuple(name for i, name in enumerate(names) if i not in sheet.places)


def _no_text(name: str, error: UnicodeDecodeError) -> ValueError:
    return ValueError(
        f"{name}: got bytes that are not UTF-8 ({error.object[error.start]:#04x}: "
        f"{error.reason}); wants text."
    )


def write_csv(handle: BinaryIO, values: np.ndarray, names: Sequence[str] | None) -> None:
    """Rows of numbers that read back the same bits, below the names where there are any."""
    text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
    rows = csv.writer(text, lineterminator="\n")
    if names is not None:
        # In quotes, names that are numbers, or begin as a comment, are read back as names.
        quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        is_quoted = any(is_number(name) or name.startswith("#") for name in names)
        (quoted if is_quoted else rows).writerow(names)
    block = max(1, _WRITTEN // values.shape[1])
    for start in range(0, len(values), block):
        # The shortest text that reads back the same bits.
        rows.writerows(values[start : start + block].astype(str).tolist())
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
        raise ValueError(
            f"{name}: got columns {listed(double)} more than once; wants distinct names."
        )
    return stripped


def _check_told_apart(name: str, names: Sequence[str], columns: Sequence[str]) -> None:
    """A ``ValueError`` where a column is chosen by a name that several have."""
    double = [column for column in columns if names.count(column) > 1]
    if double:
        raise ValueError(
            f"{name}: got columns {listed(double)} more than once; wants distinct names."
        )


def open_text(path: Path) -> TextIO:
    """The text of a file; a spreadsheet's "Unicode text" begins with a mark that says so."""
    with path.open("rb") as handle:
        begin = handle.read(3)
    encoding = "utf-8-sig" if begin == codecs.BOM_UTF8 else "utf-8"
    if begin[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    return path.open(encoding=encoding)


def _rows(lines: Iterable[str]) -> Iterator[str]:
    """The lines of rows; inside of quotes that is any line."""
    first: list[str] = []
    width, is_open = 0, False
    for line in lines:
        if not is_open and (line.isspace() or (line[0] == "#" and _is_remark(line, width))):
            continue
        yield line
        if '"' in line and line.count('"') % 2 == 1:
            is_open = not is_open and not _cells([line])
        if not width:
            first.append(line)
            width = 0 if is_open else len(_cells(first)) or -1


def _is_remark(line: str, width: int) -> bool:
    """Whether a line that begins with # is no row below a first one of so many cells."""
    if width == 1:  # no comma tells: errors of spreadsheets, colours and numbers have no blank
        return not line[1:2].strip()
    return len(_cells([line])) not in (0, width) if width else True


def _cells(lines: list[str]) -> list[str]:
    """The cells of a row; none where quotes are open at its end, or it is no row."""
    try:
        return next(csv.reader(lines, strict=True), [])
    except csv.Error:
        return []


def _above(lines: Iterator[str]) -> tuple[list[str], Iterator[str]]:
    """The remarks above the rows, and the lines of these."""
    remarks = []
    for line in lines:
        if line[0] == "#":
            remarks.append(line)
        elif not line.isspace():
            return remarks, _rows(chain([line], lines))
    return remarks, iter(())


def _begun(
    name: str, path: Path, remarks: list[str], rows: Iterator[str], columns: Sequence[str] | None
) -> tuple[_Sheet, list[str], list[str]]:
    """The sheet, the first lines of its rows, and those of them below the header."""
    looked = list(islice(rows, LOOKED + 1))
    head = csv.reader(looked, strict=True)
    try:
        first = next(head, [])
        names = names_above(name, remarks, len(first))
    except csv.Error as error:
        raise ValueError(f"{name}: got {error} in line 1; wants a table of numbers.") from None
    width, below = len(first), looked[head.line_num :]
    places = {str(place): place for place in range(width)}
    called = [column for column in columns or () if column not in places]
    count = sum(map(is_number, first))
    if called or (names is not None and 0 < count < width):
        cells = {cell.strip() for cell in first}
        has_header = names is None and (count < width or cells.issuperset(called))
    else:
        chosen = [places[column] for column in columns or places]
        has_header = is_header(name, first, looked, below, chosen)
    body = below if has_header else looked
    if not body:
        above = f" below the first, {listed(first)}" if first else ""
        raise ValueError(f"{name}: got no rows{above}; wants at least one point.")
    if has_header and columns is None:
        names = check_names(name, first)
    elif has_header:
        names = tuple(cell.strip() for cell in first)
        _check_told_apart(name, names, columns or ())
    chosen = list(range(width)) if columns is None else places_of(name, names, width, columns)
    if has_header and names is not None:
        check_names(name, [names[place] for place in chosen])
    return _Sheet(name, path, names, has_header, width, chosen), looked, body


def _values(sheet: _Sheet, body: Iterable[str], looked: Sequence[str]) -> np.ndarray:
    try:
        values = np.loadtxt(body, delimiter=",", quotechar='"', comments=None, ndmin=2)
    except UnicodeDecodeError:
        raise
    except (ValueError, csv.Error) as error:
        check_separator(sheet.name, looked)
        _raise_fault(sheet)
        raise ValueError(f"{sheet.name}: got {error}; wants a table of numbers.") from None
    largest = max(values.max(), -values.min())  # NaN, where there is one
    if values.shape[1] != len(sheet.places) or not largest < _EXACT_INTEGER:
        _raise_fault(sheet)
    if not np.isfinite(largest):
        _raise_not_finite(sheet, values)
    return values


def _cut_out(sheet: _Sheet, body: Iterable[str]) -> Iterator[str]:
    """The wanted cells of each row. Where one is wrong this stops; ``_raise_fault`` says where."""
    for row in csv.reader(body, strict=True):
        if len(row) != sheet.width:
            raise ValueError("rows of several lengths")
        cells = [row[place] for place in sheet.places]
        if not all(map(str.strip, cells)):  # NumPy takes an empty line for none
            raise ValueError("empty cells")
        yield ",".join(cells)


def _records(sheet: _Sheet) -> Iterator[tuple[int, list[str]]]:
    """The rows of points with their lines; a line break in quotes makes none in a spreadsheet."""
    line = 0

    def counted(lines: Iterable[str]) -> Iterator[str]:
        nonlocal line
        for text in lines:
            line += 1
            yield text

    with open_text(sheet.path) as lines:
        reader = csv.reader(_rows(counted(lines)), strict=True)
        broken, is_header = 0, sheet.has_header
        while True:
            begun = reader.line_num
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise ValueError(
                    f"{sheet.name}: got {error} in line {line - broken}; wants a table of numbers."
                ) from None
            if row is None:
                return
            broken += reader.line_num - begun - 1
            if not is_header:
                yield line - broken, row
            is_header = False


def _raise_fault(sheet: _Sheet) -> None:
    """Name the first cell that is no number of ours: the slow second look at a faulty table."""
    for i, (line, row) in enumerate(_records(sheet)):
        where = f"in row {i} (line {line} of the file)"
        if len(row) != sheet.width:
            raise ValueError(
                f"{sheet.name}: got {len(row)} cells in row {i}; wants {sheet.width}, as above "
                f"(line {line} of the file)."
            )
        for place in sheet.places:
            _check_cell(f"{sheet.name}, column {sheet.label(place)}", row[place], where)


def _check_cell(label: str, cell: str, where: str) -> None:
    if not is_number(cell):
        raise ValueError(
            f"{label}: got the entry {shortened(cell)} {where}; wants numbers (--columns chooses "
            f"columns{_NO_REMARK * cell.startswith('#')})."
        )
    if not is_whole(cell):
        return
    digits = cell.strip()
    if np.isinf(float(cell)):
        raise ValueError(
            f"{label}: got an integer of {len(digits):,} digits {where}, which is beyond "
            "float64; wants smaller numbers."
        )
    if Decimal(digits) != Decimal(float(cell)):
        shown = digits if len(digits) <= _SHOWN else f"{digits[:_SHOWN]}… ({len(digits):,} digits)"
        raise ValueError(
            f"{label}: got the integer {shown} {where}, which float64 cannot hold exactly; wants "
            "smaller integers or floats."
        )


def _raise_not_finite(sheet: _Sheet, values: np.ndarray) -> NoReturn:
    bad = ~np.isfinite(values)
    row, column = (int(i) for i in np.argwhere(bad)[0])
    line, _ = next(islice(_records(sheet), row, None))
    raise ValueError(
        f"{sheet.name}: got {int(bad.sum())} NaN or infinite entries, the first at row {row}, "
        f"column {sheet.label(sheet.places[column])} (line {line} of the file); wants finite "
        "numbers."
    )
