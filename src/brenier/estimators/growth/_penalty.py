"""Which τ, or none: the largest whose map takes neighbours to neighbours onto points held out."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from brenier.estimators.growth._entropic import Weighted, common_epsilon, few_points, growth_between
from brenier.numerics import median_squared_distance

# τ that are tried, over the larger median squared distance of the two clouds: mass may move by
# about √(2τ), from twice what is typical between two points down to a sixth of it.
_SHARES = tuple(2.0**-i for i in range(-1, 7))
# How often the points are halved; each half is learned from once, and held out once.
_HALVINGS = 3
# The largest τ is taken that the best one does not beat by so many standard errors.
_SURE = 2.0
# Points a side, at least.
_FEWEST = 40
# Neighbours that say where a point goes, of n: n to this power.
_POWER = 2.0 / 3.0
# Of the plans: what is compared differs by far more.
_TOLERANCE, _ITERATIONS = 1e-3, 500


class PenaltyRow(NamedTuple):
    """A strength τ that was tried, and what was seen of it on points held out.

    Args:
        penalty: τ; None of a balanced map.
        discrepancy: what ranks it, as ``penalty_rows`` says: 0 where images and targets are one
            law, 2 where they have nothing in common; infinite where hardly a point is left.
        behind: that less the lowest.
        stderr: the standard error of ``behind``.
        chosen: whether it was taken: the largest that is behind by no more than two of these.
    """

    penalty: float | None
    discrepancy: float
    behind: float
    stderr: float
    chosen: bool


def penalty_rows(
    x: np.ndarray,
    y: np.ndarray,
    weights: tuple[np.ndarray | None, np.ndarray | None],
    random_state: int,
) -> tuple[PenaltyRow, ...]:
    """What was tried, the largest τ first, none before all.

    Any marginals are those of some balanced map, and none of its images on points held out tell
    that it moved what should have been lost: it tears apart what is together. So a point held out
    is moved as its neighbours are: along the affine map of their steps and the mean of what that
    leaves of theirs. The images of the source, by their growth, are compared with the target by
    its own: 1 − 2k(x, y)/(k(x, x) + k(y, y)), k the mean of a Gaussian kernel over pairs, without
    the bias of a point with itself; and the way back likewise. The sum does not depend on how much
    mass is left, and is thus comparable between τ. Too small a τ is behind too: growth that takes
    the place of a move is not learned well enough to make equals of the two.

    Raises:
        ValueError: fewer points a side than 40.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 2)) + 12.0 * (np.arange(200) < 100)[:, None]
    >>> rows = penalty_rows(x, rng.normal(size=(200, 2)), (None, None), 0)  # half of x is gone
    >>> rows[0].chosen, rows[0].discrepancy > 3 * min(row.discrepancy for row in rows)
    (False, True)

    Gretton et al. (2012), eq. 3, of weighted points, over its largest value.
    """
    for name, points in (("X", x), ("Y", y)):
        if len(points) < _FEWEST:
            raise ValueError(
                f"unbalanced: got 'cv' for {len(points)} points of {name}; wants {_FEWEST} or "
                "more, or a number."
            )
    clouds, _ = few_points((x, y), weights, random_state)
    epsilon = common_epsilon(*clouds)
    scale = max(float(median_squared_distance(jnp.asarray(points))) for points, _ in clouds)
    penalties = [None, *(share * scale for share in _SHARES)]
    random = np.random.default_rng(random_state)
    seen = np.array(
        [
            [_discrepancy(learned, held, penalty, epsilon) for penalty in penalties]
            for _ in range(_HALVINGS)
            for learned, held in _both_ways(*(_halves(cloud, random) for cloud in clouds))
        ]
    )
    return _ranked(penalties, seen)


def _ranked(penalties: list[float | None], seen: np.ndarray) -> tuple[PenaltyRow, ...]:
    """The rows of what was seen, (times, penalties)."""
    means = seen.mean(axis=0)
    known = np.isfinite(means)
    behind, stderr = np.full(len(means), np.inf), np.zeros(len(means))
    apart = seen[:, known] - seen[:, [int(np.argmin(means))]]
    behind[known] = apart.mean(axis=0)
    stderr[known] = apart.std(axis=0, ddof=1) / np.sqrt(len(seen))
    first = int(np.argmax(behind <= _SURE * stderr))
    return tuple(
        PenaltyRow(penalty, float(means[i]), float(behind[i]), float(stderr[i]), i == first)
        for i, penalty in enumerate(penalties)
    )


def _halves(cloud: Weighted, random: np.random.Generator) -> tuple[Weighted, Weighted]:
    points, weights = cloud
    order, half = random.permutation(len(points)), len(points) // 2
    one, other = (
        (points[rows], weights[rows] / weights[rows].sum())
        for rows in (order[:half], order[half : 2 * half])
    )
    return one, other


def _both_ways(
    x: tuple[Weighted, Weighted], y: tuple[Weighted, Weighted]
) -> list[tuple[tuple[Weighted, Weighted], tuple[Weighted, Weighted]]]:
    """Pairs of clouds to learn from, each with one that is held out."""
    one, other = (x[0], y[0]), (x[1], y[1])
    return [(one, other), (other, one)]


def _discrepancy(
    learned: tuple[Weighted, Weighted],
    held: tuple[Weighted, Weighted],
    penalty: float | None,
    epsilon: float,
) -> float:
    """That of held-out images and targets, there and back; infinite where too little is left."""
    try:
        growth, _ = growth_between(*learned, penalty, epsilon, _TOLERANCE, _ITERATIONS)
    except ValueError:
        return np.inf
    of_side = growth.source, growth.target
    (x, y), (x_held, y_held) = (
        [(points, of(points) * masses) for of, (points, masses) in zip(of_side, pair, strict=True)]
        for pair in (learned, held)
    )
    if not all(_counts(masses) for _, masses in (x, y, x_held, y_held)):
        return np.inf
    there = _moved(x, growth.source_steps(x[0]), x_held[0]), x_held[1]
    back = _moved(y, growth.target_steps(y[0]), y_held[0]), y_held[1]
    return _kernel_distance(there, y_held) + _kernel_distance(back, x_held)


def _counts(masses: np.ndarray) -> bool:
    """Whether the masses are of two points at least."""
    return bool(masses.sum() ** 2 >= 2.0 * np.square(masses).sum() > 0.0)


def _moved(learned: Weighted, steps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (n, d), moved as their neighbours among those learned from are."""
    own, masses = learned
    shares = masses / masses.sum()
    middle, step = shares @ own, shares @ steps
    z, gaps = own - middle, steps - step
    square = (z.T * shares) @ z
    # A ridge of what so few points leave unknown.
    ridge = np.trace(square) * (shares @ shares) * np.eye(len(square))
    matrix = np.linalg.solve(square + ridge, (z.T * shares) @ gaps)
    left = gaps - z @ matrix
    _, places = KDTree(own).query(points, max(3, round(len(own) ** _POWER)))
    near = shares[places] + np.finfo(float).tiny
    mean = np.einsum("nk,nkd->nd", near / near.sum(axis=1, keepdims=True), left[places])
    return points + step + (points - middle) @ matrix + mean


def _kernel_distance(images: Weighted, target: Weighted) -> float:
    """1 − 2k(x, y)/(k(x, x) + k(y, y)) of images x and target y, the kernel as wide as y's own."""
    (x, a), (y, b) = ((points, masses / masses.sum()) for points, masses in (images, target))
    distances, _ = KDTree(y).query(y, round(np.sqrt(len(y))) + 1)
    farthest = np.square(distances[:, -1])
    width = float(np.median(farthest)) or float(np.mean(farthest)) or 1.0

    def kernel(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 / width * cdist(u, v, "sqeuclidean"))

    own, other = (
        (masses @ kernel(z, z) @ masses - masses @ masses) / (1.0 - masses @ masses)
        for z, masses in ((x, a), (y, b))
    )
    return float(1.0 - 2.0 * (a @ kernel(x, y) @ b) / (own + other))
