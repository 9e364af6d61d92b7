"""Named columns and the checks of points that every estimator shares."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._checks import as_frame, check_points
from brenier._frames import Frame


def column_names(value: Any) -> list[Any] | None:
    """The labels of the columns of a ``Frame``; None where there are none, or but counted ones."""
    return value.columns if isinstance(value, Frame) and not value.is_counted else None


def aligned(name: str, value: Any, names: list[Any] | None) -> Any:
    """A ``Frame`` with its columns in the order of ``names``; others as they are.

    Labels of any kind are matched: strings, tuples, numbers.

    Raises:
        ValueError: as ``Frame.aligned``.
    """
    return value.aligned(name, names) if isinstance(value, Frame) else value


def training_points(
    name: str, value: Any, dimension: int | None = None, names: Sequence[Any] | None = None
) -> np.ndarray:
    """Points that can be learned from: two at least, no constant column.

    They are laid out row after row, so that equal numbers give equal sums to the last bit.
    """
    points = check_points(
        name, value, dimension=dimension, min_points=2, allow_constant=False, names=names
    )
    return np.ascontiguousarray(points)


def known_points(estimator: Any, name: str, value: Any, *, min_points: int = 1) -> np.ndarray:
    """Points with the columns that the estimator was fitted on; ``NotFittedError`` before a fit."""
    check_is_fitted(estimator)
    value = aligned(name, as_frame(name, value), kept_columns(estimator))
    points = check_points(name, value, min_points=min_points)
    got, wanted = points.shape[1], estimator.n_features_in_
    if got != wanted:
        own = type(estimator).__name__
        raise ValueError(
            f"{name}: got dimension {got}; wants dimension {wanted} ({name} has {got} features, "
            f"but {own} is expecting {wanted} features as input)."
        )
    return points


def keep_columns(estimator: Any, dimension: int, names: list[Any] | None) -> None:
    """Set ``n_features_in_`` and ``feature_names_in_``; drop names that an earlier fit left.

    Labels that are no strings are kept too, but scikit-learn shows only strings.
    """
    estimator.n_features_in_ = dimension
    estimator._column_labels = names
    if names is not None and all(isinstance(label, str) for label in names):
        estimator.feature_names_in_ = np.asarray(names, dtype=object)
    elif "feature_names_in_" in vars(estimator):
        del estimator.feature_names_in_


def kept_columns(estimator: Any) -> list[Any] | None:
    """The labels of the columns that the estimator was fitted on, where they had any."""
    labels: list[Any] | None = vars(estimator).get("_column_labels")
    return labels


def drawn_seed(random_state: int | np.random.RandomState | None) -> int:
    """The seed that stands for scikit-learn's ``random_state`` in one call of a method."""
    return int(check_random_state(random_state).randint(2**31 - 1))
