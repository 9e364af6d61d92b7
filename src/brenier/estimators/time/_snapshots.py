"""The snapshots of one table, or of one AnnData, a column of which holds the time."""

from dataclasses import replace
from typing import Any

import numpy as np

from brenier._checks import refuse_dates
from brenier._frames import Frame, opened_frame
from brenier.estimators.data import taken_columns
from brenier.io import is_cells


def by_time(value: Any, column: Any) -> tuple[list[Any], np.ndarray]:
    """The rows of each time, and the times, which a column of ``obs`` or of the table holds.

    Raises:
        ValueError: no such column, or one that holds no numbers for some rows.

    >>> table = Frame(np.array([[5.0, 1.0], [6.0, 0.0]]), ["a", "day"])
    >>> snapshots, times = by_time(table, "day")
    >>> [one.values.tolist() for one in snapshots], times.tolist()
    ([[[6.0]], [[5.0]]], [0.0, 1.0])
    """
    if not isinstance(column, str):
        one, where = ("AnnData", "column of obs") if is_cells(value) else ("table", "column")
        raise ValueError(
            f"times: got {type(column).__name__} beside one {one}; wants the {where} that holds "
            "the time."
        )
    rest, (held,) = taken_columns("times", [column], "snapshots", value)
    refuse_dates(f"times, {column}", held)
    entries = np.asarray(held)
    try:
        found = entries.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"times: got the column {str(column)!r}, whose entries are not numbers "
            f"({entries[0]!r}); wants times."
        ) from None
    if not np.isfinite(found).all():
        raise ValueError(f"times: got no time for some rows in {str(column)!r}; wants one each.")
    times = np.unique(found)
    return [_rows(rest, np.flatnonzero(found == time)) for time in times], times


def _rows(value: Any, rows: np.ndarray) -> Any:
    """Some of the rows."""
    if is_cells(value):
        return value[rows]
    if isinstance(value, Frame):
        return replace(value, values=value.values[rows])
    frame = opened_frame("snapshots", value)
    assert frame is not None  # what has named columns is one of the three
    return frame[rows].to_native()
