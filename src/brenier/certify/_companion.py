"""The saving of all pairs at once, with a level that holds for many pairs only."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtri

# Random parts of the pairs, so large, whose deviations count.
_PARTS, _PART = 5, 0.9
_ROUNDING = 1e-12


class Companion(NamedTuple):
    """Δ_n of n pairs, and Δ_n − z s/√n: a lower bound of D at an asymptotic level. Theory (6.10).

    s is the deviation of the gaps c_ii − u_i − v_i of the assignment's dual solution (u, v), whose
    mean Δ_n is; the largest over random parts, since where the dual solution jumps one part may
    have none.
    """

    saving: float
    lower: float
    n: int


def companion(
    x: np.ndarray, tx: np.ndarray, alpha: float, random: np.random.Generator, most: int
) -> Companion:
    """Of pairs (n, d), (n, d), centred; a random ``most`` of more."""
    rows = random.permutation(len(x))[:most]
    x, tx = x[rows], tx[rows]
    n = len(x)
    gaps = _dual_gaps(x, tx)
    parts = (random.permutation(n)[: max(2, int(_PART * n))] for _ in range(_PARTS))
    deviation = max(gaps.std(), *(_dual_gaps(x[part], tx[part]).std() for part in parts))
    saving = float(gaps.mean())
    lower = saving + float(ndtri(alpha)) * float(deviation) / np.sqrt(n)
    # Both clouds are of spread 1 or less: what is below this is rounding.
    return Companion(saving, float(lower) if lower > _ROUNDING else 0.0, n)


def saving_at_once(x: np.ndarray, tx: np.ndarray, most: int) -> float:
    """Δ_n of the first ``most`` pairs (n, d), (n, d): at most D in the mean."""
    gains = x[:most] @ tx[:most].T
    rows, mates = linear_sum_assignment(gains, maximize=True)
    return 2.0 * float(np.mean(gains[rows, mates] - np.diag(gains)))


def _dual_gaps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """c_ii − u_i − v_i ≥ 0 (n,) for optimal dual variables of the assignment of x to y."""
    costs = -2.0 * x @ y.T  # the squares of x and y are the same in every assignment
    _, mates = linear_sum_assignment(costs)
    own = costs[np.arange(len(x)), mates]
    # v_j ≤ v_σ(i) + c_ij − c_iσ(i): shortest paths from v = 0, one more step in each sweep.
    v = np.zeros(len(x))
    for _ in range(len(x)):
        reached = np.minimum(v, np.min((v[mates] - own)[:, None] + costs, axis=0))
        if np.all(reached >= v - 1e-12 * np.abs(own).max()):
            break
        v = reached
    return np.maximum(np.diag(costs) - (own - v[mates]) - v, 0.0)
