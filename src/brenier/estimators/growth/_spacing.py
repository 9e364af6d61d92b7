"""From which τ on points tell of growth: below, mass is kept by what happens to lie beside it."""

import numpy as np
from scipy.spatial import KDTree

from brenier._warnings import warn_user
from brenier.maps import EntropicGrowth

# The growth, on the mean, that a cloud has towards other points of its own law, at least.
_LEAST_KEPT = 0.8
# Steps of bisection, which leave a 1e-4th.
_HALVINGS = 40


def warn_of_spacing(growth: EntropicGrowth) -> None:
    """One line where τ is below what the points of either side tell apart."""
    sides = (growth.x, growth.a), (growth.y, growth.b)
    least = max(least_told(points, weights) for points, weights in sides)
    if growth.penalty is None or growth.penalty >= least:
        return
    warn_user(
        f"unbalanced: got {growth.penalty:.4g}, and these points lie too far apart to tell of "
        f"growth below about {least:.2g}: a point then keeps mass by whether another happens to "
        "lie beside it, and too little of all. Wants a larger one, or more points.",
        UserWarning,
    )


def least_told(points: np.ndarray, weights: np.ndarray) -> float:
    """The τ at which points (n, d) with weights of sum 1 keep 0.8 of their mass among their like.

    Two points that only have each other keep e^{−c/2τ}, c = ½ squared distance; so many of a cloud
    do not lie nearer to a point of another draw of its law than to their nearest neighbour.

    >>> told = least_told(np.arange(10.0)[:, None], np.full(10, 0.1))
    >>> round(float(np.exp(-1.0 / (4.0 * told))), 2)
    0.8
    """
    distances, _ = KDTree(points).query(points, 2)
    squares = np.square(distances[:, 1])
    if not np.isfinite(squares).all() or not squares.any():
        return 0.0
    low, high = 0.0, float(squares.max()) / (4.0 * (1.0 - _LEAST_KEPT))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        kept = float(weights @ np.exp(-squares / (4.0 * middle)))
        low, high = (middle, high) if kept < _LEAST_KEPT else (low, middle)
    return high
