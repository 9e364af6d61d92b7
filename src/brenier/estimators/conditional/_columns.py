"""The conditions of rows, as users tell them: arrays, tables, or names of columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np

from brenier._checks import refuse_dates
from brenier._frames import is_counted, opened_frame
from brenier._row_checks import is_missing
from brenier.estimators.data import column_labels, frame_columns, taken_columns
from brenier.io import is_cells
from brenier.maps import Covariates

_LISTED = 10  # names that an error lists, at most


@dataclass(frozen=True)
class Column:
    """One covariate of all rows: text, or numbers.

    Args:
        name: of the covariate.
        values: (n,).
        is_named: whether the user gave it that name, and it is to be found by it.
    """

    name: str
    values: np.ndarray
    is_named: bool = True

    @property
    def is_number(self) -> bool:
        return self.values.dtype.kind == "f"

    @classmethod
    def of(cls, argument: str, label: str, values: Any, is_named: bool = True) -> "Column":
        """Numbers where all values (n,) are some, and text where not.

        Booleans are text, and so are pandas' categories, also those of numbers.

        Raises:
            ValueError: a value is missing, infinite or a date; ``argument`` and label are named.

        >>> Column.of("condition_X", "day", [2, 4.5]).values.tolist()
        [2.0, 4.5]
        """
        refuse_dates(f"{argument}, {label}" if is_named else argument, values)
        plain = np.asarray(values, dtype=object)
        missing = [is_missing(v) for v in plain.tolist()]
        if any(missing):
            raise ValueError(
                f"{argument}: got no value of {label} in {sum(missing)} rows, the first row "
                f"{missing.index(True)}; wants one in each."
            )
        kinds = {type(v) for v in plain.tolist()}
        is_category = str(getattr(values, "dtype", "")) == "category"
        if (
            not is_category
            and all(issubclass(kind, int | float | np.number) for kind in kinds - {bool})
            and bool not in kinds
            and np.bool_ not in kinds
        ):
            numbers = plain.astype(np.float64)
            if not np.isfinite(numbers).all():
                raise ValueError(
                    f"{argument}: got an infinite value of {label}; wants finite numbers."
                )
            return cls(label, numbers, is_named)
        return cls(label, plain.astype(str).astype(object), is_named)

    def at(self, rows: np.ndarray) -> "Column":
        """The values of some rows."""
        return Column(self.name, self.values[rows], self.is_named)


# One condition of all rows, or what the rows are of.
Condition: TypeAlias = tuple[Any, ...] | Sequence[Column]


def read_columns(argument: str, value: Any, name: str, points: Any) -> tuple[Any, Sequence[Column]]:
    """The points less the columns that tell of what condition they are, and the covariates.

    Args:
        argument: that tells it, for errors.
        value: an array (n,) or (n, q), a data frame or a series; names of columns of ``obs`` or of
            a table; or ``Column``, read before.
        name: of the argument of the points.
        points: what the conditions are of.

    Raises:
        ValueError: missing values, dates, or columns that are not there.
    """
    if value is None:
        raise ValueError(f"{argument}: got None; wants the condition of every row.")
    if isinstance(value, list) and value and all(isinstance(own, Column) for own in value):
        return points, value
    labels = _labels(value, column_labels(name, points))
    if labels:
        points, held = taken_columns(argument, labels, name, points)
        pairs = zip(labels, held, strict=True)
        return points, [Column.of(argument, str(label), own) for label, own in pairs]
    return points, [Column.of(argument, *own) for own in _parts(argument, value)]


def read_condition(
    argument: str, value: Any, name: str, points: Any, map_of: tuple[Covariates, Sequence[Any]]
) -> tuple[Any, Condition]:
    """As ``read_columns``, where a text, a number or a tuple may be one condition of all rows.

    ``map_of`` are the covariates that were fitted, and the columns that are coordinates.

    Raises:
        ValueError: as there; a text that is neither a column nor a category.
    """
    covariates, coordinates = map_of
    if value is None:
        raise ValueError(f"{argument}: got None; wants {', '.join(covariates.names)}, of each row.")
    if not isinstance(value, str | tuple | int | float | np.generic):
        return read_columns(argument, value, name, points)
    there = column_labels(name, points)
    if not is_cells(points):
        there = [label for label in there if label not in coordinates]
    texts = [value] if isinstance(value, str) else value if isinstance(value, tuple) else ()
    if texts and all(isinstance(text, str) and text in there for text in texts):
        return read_columns(argument, value, name, points)
    if isinstance(value, str) and there and covariates.own_names is not None:
        _check_known(argument, value, there, covariates)
    return points, value if isinstance(value, tuple) else (value,)


def check_rows(argument: str, columns: Sequence[Column], rows: int) -> None:
    """A ``ValueError`` where there is not one condition for each row of points."""
    for column in columns:
        if len(column.values) != rows:
            raise ValueError(
                f"{argument}: got {len(column.values)} rows of conditions; wants {rows}, one for "
                "each row of points."
            )


def own_names(columns: Sequence[Column]) -> tuple[str, ...] | None:
    """The names of columns, where users gave them."""
    named = all(column.is_named for column in columns)
    return tuple(column.name for column in columns) if named else None


def in_order(
    argument: str, columns: Sequence[Column], names: Sequence[str] | None
) -> Sequence[Column]:
    """The columns in the order of ``names``; as they stand where either have none.

    Raises:
        ValueError: other columns than those; the missing and the unknown ones are named.

    >>> pair = [Column("day", np.ones(2)), Column("dose", np.ones(2))]
    >>> [column.name for column in in_order("condition", pair, ("dose", "day"))]
    ['dose', 'day']
    """
    if names is None or own_names(columns) is None:
        return columns
    there = {column.name: column for column in columns}
    if set(there) != set(names) or len(there) < len(columns):
        missing = [name for name in names if name not in there]
        unknown = [name for name in there if name not in names]
        raise ValueError(
            f"{argument}: got columns {[column.name for column in columns]} (missing {missing}, "
            f"unknown {unknown}); wants {list(names)} (rename them, or take values without names)."
        )
    return [there[name] for name in names]


def grouped_rows(
    covariates: Covariates, argument: str, told: Condition, rows: int
) -> dict[tuple[str | float, ...], np.ndarray]:
    """Which of so many rows are of each condition that there is; ``argument`` tells it."""
    if isinstance(told, tuple):
        return {covariates.checked(told, argument): np.arange(rows)}
    columns = in_order(argument, told, covariates.own_names)
    check_rows(argument, columns, rows)
    told_by: dict[tuple[str | float, ...], list[int]] = {}
    for row, values in enumerate(zip(*(c.values.tolist() for c in columns), strict=True)):
        told_by.setdefault(values, []).append(row)
    found: dict[tuple[str | float, ...], list[int]] = {}
    for values, places in told_by.items():  # of which two may be one: 1 and 1.0 of a category
        found.setdefault(covariates.checked(values, argument), []).extend(places)
    return {own: np.array(places) for own, places in found.items()}


def _labels(value: Any, there: Sequence[Any]) -> list[str]:
    """The columns that a text, or several, name; none where they are conditions of rows."""
    if isinstance(value, str):
        return [value]
    texts = list(value) if isinstance(value, list | tuple) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        return []
    # Of every condition there are several rows: what is there once is no condition of them.
    return texts if len(set(texts)) == len(texts) and any(t in there for t in texts) else []


def _parts(argument: str, value: Any) -> list[tuple[str, Any, bool]]:
    """Label and values of each column, and whether the label is the user's."""
    frame = None if isinstance(value, np.ndarray) else opened_frame(argument, value)
    if frame is not None:
        labels, named = list(frame.columns), not is_counted(frame.columns)
        held = frame_columns(frame, labels)
        return [(str(label), own, named) for label, own in zip(labels, held, strict=True)]
    array = value if isinstance(value, np.ndarray) else np.asarray(value, dtype=object)
    if array.ndim == 1:
        label = getattr(value, "name", None)
        is_named = isinstance(label, str) and label != ""
        return [(str(label) if is_named else "condition", value, is_named)]
    refuse_dates(argument, value)
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"{argument}: got shape {array.shape}; wants (n,) or (n, q).")
    return [(f"condition {i}", array[:, i], False) for i in range(array.shape[1])]


def _check_known(argument: str, text: str, there: Sequence[Any], covariates: Covariates) -> None:
    """A ``ValueError`` where a text is no column, and no value of the one covariate either."""
    names, categories = covariates.names, covariates.categories
    if len(names) == 1 and (text in categories[0] if categories[0] else _is_number(text)):
        return
    wish = [str(label) for label in there] + [own for some in categories for own in some]
    near = get_close_matches(text, wish, n=3) or wish[:_LISTED]
    new = f" (of a new {names[0]}: ({str(text)!r},))" if categories[0] else ""
    raise ValueError(
        f"{argument}: got {str(text)!r}, which is neither a column nor a value of "
        f"{', '.join(names)} that was fitted; wants one, as {near}{new}."
    )


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
