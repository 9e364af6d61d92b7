"""Columns that users name, of ``obs`` or of a table, where they are then no coordinates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._checks import as_frame
from brenier._frames import Frame, opened_frame
from brenier.io import Table, check_obs_column, is_cells

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw


def column_labels(name: str, value: Any) -> list[Any]:
    """The columns that a text may name: of ``obs``, or of a table; none of what has no names.

    >>> column_labels("X", Table(np.eye(2), names=("a", "day"))), column_labels("X", np.eye(2))
    (['a', 'day'], [])
    """
    if is_cells(value):
        return list(value.obs.columns)
    if isinstance(value, Frame | Table):
        return list(value.columns or ())
    frame = None if isinstance(value, np.ndarray) else opened_frame(name, value)
    return [] if frame is None else list(frame.columns)


def frame_columns(frame: "nw.DataFrame[Any]", labels: Sequence[Any]) -> list[Any]:
    """Columns of a frame, (n,) each: series of pandas, whose categories may be of numbers."""
    held = [frame.get_column(label) for label in labels]
    is_pandas = frame.implementation.is_pandas()
    return [own.to_native() if is_pandas else own.to_numpy() for own in held]


def taken_columns(
    argument: str, labels: Sequence[Any], name: str, value: Any
) -> tuple[Any, list[Any]]:
    """The points less the columns of these labels, and the columns, (n,) each.

    Args:
        argument: that names them, for errors.
        labels: of the columns.
        name: of the argument of the points.
        value: the points.

    Raises:
        ValueError: no such column (those there are, are listed), or points without names.

    >>> rest, (day,) = taken_columns("times", ["day"], "X", Table(np.eye(2), names=("a", "day")))
    >>> rest.columns, day.tolist()
    (['a'], [0.0, 1.0])
    """
    there = column_labels(name, value)
    if not there and not is_cells(value):
        raise ValueError(
            f"{argument}: got the name {str(labels[0])!r} beside a {type(value).__name__}, which "
            "has no named columns; wants an entry for each row."
        )
    for label in labels:
        if is_cells(value):
            check_obs_column(value, argument, label)
        elif label not in there:
            raise ValueError(f"{argument}: got {str(label)!r}; wants a column, one of {there}.")
    if is_cells(value):
        return value, [value.obs[label] for label in labels]
    frame = None if isinstance(value, Frame) else opened_frame(name, value)
    if frame is not None:
        return frame.drop(list(labels)).to_native(), frame_columns(frame, labels)
    rest, columns = as_frame(name, value), []
    for label in labels:
        rest, column = rest.without(argument, label)
        columns.append(column)
    return rest, columns
