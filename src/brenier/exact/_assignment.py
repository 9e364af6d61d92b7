"""Optimal transport between two clouds of points: the linear program, solved exactly."""

import time
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from brenier._checks import check_digits, check_points, check_weights, to_device
from brenier._extras import check_installed, is_installed
from brenier._solution import Result, Solution
from brenier.exact._assignment_duals import dual_potentials, transformed_potentials
from brenier.exact._plan import Plan
from brenier.maps import GradientMap
from brenier.numerics import mean_and_spread, without_outliers
from brenier.potentials import MaxAffine

# The matrices of costs and slacks take about 40 bytes a pair: 1.5 GB at the limit.
_MOST_PAIRS = 6_100**2
# Up to here scipy's shortest augmenting paths are faster than POT's network simplex.
_AUGMENTING = 256
_MOST_PIVOTS = 10**9
# Masses below this are rounding of the simplex.
_NO_MASS = 1e-15


def solve_assignment(
    source: Any,
    target: Any,
    source_weights: Any = None,
    target_weights: Any = None,
    *,
    outliers: str = "warn",
    throw: bool = True,
) -> Solution[GradientMap]:
    """The optimal plan between two clouds for the cost |x − y|², its duals, and the map they give.

    By shortest augmenting paths (SciPy) between small uniform clouds of one size, else by the
    network simplex of POT, the extra ``exact``. Where that is not installed, SciPy matches uniform
    clouds of one size whatever their number, and others are refused.

    Optimal duals, f_i + g_j ≤ |x_i − y_j|² with equality on the plan, are not unique. Those taken
    here lie in the middle of the optimal set, strict off the plan wherever possible, unlike the
    vertices that solvers return. They give the potential and the map

        φ(x) = max_j ⟨x, y_j⟩ + ½(g_j − |y_j|²),     T = ∇φ,

    defined everywhere. Where the optimal plan is unique, T sends an x_i that has one partner to it,
    and an x_i whose mass is split to the mean of its partners (up to rounding, which may pick one
    of them). Not for more than about 6,000 points a side: take ``maps.EntropicMap.from_samples``.

    Args:
        source: x, (n, d).
        target: y, (m, d).
        source_weights: (n,), non-negative, divided by their sum; uniform where None.
        target_weights: (m,), likewise.
        outliers: of points grossly outside of all others: "warn" names them, "drop" takes them as
            points without weight, "keep" is silent.
        throw: raise where the plan is not proved optimal.

    Returns:
        A ``Solution`` whose map is the ``GradientMap`` of a ``MaxAffine``. Its stats: ``cost``,
        W₂²; ``plan``, a ``Plan``; ``source_potential`` f (n,) and ``target_potential`` g (m,);
        ``dual``, their value, which proves the cost; ``violation``, by how much f + g exceeds the
        cost anywhere; ``slackness``, Σ mass (cost − f − g); ``seconds``. Points without weight have
        the potentials that the map gives them.

    Raises:
        MissingExtraError: clouds of two sizes, or weights, and POT is not installed.
        ValueError: bad points or weights, dimensions that do not match, too many pairs for memory.
        SolveError: the simplex did not end, or a few points lie so far out that the duals do not
            prove the plan to nine digits of its cost.

    >>> import numpy as np
    >>> x, y = np.array([[0.0, 0.0], [4.0, 0.0]]), np.array([[5.0, 0.0], [0.0, 1.0]])
    >>> solution = solve_assignment(x, y)
    >>> round(solution.stats["cost"], 12), solution.map(x).tolist()
    (1.0, [[0.0, 1.0], [5.0, 0.0]])

    Peyré & Cuturi (2019), chapter 3.
    """
    began = time.perf_counter()
    x = check_points("source", source)
    y = check_points("target", target, dimension=x.shape[1])
    check_digits("source", x)
    check_digits("target", y)
    x, y = x.astype(np.float64), y.astype(np.float64)
    a = _weights("source_weights", source_weights, len(x))
    b = _weights("target_weights", target_weights, len(y))
    a, b = without_outliers(("source", "target"), (x, y), (a, b), outliers)
    if len(x) * len(y) > _MOST_PAIRS:
        raise ValueError(
            f"source: got {len(x):,} points for {len(y):,} in target; wants at most "
            f"{_MOST_PAIRS:,} pairs (subsample, or take brenier.maps.EntropicMap.from_samples, "
            "whose memory does not grow with the pairs)."
        )
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    # Between clouds in standard coordinates the plan is the same, and the costs keep their digits.
    # About medians, which a far point does not move.
    spread = max(mean_and_spread(own)[1] for own in (x[rows], y[columns])) or 1.0
    middle, there = np.median(x[rows], axis=0), np.median(y[columns], axis=0)
    u, v = (x - middle) / spread, (y - there) / spread
    cost = cdist(u[rows], v[columns], "sqeuclidean")
    plan, start, ended = _solve(a[rows], b[columns], cost)
    # Points lighter than that rounding have no mate, and are as those without weight.
    (mated, plan_rows), (mates, plan_columns) = (
        np.unique(ends, return_inverse=True) for ends in (plan.rows, plan.columns)
    )
    if len(mated) < len(rows) or len(mates) < len(columns):
        cost, start = cost[np.ix_(mated, mates)], start[mates]
        plan = Plan(plan_rows, plan_columns, plan.mass)
        rows, columns = rows[mated], columns[mates]
    potentials = dual_potentials if ended else transformed_potentials
    duals = potentials(cost, plan, start)
    f, g = _extended(u, v, rows, columns, duals.target)
    offsets = 0.5 * (duals.target - np.sum(np.square(v[columns]), axis=1))
    unit, shift = spread**2, middle - there
    transport = GradientMap(
        MaxAffine(
            to_device(y[columns]),
            to_device(unit * (offsets - offsets.max())),
            jnp.asarray(-jnp.inf),
            to_device(middle),
        )
    )
    # |x − y|² is that of the centred points, plus what depends on x alone and on y alone.
    x_part = float(shift @ shift) + 2.0 * spread * u @ shift
    y_part = -2.0 * spread * v @ shift
    apart = float(a @ x_part + b @ y_part)
    plan = Plan(rows[plan.rows], columns[plan.columns], plan.mass)
    source_potential, target_potential = unit * f + x_part, unit * g + y_part
    excess = source_potential[:, None] + target_potential - cdist(x, y, "sqeuclidean")
    stats = {
        "cost": float(plan.mass @ np.sum(np.square(x[plan.rows] - y[plan.columns]), axis=1)),
        "dual": apart + unit * float(a @ f + b @ g),
        "violation": max(0.0, float(excess.max())),
        "slackness": unit * duals.slackness,
        "plan": plan,
        "source_potential": source_potential,
        "target_potential": target_potential,
        "seconds": time.perf_counter() - began,
    }
    result = Result.successful if duals.converged else Result.not_converged
    return Solution(transport, result, stats).checked(throw)


