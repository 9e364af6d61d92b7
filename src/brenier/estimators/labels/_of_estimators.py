"""The labels that an estimator's map brings, beside the points of its fit or others."""

from typing import Any

import numpy as np

from brenier.estimators._fitted import seen
from brenier.estimators.data import given_weights
from brenier.estimators.labels._results import TransferredLabels, TransitionTable
from brenier.estimators.labels._transfer import transfer_labels, transition_table
from brenier.io import is_cells, obs_column
from brenier.measures import AbstractMeasure
from brenier.numerics import in_blocks

# Points moved at a time.
_BLOCK = 2**14


def labels_of_points(
    estimator: Any, X: Any, Y_labels: Any, Y: Any, weights: Any
) -> TransferredLabels:
    """``MongeMap.transfer_labels``; ``weights`` are of the target points."""
    Y, weights = _given_or_fitted(estimator, "Y", Y, weights)
    return transfer_labels(*_met(estimator, X, Y), _labels("Y_labels", Y_labels, Y), weights)


def table_of_points(
    estimator: Any, X_labels: Any, Y_labels: Any, X: Any, Y: Any, weights: tuple[Any, Any]
) -> TransitionTable:
    """``MongeMap.transition_table``; ``weights`` are of source and target points."""
    X, a = _given_or_fitted(estimator, "X", X, weights[0])
    Y, b = _given_or_fitted(estimator, "Y", Y, weights[1])
    labels = _labels("X_labels", X_labels, X), _labels("Y_labels", Y_labels, Y)
    return transition_table(*_met(estimator, X, Y), *labels, a, b)


def _given_or_fitted(
    estimator: Any, name: str, value: Any, weights: Any
) -> tuple[Any, np.ndarray | None]:
    """The points and weights that were given, or those of the fit."""
    own = {"X": "source_weights", "Y": "target_weights"}[name]
    if value is None:
        value, fitted = vars(estimator).get("_clouds", {}).get(name, (None, None))
        weights = fitted if weights is None else weights
    if value is None or isinstance(value, AbstractMeasure):
        got = (
            "no points, and the estimator has those of its fit no more"
            if value is None
            else (f"the measure {type(value).__name__}, of which there are no labels")
        )
        raise ValueError(f"{name}: got {got}; wants the points that {name}_labels are of.")
    return given_weights(own, weights, name, value)


def _labels(name: str, labels: Any, value: Any) -> Any:
    """Labels as they were given; of AnnData also the name of a column of ``obs``."""
    if not isinstance(labels, str):
        return labels
    if not is_cells(value):
        raise ValueError(
            f"{name}: got the name {labels!r} beside a {type(value).__name__}; wants a label for "
            "each point, or beside AnnData the name of a column of obs."
        )
    return obs_column(value, name, labels)


def _met(estimator: Any, X: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
    """T(X) beside Y: in components where the map was learned there."""
    (map, x), (_, y) = seen(estimator, "X", X), seen(estimator, "Y", Y)
    return in_blocks(map, x, min(len(x), _BLOCK)), y
