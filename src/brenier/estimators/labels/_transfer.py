"""Labels of target points for source points: those around where a map takes each."""

from typing import Any

import numpy as np

from brenier._labels import check_labels
from brenier.estimators.labels._results import TransferredLabels, TransitionTable
from brenier.estimators.labels._vote import Vote


def transfer_labels(moved: np.ndarray, target: np.ndarray, Y_labels: Any) -> TransferredLabels:
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

    Raises:
        ValueError: labels that do not match the points, or are missing.

    >>> rng = np.random.default_rng(0)
    >>> target = np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 6.0])
    >>> found = transfer_labels(target[::25] + 0.1, target, ["low"] * 50 + ["high"] * 50)
    >>> found.labels.tolist()
    ['low', 'low', 'high', 'high']
    """
    classes, codes = np.unique(check_labels("Y_labels", Y_labels, len(target)), return_inverse=True)
    # Near the origin, where differences of points have all of their digits.
    origin = target[0].astype(np.float64)
    vote = Vote.chosen(target - origin, codes)
    return TransferredLabels(classes, vote(moved - origin))


def transition_table(
    moved: np.ndarray, target: np.ndarray, X_labels: Any, Y_labels: Any
) -> TransitionTable:
    """What share of each kind of source points goes where: the mean of their soft labels.

    Args:
        moved: T(x), (n, d).
        target: (m, d).
        X_labels: (n,), a label of each source point.
        Y_labels: (m,), as for ``transfer_labels``.

    Raises:
        ValueError: as ``transfer_labels``.

    >>> rng = np.random.default_rng(0)
    >>> target = np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 9.0])
    >>> kinds = ["low"] * 50 + ["high"] * 50
    >>> print(transition_table(target, target, kinds, kinds))
          high   low
    high  1.00  0.00  of 50
    low   0.00  1.00  of 50
    """
    kinds, codes = np.unique(check_labels("X_labels", X_labels, len(moved)), return_inverse=True)
    found = transfer_labels(moved, target, Y_labels)
    members = np.eye(len(kinds))[codes]
    counts = members.sum(axis=0)
    shares = (members.T @ found.probabilities) / counts[:, None]
    return TransitionTable(kinds, found.classes, shares, counts.astype(int))
