"""The conditions of rows, as users tell them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brenier._frames import opened_frame
from brenier.io import is_cells
from brenier.maps import Covariates

# Points a side that a condition needs, at least: fewer have no spread.
FEWEST = 2
_NAMED = 5


@dataclass(frozen=True)
class Column:
    """One covariate of all rows: text, or numbers."""

    name: str
    values: np.ndarray

    @property
    def is_number(self) -> bool:
        return self.values.dtype.kind == "f"

    @classmethod
    def of(cls, argument: str, label: str, values: Any) -> "Column":
        """Numbers where all values (n,) are some, and text where not; booleans are text.

        Raises:
            ValueError: a value is missing or infinite; ``argument`` and label are named.

        >>> Column.of("condition_X", "day", [2, 4.5]).values.tolist()
        [2.0, 4.5]
        """
        plain = np.asarray(values, dtype=object)
        missing = [v is None or v != v for v in plain.tolist()]
        if any(missing):
            raise ValueError(
                f"{argument}: got no value of {label} in {sum(missing)} rows, the first row "
                f"{missing.index(True)}; wants one in each."
            )
        kinds = {type(v) for v in plain.tolist()}
        if all(issubclass(kind, int | float | np.number) for kind in kinds - {bool}) and (
            bool not in kinds and np.bool_ not in kinds
        ):
            numbers = plain.astype(np.float64)
            if not np.isfinite(numbers).all():
                raise ValueError(
                    f"{argument}: got an infinite value of {label}; wants finite numbers."
                )
            return cls(label, numbers)
        return cls(label, plain.astype(str).astype(object))

    def at(self, rows: np.ndarray) -> "Column":
        """The values of some rows."""
        return Column(self.name, self.values[rows])


def read_columns(name: str, value: Any, points: Any, rows: int) -> list[Column]:
    """The covariates of ``rows`` rows.

    Args:
        name: of the argument.
        value: an array (n,) or (n, q), a data frame or a series; or the names of columns of
            ``obs``, where the points are AnnData.
        points: what the conditions are of.
        rows: how many there are.

    Raises:
        ValueError: other numbers of rows, missing values, columns that are not there.
    """
    columns = [Column.of(name, label, values) for label, values in _parts(name, value, points)]
    for column in columns:
        if len(column.values) != rows:
            raise ValueError(
                f"{name}: got {len(column.values)} rows of conditions; wants {rows}, one for each "
                "row of points."
            )
    return columns


def _parts(name: str, value: Any, points: Any) -> list[tuple[str, Any]]:
    """Labels and values of the columns."""
    if value is None:
        raise ValueError(f"{name}: got None; wants the condition of every row.")
    texts = [value] if isinstance(value, str) else value
    if is_cells(points) and isinstance(texts, list | tuple) and _are_columns(texts, points):
        return [(text, points.obs[text]) for text in texts]
    if isinstance(value, str):
        there = list(points.obs.columns) if is_cells(points) else "conditions of rows"
        raise ValueError(f"{name}: got {value!r}; wants one of {there}.")
    frame = None if isinstance(value, np.ndarray) else opened_frame(name, value)
    if frame is not None:
        return [(series.name, series.to_numpy()) for series in frame.iter_columns()]
    array = value if isinstance(value, np.ndarray) else np.asarray(value, dtype=object)
    label = str(getattr(value, "name", None) or "condition")
    if array.ndim == 1:
        return [(label, array)]
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"{name}: got shape {array.shape}; wants (n,) or (n, q).")
    return [(f"condition {i}", array[:, i]) for i in range(array.shape[1])]


def _are_columns(texts: Sequence[Any], cells: Any) -> bool:
    return bool(texts) and all(isinstance(t, str) and t in cells.obs.columns for t in texts)


@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of two clouds.

    Args:
        covariates: what they are told by.
        known: the conditions that there are, sorted.
        of_x, of_y: which of them each row is of, (n,) and (m,).
    """

    covariates: Covariates
    known: tuple[tuple[str | float, ...], ...]
    of_x: np.ndarray
    of_y: np.ndarray

    @classmethod
    def of(cls, columns_x: Sequence[Column], columns_y: Sequence[Column]) -> "Conditions":
        """The conditions of rows of source and target.

        Raises:
            ValueError: other covariates on one side, a condition on one side alone, or one of too
                few rows.
        """
        first, second = ([column.is_number for column in side] for side in (columns_x, columns_y))
        if first != second:
            kinds = {True: "numbers", False: "categories"}
            raise ValueError(
                f"condition_Y: got columns of {[kinds[k] for k in second]}; wants those of "
                f"condition_X, {[kinds[k] for k in first]}."
            )
        rows_x, rows_y = (
            list(zip(*(column.values.tolist() for column in side), strict=True))
            for side in (columns_x, columns_y)
        )
        known = tuple(sorted(set(rows_x) | set(rows_y)))
        covariates = _covariates(columns_x, known)
        place = {condition: i for i, condition in enumerate(known)}
        for name, rows in (("condition_X", rows_x), ("condition_Y", rows_y)):
            _check_counts(name, Counter(rows), known, covariates)
        of_x, of_y = (np.array([place[row] for row in rows]) for rows in (rows_x, rows_y))
        return cls(covariates, known, of_x, of_y)

    @property
    def codes(self) -> np.ndarray:
        """(k, e), of the known conditions."""
        return np.stack([self.covariates.encode(condition) for condition in self.known])


def _covariates(columns: Sequence[Column], known: Sequence[tuple[Any, ...]]) -> Covariates:
    categories: list[tuple[str, ...]] = []
    centres, spreads = np.zeros(len(columns)), np.ones(len(columns))
    for i, column in enumerate(columns):
        values = sorted({condition[i] for condition in known})
        categories.append(() if column.is_number else tuple(values))
        if column.is_number:
            centres[i], spread = float(np.mean(values)), float(np.std(values))
            spreads[i] = spread if spread > 0 else 1.0
    return Covariates(tuple(column.name for column in columns), tuple(categories), centres, spreads)


def _check_counts(
    name: str, counts: Counter, known: Sequence[tuple[Any, ...]], covariates: Covariates
) -> None:
    absent = [covariates.described(c) for c in known if not counts[c]]
    if absent:
        raise ValueError(
            f"{name}: got no row of {_listed(absent)}, which the other side has; wants every "
            "condition on both sides: leave out those rows, and ask transform for that condition."
        )
    few = [f"{covariates.described(c)} ({counts[c]})" for c in known if counts[c] < FEWEST]
    if few:
        numbers = " Numbers that seldom repeat want rounding." if 0 in covariates.layout else ""
        raise ValueError(
            f"{name}: got too few rows of {_listed(few)}; wants at least {FEWEST} of every "
            f"condition: leave out those rows, or join conditions.{numbers}"
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{'; '.join(names[:_NAMED])}{more}"


def grouped_rows(
    covariates: Covariates, name: str, columns: Sequence[Column]
) -> dict[tuple[str | float, ...], np.ndarray]:
    """The rows of each condition that there is; ``name`` is of the argument."""
    found: dict[tuple[str | float, ...], list[int]] = {}
    for row, values in enumerate(zip(*(c.values.tolist() for c in columns), strict=True)):
        found.setdefault(values, []).append(row)
    return {covariates.checked(own, name): np.array(rows) for own, rows in found.items()}
