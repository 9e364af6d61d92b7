"""Named columns and the checks of points that every estimator shares."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._checks import check_points


def column_names(value: Any) -> list[str] | None:
    """The columns of a data frame whose columns all have names; None for anything else."""
    if isinstance(value, pd.DataFrame) and all(isinstance(name, str) for name in value.columns):
        return list(value.columns)
    return None


def aligned(name: str, value: Any, names: list[str] | None) -> Any:
    """A data frame with its columns in the order of ``names``; anything else as it is.

    Raises:
        ValueError: the frame has other columns; the missing and the unknown ones are named.
    """
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


def training_points(name: str, value: Any, dimension: int | None = None) -> np.ndarray:
    """Points that can be learned from: two at least, no constant column.

    They are laid out row after row, so that equal numbers give equal sums to the last bit.
    """
    points = check_points(name, value, dimension=dimension, min_points=2, allow_constant=False)
    return np.ascontiguousarray(points)


def known_points(estimator: Any, name: str, value: Any, *, min_points: int = 1) -> np.ndarray:
    """Points with the columns that the estimator was fitted on; ``NotFittedError`` before a fit."""
    check_is_fitted(estimator)
    points = aligned(name, value, kept_columns(estimator))
    return check_points(name, points, dimension=estimator.n_features_in_, min_points=min_points)


def keep_columns(estimator: Any, dimension: int, names: list[str] | None) -> None:
    """Set ``n_features_in_`` and ``feature_names_in_``; drop names that an earlier fit left."""
    estimator.n_features_in_ = dimension
    if names is not None:
        estimator.feature_names_in_ = np.asarray(names, dtype=object)
    elif "feature_names_in_" in vars(estimator):
        del estimator.feature_names_in_


def kept_columns(estimator: Any) -> list[str] | None:
    """The names of the columns that the estimator was fitted on, where they had any."""
    names = vars(estimator).get("feature_names_in_")
    return None if names is None else list(names)


def drawn_seed(random_state: int | np.random.RandomState | None) -> int:
    """The seed that stands for scikit-learn's ``random_state`` in one call of a method."""
    return int(check_random_state(random_state).randint(2**31 - 1))
