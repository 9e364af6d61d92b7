"""Tables for the terminal."""

from collections.abc import Mapping
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
