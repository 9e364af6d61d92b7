"""Named columns and the checks of points that every estimator shares."""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from brenier._checks import check_points
from brenier.io import Table


def column_names(name: str, value: Any) -> list[Any] | None:
    """The labels of the columns of a data frame or a ``Table``; None where there are none.

    Those by which pandas counts columns are none.

    Raises:
        ValueError: two columns have one label.
    """
    labels = _labels(name, value)
    return None if labels is None or _is_counted(labels) else labels


def aligned(name: str, value: Any, names: list[Any] | None) -> Any:
    """A data frame or a ``Table`` with its columns in the order of ``names``; others as they are.

    Labels of any kind are matched: strings, tuples, numbers. Where pandas counted the columns of
    one side, and the other has names, they stand as they are.

    Raises:
        ValueError: the frame has other columns (the missing and the unknown ones are named), or
            two of one label.
    """
    given = _labels(name, value)
    if given is None:
        return value
    wanted = list(range(len(given))) if names is None else names
    if given == wanted:
        return value
    places = {label: i for i, label in enumerate(given)}
    if places.keys() == set(wanted):
        order = [places[label] for label in wanted]
        return value.iloc[:, order] if is_frame(value) else value.aligned(wanted, "the first")
    if names is None or _is_counted(given) or _is_counted(names):
        return value
    known = set(names)
    missing = [column for column in names if column not in places]
    unknown = [column for column in given if column not in known]
    raise ValueError(
        f"{name}: got columns {given} (missing {missing}, unknown {unknown}); wants {names}."
    )


def is_frame(value: Any) -> bool:
    """Whether it is a data frame of pandas, which is not imported: who has one has done so."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def is_table(value: Any) -> bool:
    """Whether its columns may have labels: a data frame, or a ``Table`` out of a file."""
    return isinstance(value, Table) or is_frame(value)


def _labels(name: str, value: Any) -> list[Any] | None:
    """The labels of named columns, each once; None for anything else."""
    if not is_table(value) or value.columns is None:
        return None
    labels = list(value.columns)
    double = [label for label, count in Counter(labels).items() if count > 1]
    if double:
        raise ValueError(f"{name}: got columns {double} more than once; wants distinct names.")
    return labels


def _is_counted(labels: list[Any]) -> bool:
    """Whether the labels are those that pandas gives where there are none."""
    return labels == list(range(len(labels)))


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
    points = check_points(
        name, aligned(name, value, kept_columns(estimator)), min_points=min_points
    )
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
