"""The labels that an estimator's map brings, beside the points of its fit or others."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from brenier.estimators._fitted import seen
from brenier.estimators.data import given_weights, taken_columns
from brenier.estimators.labels._results import TransferredLabels, TransitionTable
from brenier.estimators.labels._transfer import transfer_labels, transition_table
from brenier.measures import AbstractMeasure
from brenier.numerics import in_blocks

# Points moved at a time.
_BLOCK = 2**14


def labels_of_points(
    estimator: Any, X: Any, Y_labels: Any, Y: Any, weights: Any
) -> TransferredLabels:
    """``MongeMap.transfer_labels``; ``weights`` are of the target points."""
    Y, labels, weights = _side(estimator, "Y", Y, Y_labels, weights)
    moved, y, growths = _met(estimator, X, Y)
    return transfer_labels(
        moved, y, labels, weights, source_growth=growths[0], target_growth=growths[1]
    )


def table_of_points(
    estimator: Any, X_labels: Any, Y_labels: Any, X: Any, Y: Any, weights: tuple[Any, Any]
) -> TransitionTable:
    """``MongeMap.transition_table``; ``weights`` are of source and target points."""
    X, kinds, a = _side(estimator, "X", X, X_labels, weights[0])
    Y, labels, b = _side(estimator, "Y", Y, Y_labels, weights[1])
    moved, y, growths = _met(estimator, X, Y)
    return transition_table(
        moved, y, kinds, labels, a, b, source_growth=growths[0], target_growth=growths[1]
    )


def _side(
    estimator: Any, name: str, value: Any, labels: Any, weights: Any
) -> tuple[Any, Any, np.ndarray | None]:
    """The points that were given, or those of the fit, their labels and their weights."""
    check_is_fitted(estimator)
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
    if isinstance(labels, str):
        value, (labels,) = taken_columns(f"{name}_labels", [labels], name, value)
    value, masses = given_weights(own, weights, name, value)
    return value, labels, masses


def _met(
    estimator: Any, X: Any, Y: Any
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray | None, np.ndarray | None]]:
    """T(X) beside Y, in components where the map was learned there, and the growth of both."""
    (map, x), (_, y) = seen(estimator, "X", X), seen(estimator, "Y", Y)
    own = estimator.growth_
    growths = (None, None) if own is None else (own.source(x), own.target(y))
    return in_blocks(map, x, min(len(x), _BLOCK)), y, growths
