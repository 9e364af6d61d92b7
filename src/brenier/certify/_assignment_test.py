"""KRCO22's two tests of encoders: their pairs against an assignment, two decoders of one code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from brenier._checks import as_key, check_at_least, check_points
from brenier._types import Key
from brenier.exact import solve_assignment
from brenier.numerics import numpy_generator

# Relative differences of two sums below this are rounding.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class AssignmentTest:
    """Pairs (x_i, T(x_i)) against their cheapest assignment. Theory (5.2); KRCO22 section 3.4.

    Attributes:
        n: the number of pairs.
        cost: mean ‖x_i − T(x_i)‖².
        optimal: min over permutations of mean ‖x_i − T(x_σ(i))‖².
        relative_error: cost over optimal, less 1.
        points_moved: how many points that assignment moves. Where it moves none the test found
            nothing, which does not say that the map is optimal.

    >>> import numpy as np
    >>> test = assignment_test(np.array([[0.0], [2.0]]), np.array([[3.0], [2.0]]))
    >>> test.cost, test.optimal, test.relative_error
    (4.5, 2.5, 0.8)
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
    # A vertex of the set of plans between equal masses is a permutation (Birkhoff).
    plan = solve_assignment(first, second).stats["plan"]
    mates = np.arange(len(first))
    mates[plan.rows] = plan.columns
    costs = np.sum((first - second) ** 2, axis=1)
    cheapest = np.sum((first - second[mates]) ** 2, axis=1)
    cost, optimal = float(costs.mean()), float(cheapest.mean())
    if optimal >= cost * (1.0 - _ROUNDING):  # a tie moves no point
        return AssignmentTest(len(first), cost, cost, 0.0, 0)
    gap = cost / optimal - 1.0 if optimal > 0.0 else float("inf")
    moved = int(np.sum(mates != np.arange(len(first))))
    return AssignmentTest(len(first), cost, optimal, gap, moved)


def paired_closer(
    first: Any, second: Any, *, key: Key | None = None, permutations: int = 999
) -> dict[str, float]:
    """Are rows of the same number nearer to each other than other rows? A permutation test.

    For two decoders of the same codes, as in KRCO22's Figure 4: the mean distance ‖x_i − y_i‖
    against its value under random pairings; p is the share of pairings that are at least as near.
    ``correlation`` is that of all coordinates, after the mean row is subtracted.

    Not a test of optimality: two encoders far from optimal may well agree.

    Args:
        first: (n, d).
        second: (n, d), row by row.
        key: of the random pairings; ``jax.random.key(0)`` where None.
        permutations: how many random pairings are drawn.

    Returns:
        ``paired`` and ``random`` mean distances, ``correlation``, ``p_value``.

    Raises:
        ValueError: bad points, or rows that do not match.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> paired_closer(x, x + 0.1)["p_value"]
    0.001
    """
    x = check_points("first", first, min_points=3).astype(np.float64)
    y = check_points("second", second, dimension=x.shape[1]).astype(np.float64)
    if len(x) != len(y):
        raise ValueError(f"second: got {len(y)} rows for {len(x)}; wants one each.")
    check_at_least("permutations", permutations, 1)
    distances = cdist(x, y)
    random = numpy_generator(as_key("key", key))
    rows = np.arange(len(x))
    paired = float(distances[rows, rows].mean())
    others = np.array(
        [distances[rows, random.permutation(len(x))].mean() for _ in range(permutations)]
    )
    centred = [cloud - cloud.mean(axis=0) for cloud in (x, y)]
    norms = [float(np.linalg.norm(cloud)) for cloud in centred]
    product = float(np.sum(centred[0] * centred[1]))
    return {
        "paired": paired,
        "random": float(others.mean()),
        "correlation": product / (norms[0] * norms[1]) if min(norms) > 0 else float("nan"),
        "p_value": float((1 + np.sum(others <= paired)) / (1 + permutations)),
    }


def alignment(
    first: Any, second: Any, controls: Mapping[str, Any] | None = None, *, key: Key | None = None
) -> dict[str, dict[str, float]]:
    """``paired_closer`` of pairs, and the same beside it of pairs with no reason to be near.

    A test is worth what it tells from its controls. "shuffled" pairs each row with another's, so
    that its p-value is any number from 0 to 1; ``controls`` are other partners of the same rows,
    as those that a generator with a wrong schedule makes of the same codes. Where a control is as
    near as the pairs are, their nearness is no evidence for what the control lacks.

    Args:
        first: (n, d).
        second: (n, d), row by row.
        controls: by name, other (n, d) in the place of ``second``.
        key: of all random pairings; ``jax.random.key(0)`` where None.

    Returns:
        What ``paired_closer`` returns, under "paired", "shuffled", and the controls' names.

    Raises:
        ValueError: as ``paired_closer``.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> found = alignment(x, x + 0.1, {"negated": -x})
    >>> [(name, one["p_value"] < 0.01) for name, one in found.items()]
    [('paired', True), ('shuffled', False), ('negated', False)]
    """
    order = numpy_generator(as_key("key", key)).permutation(len(second))
    others = np.empty_like(order)
    # One cycle through all rows: none keeps its own.
    others[order] = np.roll(order, 1)
    found = {"paired": paired_closer(first, second, key=key)}
    found["shuffled"] = paired_closer(first, np.asarray(second)[others], key=key)
    return found | {
        name: paired_closer(first, partners, key=key) for name, partners in (controls or {}).items()
    }
