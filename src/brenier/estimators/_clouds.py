"""What every estimator asks of the data it is given: columns, entries, a covariance."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.covariance import oas

from brenier._checks import check_points

# The least eigenvalue of a correlation matrix: flat directions are not blown up past it.
_LEAST_CORRELATION = 1e-6


def checked(name: str, value: Any, dimension: int | None) -> np.ndarray:
    """Points that a map can be learned from, row after row: the same sums for the same numbers."""
    points = check_points(name, value, dimension=dimension, min_points=2, allow_constant=False)
    return np.ascontiguousarray(points)


def column_names(value: Any) -> list[str] | None:
    """The columns of a data frame whose columns all have names; None for anything else."""
    if isinstance(value, pd.DataFrame) and all(isinstance(name, str) for name in value.columns):
        return list(value.columns)
    return None


def aligned(name: str, value: Any, names: list[str] | None) -> Any:
    """A data frame with its columns in the order of ``names``; anything else as it is."""
    given = column_names(value)
    if names is None or given is None:
        return value
    if sorted(given) != sorted(names):
        missing = [column for column in names if column not in given]
        unknown = [column for column in given if column not in names]
        raise ValueError(
            f"{name}: got columns {given} (missing {missing}, unknown {unknown}); wants {names}."
        )
    return value[names]


def shrunk_covariance(x: np.ndarray) -> np.ndarray:
    """A covariance that is well away from singular, however few the points."""
    spread = x.std(axis=0)
    correlation, _ = oas((x - x.mean(axis=0)) / spread, assume_centered=True)
    return _lifted(correlation, spread)


def lifted_covariance(covariance: np.ndarray) -> np.ndarray:
    """The covariance of so many points that nothing is to be shrunk, away from singular too."""
    spread = np.sqrt(np.diag(covariance))
    return _lifted(covariance / np.outer(spread, spread), spread)


def _lifted(correlation: np.ndarray, spread: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(correlation)
    lifted = (vectors * np.maximum(values, _LEAST_CORRELATION)) @ vectors.T
    return lifted * np.outer(spread, spread)
