"""Moments of rows that may stand for several rows each, or for a part of one."""

from typing import Any

import numpy as np

from brenier._types import RowWeights

# Whole numbers beyond this are not told apart.
_MOST_ROWS = 2.0**53


def row_count(rows: np.ndarray, weights: RowWeights = None) -> float:
    """How many rows the rows stand for.

    >>> row_count(np.zeros((3, 2))), row_count(np.zeros((3, 2)), np.array([1.0, 2.0, 4.0]))
    (3.0, 7.0)
    """
    return float(len(rows) if weights is None else weights.sum())


def row_sum(terms: np.ndarray, weights: RowWeights = None) -> Any:
    """Σ_i w_i t_i over the rows of (n, ...).

    >>> float(row_sum(np.array([1.0, 3.0]), np.array([2.0, 1.0])))
    5.0
    """
    return terms.sum(axis=0) if weights is None else np.tensordot(weights, terms, axes=1)


def row_mean(terms: np.ndarray, weights: RowWeights = None) -> Any:
    """Σ_i w_i t_i / Σ_i w_i over the rows of (n, ...).

    >>> float(row_mean(np.array([1.0, 4.0]), np.array([2.0, 1.0])))
    2.0
    """
    if weights is None:
        return terms.mean(axis=0)
    return np.tensordot(weights, terms, axes=1) / weights.sum()


def row_variance(terms: np.ndarray, weights: RowWeights = None) -> Any:
    """The mean square of the rows of (n, ...) about their mean.

    >>> float(row_variance(np.array([1.0, 4.0]), np.array([2.0, 1.0])))
    2.0
    """
    if weights is None:
        return terms.var(axis=0)
    return row_mean((terms - row_mean(terms, weights)) ** 2, weights)


def row_mean_error(terms: np.ndarray, weights: RowWeights = None) -> Any:
    """The squared standard error of ``row_mean`` of independent rows (n, ...).

    Whole numbers count rows: variance over Σw. Others say how rare a row was in the sample, and
    Σw²(t − t̄)²/(Σw)² knows whether the rare ones are the odd ones.

    Särndal, Swensson & Wretman (1992), eq. 5.7.4, of draws with replacement.

    >>> float(row_mean_error(np.array([1.0, 4.0]), np.array([2.0, 1.0])).round(9))
    0.666666667
    """
    if weights is None:
        return terms.var(axis=0) / len(terms)
    squares, total = (terms - row_mean(terms, weights)) ** 2, weights.sum()
    if _are_whole(weights):
        return row_mean(squares, weights) / total
    return np.tensordot((weights / total) ** 2, squares, axes=1)


def row_products(rows: np.ndarray, weights: RowWeights = None) -> np.ndarray:
    """Σ_i w_i x_i x_iᵀ of rows (n, d).

    >>> row_products(np.array([[1.0], [3.0]]), np.array([2.0, 1.0])).tolist()
    [[11.0]]
    """
    return rows.T @ rows if weights is None else (rows.T * weights) @ rows


def rows_by_weight(weights: np.ndarray, most: int) -> np.ndarray:
    """Rows, each as often as its weight says, in all as many as they stand for or ``most``.

    What knows no weights takes these rows for points.

    >>> rows_by_weight(np.array([1.0, 3.0]), 100).tolist()
    [0, 1, 1, 1]
    """
    sums = np.cumsum(weights)
    count = int(np.clip(np.rint(sums[-1]), 1, most))
    places = (np.arange(count) + 0.5) * (sums[-1] / count)
    return np.minimum(np.searchsorted(sums, places, side="right"), len(weights) - 1)


def row_weights(weights: np.ndarray, growth: np.ndarray | None = None) -> np.ndarray:
    """How many rows each stands for, where weights (n,) above 0 are finite.

    Whole numbers count rows, and stay as they are. Of others only the ratios count: their sum is
    then Kish's effective number of rows, (Σw)²/Σw². Where each row keeps a share g of its mass,
    its growth (n,) above 0, (Σwg)²/Σwg² are left of rows that whole numbers repeat, as of the
    repeated rows themselves, and of others Kish's number of the products.

    Kish (1965), Survey Sampling, section 11.7.

    >>> row_weights(np.array([1.0, 3.0])).tolist()
    [1.0, 3.0]
    >>> row_weights(np.array([0.5, 1.5])).round(9).tolist()
    [0.4, 1.2]
    >>> row_weights(np.array([2.0, 1.0]), np.array([0.5, 1.0])).round(9).tolist()
    [1.333333333, 1.333333333]
    """
    whole = _are_whole(weights)
    if growth is None and whole:
        return weights
    # Neither sum nor squares overflow.
    shares = np.ones(len(weights)) if growth is None else growth / growth.max()
    grown = weights * shares if whole else weights / weights.max() * shares
    return grown * (grown.sum() / (grown @ (shares if whole else grown)))


def _are_whole(weights: np.ndarray) -> bool:
    return bool(weights.max() <= _MOST_ROWS and (weights == np.rint(weights)).all())
