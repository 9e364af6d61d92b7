"""KRCO22's test of an encoder: do its pairs cost as little as the best assignment of them?"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from brenier._checks import check_points
from brenier.exact import solve_assignment

# Relative differences of two sums below this are rounding.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class AssignmentTest:
    """Pairs (x_i, T(x_i)) against their cheapest assignment. MATH_5 (5.2); KRCO22 section 3.4.

    Attributes:
        n: pairs.
        cost: mean ‖x_i − T(x_i)‖².
        optimal: min over permutations of mean ‖x_i − T(x_σ(i))‖².
        relative_error: cost over optimal, less 1.
        points_moved: by that assignment. With none moved the test has seen nothing: it does not
            say that the map is optimal.
    """

    n: int
    cost: float
    optimal: float
    relative_error: float
    points_moved: int


def assignment_test(x: Any, tx: Any) -> AssignmentTest:
    """How much cheaper the same points could be paired, by an exact assignment.

    Not a certificate: it sees a defect only where n points are dense enough for a swap to pay,
    which in high dimension they never are. ``audit_pairs`` bounds the defect from both sides.

    Args:
        x: (n, d).
        tx: (n, d), row by row.

    Raises:
        ValueError: bad points, rows that do not match, or more than about 6,000 pairs.

    >>> import numpy as np
    >>> test = assignment_test(np.array([[0.0], [1.0]]), np.array([[1.0], [0.0]]))
    >>> test.points_moved, test.cost, test.optimal
    (2, 1.0, 0.0)
    """
    first = check_points("x", x).astype(np.float64)
    second = check_points("tx", tx, dimension=first.shape[1]).astype(np.float64)
    if len(first) != len(second):
        raise ValueError(f"tx: got {len(second)} images of {len(first)} points; wants one each.")
    # A vertex of the plans between equal masses is a permutation.
    plan = solve_assignment(first, second).stats["plan"]
    mates = np.arange(len(first))
    mates[plan.rows] = plan.columns
    costs = np.sum((first - second) ** 2, axis=1)
    cheapest = np.sum((first - second[mates]) ** 2, axis=1)
    cost, optimal = float(costs.mean()), float(cheapest.mean())
    if optimal >= cost * (1.0 - _ROUNDING):  # another order at the same cost moves nobody
        return AssignmentTest(len(first), cost, cost, 0.0, 0)
    gap = cost / optimal - 1.0 if optimal > 0.0 else float("inf")
    moved = int(np.sum(mates != np.arange(len(first))))
    return AssignmentTest(len(first), cost, optimal, gap, moved)
