"""Gaussian to Gaussian: the Monge map is affine, the cost the Bures-Wasserstein distance."""

import time
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from brenier._checks import as_float_array, check_points
from brenier._solution import Result, Solution
from brenier.maps import AffineMap
from brenier.measures import AbstractMeasure, Gaussian

# The share of the target's root that a singular source may miss: roots have half the digits.
_COVERED = 1e-6


class Normal(NamedTuple):
    """N(m, R Rᵀ): the mean, a root R of the covariance, and the pseudo-inverse of R."""

    mean: np.ndarray
    root: np.ndarray
    inverse: np.ndarray


def solve_gaussian(source: Any, target: Any) -> Solution[AffineMap]:
    """The Monge map between Gaussians, T(x) = m₂ + A(x − m₁), and its cost

        W₂² = |m₁ − m₂|² + tr S₁ + tr S₂ − 2 tr(S₁^{1/2} S₂ S₁^{1/2})^{1/2}
            = |m₁ − m₂|² + |R₁ − R₂Q|²,

    for roots S = R Rᵀ and Q the orthogonal polar factor of R₂ᵀR₁. The second line is a sum of
    squares of differences: it loses no digits where the two laws are close or their covariances
    nearly singular. A ``Gaussian`` holds its root, and the cost is then exact to rounding; the
    covariance of a pair (mean, covariance) is factored first, and eigenvalues within rounding of 0
    count as 0. Not for other laws: for them the cost is a lower bound of W₂² (Gelbrich), and the
    map is not the Monge map.

    Args:
        source: a ``Gaussian``, or a pair (mean (d,), covariance (d, d)), the covariance symmetric
            positive semidefinite.
        target: likewise.

    Returns:
        A ``Solution`` whose map is an ``AffineMap``; where the source is singular, the map is
        constant across it. Its stats: ``cost``; ``mean_cost`` and ``bures``, its two terms;
        ``seconds``.

    Raises:
        ValueError: means or covariances that are invalid, dimensions that do not match, or a
            singular source from which no map reaches the target (swap them: the plan is a map the
            other way).

    >>> import numpy as np
    >>> solution = solve_gaussian((np.zeros(2), np.eye(2)), (np.ones(2), np.diag([4.0, 9.0])))
    >>> round(solution.stats["cost"], 12), solution.map(np.array([1.0, 1.0])).round(12).tolist()
    (7.0, [3.0, 4.0])

    Olkin & Pukelsheim (1982); Bhatia, Jain & Lim (2019).
    """
    began = time.perf_counter()
    x = read_normal("source", source)
    y = read_normal("target", target)
    if x.mean.shape != y.mean.shape:
        raise ValueError(f"target: got dimension {len(y.mean)}; wants dimension {len(x.mean)}.")
    left, singular, right = np.linalg.svd(y.root.T @ x.root)
    half = right @ x.inverse
    matrix = (half.T * singular) @ half
    # A R₁ = R₂ Q is what maps one Gaussian to the other.
    missed = np.linalg.norm(y.root @ (left @ right) - matrix @ x.root)
    present = x.inverse @ x.root
    if np.linalg.norm(present - np.eye(len(present))) > 0.5 and (
        missed > _COVERED * np.linalg.norm(y.root)
    ):
        raise ValueError(
            "source: got a singular covariance, from which no map reaches the target "
            "(mass would have to split); wants a source that covers the target's "
            "directions (swap source and target, or add noise to the source)."
        )
    mean_cost = float(np.sum(np.square(x.mean - y.mean)))
    bures = float(np.sum(np.square(x.root - y.root @ (left @ right))))
    stats = {
        "cost": mean_cost + bures,
        "mean_cost": mean_cost,
        "bures": bures,
        "seconds": time.perf_counter() - began,
    }
    return Solution(AffineMap(matrix, y.mean - matrix @ x.mean), Result.successful, stats)


def read_normal(name: str, law: Any) -> Normal:
    if isinstance(law, Gaussian):
        root = np.asarray(law.factor, np.float64)
        inverse = solve_triangular(root, np.eye(len(root)), lower=True)
        return Normal(np.asarray(law.mean, np.float64), root, inverse)
    if isinstance(law, AbstractMeasure) or not isinstance(law, tuple | list) or len(law) != 2:
        raise ValueError(
            f"{name}: got {type(law).__name__}; wants a Gaussian, or a pair (mean, covariance)."
        )
    mean = as_float_array(f"{name} mean", law[0]).astype(np.float64)
    if mean.ndim != 1 or not np.isfinite(mean).all():
        raise ValueError(f"{name} mean: got shape {mean.shape}; wants finite numbers (d,).")
    covariance = check_points(f"{name} covariance", law[1], dimension=len(mean)).astype(np.float64)
    return _factored(name, mean, covariance)


def _factored(name: str, mean: np.ndarray, covariance: np.ndarray) -> Normal:
    d = len(mean)
    size = np.abs(covariance).max()
    if covariance.shape != (d, d) or np.abs(covariance - covariance.T).max() > 1e-6 * size:
        raise ValueError(
            f"{name} covariance: got shape {covariance.shape}, or a matrix that is "
            f"not symmetric; wants ({d}, {d}), symmetric positive semidefinite."
        )
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    rounding = 4.0 * d * np.finfo(float).eps * values[-1]
    if values[0] < -1e-6 * size:
        raise ValueError(
            f"{name} covariance: got an eigenvalue of {values[0]:.3g}; "
            "wants symmetric positive semidefinite."
        )
    present = values > rounding
    roots = np.sqrt(np.where(present, values, 0.0))
    inverses = np.where(present, 1.0 / np.where(present, roots, 1.0), 0.0)
    return Normal(mean, vectors * roots, (vectors * inverses).T)
