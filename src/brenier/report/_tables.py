"""Tables for the terminal."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def summary_table(title: str, rows: Mapping[str, str]) -> "Table":
    """Two columns, what was measured and its value.

    >>> summary_table("demo", {"seconds": "12.3"}).row_count
    1
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, title_style="bold")
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def words_table(
    title: str, lines: Sequence[Sequence[str]], *, numbers: Collection[int], best: int
) -> "Table":
    """A table of words under the names of its columns.

    Args:
        title: above it.
        lines: the names of the columns, then a line for every row.
        numbers: the columns that hold numbers, which stand to the right.
        best: the row that stands out, counted from 0.

    >>> lines = [("map", "J"), ("affine", "2.0"), ("bent", "1.5")]
    >>> words_table("Maps", lines, numbers=[1], best=1).row_count
    2
    """
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    names, *rows = lines
    for i, name in enumerate(names):
        table.add_column(name, justify="right" if i in numbers else "left", overflow="fold")
    for i, row in enumerate(rows):
        table.add_row(*row, style="bold" if i == best else None)
    return table