def _weights(name: str, weights: Any, n: int) -> np.ndarray:
    if weights is None:
        return np.full(n, 1.0 / n)
    return check_weights(name, weights, n).astype(np.float64)


def _solve(a: np.ndarray, b: np.ndarray, cost: np.ndarray) -> tuple[Plan, np.ndarray, bool]:
    """A plan, a start for its duals, and whether the solver ended."""
    n, m = cost.shape
    is_matching = n == m and np.ptp(a) == 0.0 and np.ptp(b) == 0.0
    if is_matching and (n <= _AUGMENTING or not is_installed("ot")):
        rows, columns = linear_sum_assignment(cost)
        return Plan(rows, columns, np.full(n, 1.0 / n)), np.zeros(m), True
    check_installed("weights or sizes that differ", "ot")
    # Here, because importing POT takes a second that only this solver should cost.
    from ot.lp import emd

    dense, log = emd(a, b, cost, numItermax=_MOST_PIVOTS, log=True)
    rows, columns = np.nonzero(dense > _NO_MASS)
    plan = Plan(rows, columns, dense[rows, columns])
    return plan, np.asarray(log["v"], np.float64), log["warning"] is None


def _extended(
    x: np.ndarray, y: np.ndarray, rows: np.ndarray, columns: np.ndarray, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """f = the c-transform of g at all source points, and g at the target points from f."""
    f = np.min(cdist(x, y[columns], "sqeuclidean") - g, axis=1)
    full = np.empty(len(y))
    full[columns] = g
    missing = np.setdiff1d(np.arange(len(y)), columns)
    if missing.size:
        full[missing] = np.min(cdist(y[missing], x, "sqeuclidean") - f, axis=1)
    return f, full
