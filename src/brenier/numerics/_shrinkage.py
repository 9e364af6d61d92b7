"""Covariances of few points, shrunk towards a multiple of the identity."""

import numpy as np

from brenier._types import Float, RowWeights
from brenier.numerics._weighting import row_count, row_products


def shrunk_moments(
    centred: Float[np.ndarray, "n d"], weights: RowWeights = None
) -> Float[np.ndarray, "d d"]:
    """(1 − ρ)S + ρ(tr S / d)I, S = xᵀx / n of points about their mean; ρ approximates the oracle's.

    ρ is that of least mean squared error were the points Gaussian (OAS), at most 1. Not for columns
    of different units, which share no multiple of the identity: divide by their deviations first.
    With ``weights`` each point stands for so many, and n is their sum.

    Chen, Wiesel, Eldar & Hero (2010), eq. 23.

    >>> shrunk_moments(np.array([[1.0, 0.0], [-1.0, 0.0]])).round(3).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    n, d = row_count(centred, weights), centred.shape[1]
    moments = row_products(centred, weights) / n
    square, level = float(np.mean(moments**2)), float(np.trace(moments)) / d
    apart = (n + 1.0) * (square - level**2 / d)
    share = min((square + level**2) / apart, 1.0) if apart > 0.0 else 1.0
    return (1.0 - share) * moments + share * level * np.eye(d)
