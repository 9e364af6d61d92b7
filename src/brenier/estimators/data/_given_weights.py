"""Weights of rows as users hand them in: numbers, or the name of the column that holds them."""

import sys
from typing import Any

import numpy as np

from brenier._checks import as_float_array, as_frame, check_points
from brenier._frames import Frame
from brenier._row_checks import check_row_weights
from brenier._warnings import warn_user
from brenier.io import Cells, Table, is_cells
from brenier.measures import AbstractMeasure
from brenier.numerics import row_weights

# All weights over the largest, below which one row has nearly all; and Kish's number of rows over
# theirs, below which they are too few.
_NEARLY_ALL, _FEW = 1.01, 0.01


def given_weights(
    argument: str, given: Any, name: str, value: Any
) -> tuple[Any, np.ndarray | None]:
    """Points less the column of their weights, and the weights (n,); None where none are given.

    Args:
        argument: of the weights, for errors.
        given: numbers (n,), of a Series in the order of the points' own index; or the name of a
            column, of ``obs`` for AnnData, of a table for others.
        name: of the argument of the points.
        value: the points.

    Raises:
        ValueError: as ``check_row_weights``; no such column; weights of a measure.

    >>> table = Table(np.array([[1.0, 2.0], [3.0, 1.0]]), names=("height", "w"))
    >>> points, weights = given_weights("source_weights", "w", "X", table)
    >>> points.columns, weights.tolist()
    (['height'], [2.0, 1.0])
    """
    if given is None:
        return value, None
    if isinstance(value, AbstractMeasure):
        raise ValueError(
            f"{argument}: got weights of the measure {type(value).__name__}; wants None, or points "
            "(Empirical(points, weights) has its own)."
        )
    _check_index(argument, given, name, value)
    if isinstance(given, str):
        value, given = _column(argument, given, as_frame(name, value))
    return value, check_row_weights(argument, given, _rows(name, value))


def warn_of_one_row(argument: str, weights: np.ndarray | None) -> None:
    """One line where a row has nearly all of the weight."""
    if weights is None:
        return
    shares = weights / weights.max()
    rows, effective = np.count_nonzero(shares), shares.sum() ** 2 / (shares @ shares)
    largest = int(np.argmax(shares))
    if rows > 1 and (shares.sum() < _NEARLY_ALL or effective < _FEW * rows):
        warn_user(
            f"{argument}: row {largest} has {1.0 / shares.sum():.3%} of all weight, and {rows:,} "
            f"rows count for {effective:.2g} only: whatever is learned is of that few. Look at its "
            "weight.",
            UserWarning,
        )


def telling(weights: np.ndarray | None) -> np.ndarray | None:
    """The weights, 0 or more; None where they say one row each, as all equal ones do but counts.

    >>> telling(np.full(2, 0.3)), telling(np.ones(2)), telling(np.full(2, 3.0)).tolist()
    (None, None, [3.0, 3.0])
    """
    if weights is None or (weights != weights[0]).any():
        return weights
    return None if (row_weights(weights[:1]) == 1.0).all() else weights


def one_of(weights: Any, sample_weight: Any) -> Any:
    """The weights of the source, which scikit-learn calls by another name.

    >>> one_of(None, "w")
    'w'
    """
    if weights is not None and sample_weight is not None:
        raise ValueError(
            "sample_weight: got weights beside source_weights; wants one of them, which mean the "
            "same."
        )
    return sample_weight if weights is None else weights


def weighted_rows(
    points: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The points (n, d) that have a weight, and those weights.

    >>> weighted_rows(np.array([[1.0], [2.0]]), np.array([0.0, 3.0]))
    (array([[2.]]), array([3.]))
    """
    if weights is None or weights.all():
        return points, weights
    kept = weights > 0
    return points[kept], weights[kept]


def _check_index(argument: str, given: Any, name: str, value: Any) -> None:
    """A ``ValueError`` where weights and points name their rows alike, and in another order.

    Where they have no name of a row in common, one of them only counts its rows: by place then.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(given, pandas.Series):
        return
    rows = value.index if isinstance(value, pandas.DataFrame) else None
    rows = value.obs_names if is_cells(value) else rows
    if rows is None or given.index.equals(rows) or not given.index.isin(rows).any():
        return
    raise ValueError(
        f"{argument}: got a Series whose index is not that of {name}, though it has some of its "
        f"labels; wants the same rows in the same order ({argument}.reindex({name}.index)), or "
        "numbers without an index (to_numpy())."
    )


def _column(argument: str, label: str, value: Any) -> tuple[Any, Any]:
    """The value without the column of this name, and the column."""
    if is_cells(value):
        if label not in value.obs.columns:
            raise ValueError(
                f"{argument}: got {label!r}; wants a column of obs, one of "
                f"{list(value.obs.columns)}."
            )
        return value, value.obs[label]
    if isinstance(value, Frame):
        return value.without(argument, label)
    raise ValueError(
        f"{argument}: got the name {label!r} beside {type(value).__name__}, which has no named "
        "columns; wants one weight a row."
    )


def _rows(name: str, value: Any) -> int:
    if is_cells(value):
        return int(value.n_obs)
    if isinstance(value, Cells | Table):
        return int(value.values.shape[0])
    if isinstance(value, np.ndarray) and value.ndim == 2:  # which may be a memory map
        return len(value)
    points = as_float_array(name, value)
    return len(points) if points.ndim == 2 else len(check_points(name, points))
