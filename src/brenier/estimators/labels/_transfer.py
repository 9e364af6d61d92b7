"""Labels of target points for source points: those around where a map takes each."""

from dataclasses import replace
from typing import Any

import numpy as np

from brenier._row_checks import check_labels, check_row_weights
from brenier._types import RowWeights
from brenier._warnings import warn_user
from brenier.estimators.labels._results import TransferredLabels, TransitionTable
from brenier.estimators.labels._vote import Vote
from brenier.numerics import row_weights

# Of its mass, at least, a point keeps that has its like in the target.
_LEAST_KEPT = 0.1


def transfer_labels(
    moved: np.ndarray,
    target: np.ndarray,
    Y_labels: Any,
    target_weights: Any = None,
    *,
    source_growth: np.ndarray | None = None,
    target_growth: np.ndarray | None = None,
) -> TransferredLabels:
    """The labels of points where a map took them, by a vote of the target points around each.

    P(c | x) is the share of the label c among the nearest target points, by a kernel of their
    distance, with the shares of all as a prior. How many vote, how strong the prior is and in which
    units distances are taken, the target's own labels decide, each guessed by the others: by
    likelihood, so that probabilities mean what they say where the map is right.

    Not for kinds that the target lacks: every point gets one of its labels.

    Args:
        moved: T(x), (n, d).
        target: (m, d).
        Y_labels: (m,), a label of each target point: words or numbers.
        target_weights: (m,), how much each target point counts, as for ``MongeMap``.
        source_growth, target_growth: (n,) and (m,), what share of its mass each point sends and
            receives, of an unbalanced map: labels are of the mass that arrives.

    Raises:
        ValueError: labels or weights that do not match the points, or are missing.

    Warns:
        UserWarning: source points that keep less than a tenth of their mass.

    >>> rng = np.random.default_rng(0)
    >>> target = np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 6.0])
    >>> found = transfer_labels(target[::25] + 0.1, target, ["low"] * 50 + ["high"] * 50)
    >>> found.labels.tolist()
    ['low', 'low', 'high', 'high']
    """
    labels, rows, weights = _counted(
        "Y_labels", Y_labels, len(target), target_weights, target_growth
    )
    target = target[rows]
    classes, codes = np.unique(labels, return_inverse=True)
    # Near the origin, where differences of points have all of their digits.
    origin = target[0].astype(np.float64)
    vote = Vote.chosen(target - origin, codes, weights)
    found = TransferredLabels(classes, vote(moved - origin))
    if source_growth is None:
        return found
    _warn_of_lost(source_growth)
    return replace(found, growth=source_growth)


def transition_table(
    moved: np.ndarray,
    target: np.ndarray,
    X_labels: Any,
    Y_labels: Any,
    source_weights: Any = None,
    target_weights: Any = None,
    *,
    source_growth: np.ndarray | None = None,
    target_growth: np.ndarray | None = None,
) -> TransitionTable:
    """What share of each kind of source points goes where: the mean of their soft labels.

    Args:
        moved: T(x), (n, d).
        target: (m, d).
        X_labels: (n,), a label of each source point.
        Y_labels: (m,), as for ``transfer_labels``.
        source_weights, target_weights: (n,) and (m,), as for ``MongeMap``.
        source_growth, target_growth: as for ``transfer_labels``: kinds are of what they keep.

    Raises:
        ValueError: as ``transfer_labels``.

    Warns:
        UserWarning: as ``transfer_labels``.

    >>> rng = np.random.default_rng(0)
    >>> target = np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 9.0])
    >>> kinds = ["low"] * 50 + ["high"] * 50
    >>> print(transition_table(target, target, kinds, kinds))
          high   low
    high  1.00  0.00  of 50
    low   0.00  1.00  of 50
    """
    labels, rows, weights = _counted("X_labels", X_labels, len(moved), source_weights, None)
    kinds, codes = np.unique(labels, return_inverse=True)
    found = transfer_labels(
        moved[rows],
        target,
        Y_labels,
        target_weights,
        source_growth=None if source_growth is None else source_growth[rows],
        target_growth=target_growth,
    )
    members = np.eye(len(kinds))[codes]
    if weights is not None:
        members *= weights[:, None]
    counts = members.sum(axis=0)
    kept = None
    if found.growth is not None:
        members *= found.growth[:, None]
        kept = members.sum(axis=0) / counts
    masses = members.sum(axis=0)[:, None]
    shares = (members.T @ found.probabilities) / np.where(masses > 0.0, masses, 1.0)
    return TransitionTable(kinds, found.classes, shares, np.rint(counts).astype(int), kept)


def _counted(
    name: str, labels: Any, n: int, weights: Any, growth: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, RowWeights]:
    """The labels of n rows that have a weight, those rows, and how many each stands for."""
    found, rows = check_labels(name, labels, n), np.arange(n)
    if weights is None and growth is None:
        return found, rows, None
    side = {"X_labels": "source_weights", "Y_labels": "target_weights"}[name]
    masses = np.ones(n) if weights is None else check_row_weights(side, weights, n)
    kept = masses > 0 if growth is None else check_row_weights(side, masses * growth, n) > 0
    own = None if growth is None else growth[kept]
    return found[kept], rows[kept], row_weights(masses[kept], own)


def _warn_of_lost(growth: np.ndarray) -> None:
    lost = np.flatnonzero(growth < _LEAST_KEPT)
    if len(lost):
        warn_user(
            f"X: {len(lost):,} of {len(growth):,} rows, the first {lost[0]}, keep less than a "
            "tenth of their mass: nothing like them is in the target, and their labels are of the "
            "kinds that the target has. Look at the growth beside the labels.",
            UserWarning,
        )
