"""Weights of rows as users hand them in: numbers, or the name of the column that holds them."""

from typing import Any

import numpy as np

from brenier._checks import as_float_array, as_frame, check_points, check_row_weights
from brenier._frames import Frame
from brenier.io import Cells, Table, is_cells
from brenier.measures import AbstractMeasure


def given_weights(
    argument: str, given: Any, name: str, value: Any
) -> tuple[Any, np.ndarray | None]:
    """Points less the column of their weights, and the weights (n,); None where none are given.

    Args:
        argument: of the weights, for errors.
        given: numbers (n,); or the name of a column, of ``obs`` for AnnData, of a table for others.
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
    if isinstance(given, str):
        value, given = _column(argument, given, as_frame(name, value))
    return value, check_row_weights(argument, given, _rows(name, value))


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
