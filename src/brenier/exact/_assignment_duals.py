"""Optimal dual potentials from an optimal plan, taken in the middle of the optimal set."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from brenier.exact._plan import Plan

# Rounding of reduced costs, in units of the largest cost.
_UNIT = 8.0 * np.finfo(float).eps
# Slacks below so many units count as none.
_TIGHT = 8.0
_CENTRING_SWEEPS = 2
_MARGINS = 8
# Row updates for one margin, per part: with too large a margin the sweeps would not end.
_MARGIN_WORK = 50
# Rows of a matrix taken at once, so that they stay in the cache.
_BLOCK = 32


class Duals(NamedTuple):
    """f (n,) and g (m,) with f_i + g_j ≤ c_ij up to ``violation``.

    ``slackness`` is Σ mass (c − f − g) over the plan; ``sweeps`` counts the Bellman-Ford sweeps,
    and ``converged`` is false where the plan is not optimal.
    """

    source: np.ndarray
    target: np.ndarray
    violation: float
    slackness: float
    sweeps: int
    converged: bool


def dual_potentials(cost: np.ndarray, plan: Plan, start: np.ndarray) -> Duals:
    """The duals of an optimal plan that has an entry in each row and column of ``cost`` (n, m).

    Complementary slackness, f_i + g_j = c_ij on the plan and ≤ elsewhere, is a system of shortest
    paths, g_k ≤ g_j + c_ik − c_ij for each i that is matched with j. It is solved by Bellman-Ford
    sweeps from ``start`` (m,), in which only rows that changed take part. Their solution is an
    extreme point of the optimal set, in which points lie on the borders of the cells of others;
    ``_centred`` moves them off.
    """
    f, g, sweeps, converged = _shortest_paths(cost, plan, start)
    if converged:
        f, g = _centred(cost, plan, f, g)
    slack = cost - f[:, None]
    slack -= g
    paid = float(np.sum(plan.mass * np.maximum(slack[plan.rows, plan.columns], 0.0)))
    return Duals(f, g, max(0.0, -float(slack.min())), paid, sweeps, converged)


def transformed_potentials(cost: np.ndarray, plan: Plan, g: np.ndarray) -> Duals:
    """The best f for a given g, f_i = min_j c_ij − g_j: feasible, whatever the plan is."""
    f = np.min(cost - g, axis=1)
    slack = cost[plan.rows, plan.columns] - f[plan.rows] - g[plan.columns]
    return Duals(f, g, 0.0, float(plan.mass @ slack), 0, False)


def _shortest_paths(
    cost: np.ndarray, plan: Plan, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int, bool]:
    n, m = cost.shape
    matched = cost[plan.rows, plan.columns]
    tolerance = _UNIT * max(float(cost.max()), np.finfo(float).tiny)
    g = start.copy()
    f = np.full(n, -np.inf)
    for sweep in range(n + m):
        before = f
        f = np.full(n, -np.inf)
        np.maximum.at(f, plan.rows, matched - g[plan.columns])
        changed = np.flatnonzero(f > before + tolerance)
        # Each path visits a point at most once, so an optimal plan ends before n + m sweeps.
        if not changed.size:
            return f, g, sweep, True
        rows = cost[changed] if changed.size < n else cost
        g = np.minimum(g, np.min(rows - f[changed, None], axis=0))
    return f, g, n + m, False


def _centred(
    cost: np.ndarray, plan: Plan, f: np.ndarray, g: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Shift the duals so that slacks off the plan are positive, and about as large on both sides.

    Shifts s of the parts that move together keep feasible when s_q − s_p ≤ the room from p to q.
    """
    n, m = cost.shape
    slack = cost - f[:, None]
    slack -= g
    rows, columns = np.nonzero(slack <= _TIGHT * _UNIT * float(cost.max()))
    tight = coo_array(
        (
            np.ones(len(rows) + 2 * len(plan.rows)),
            (
                np.concatenate([rows, plan.rows, n + plan.columns]),
                np.concatenate([n + columns, n + plan.columns, plan.rows]),
            ),
        ),
        shape=(n + m, n + m),
    )
    # A cycle of tight pairs: another plan costs the same, and its potentials move only together.
    parts, label = connected_components(tight, directed=True, connection="strong")
    if parts == 1:
        return f, g
    room = _between_parts(slack, label[:n], label[n:], parts)
    np.fill_diagonal(room, np.inf)
    room = np.maximum(room, 0.0)
    into = room.T.copy()
    shift = _to_the_middle(room, into, np.zeros(parts))
    shift = _to_the_middle(room, into, _with_margin(room, shift))
    return f - shift[label[:n]], g + shift[label[n:]]


def _with_margin(room: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Shifts with s_q − s_p ≤ room − ε, for the largest ε > 0 of a few that are tried.

    They exist for ε up to the least mean room of a cycle; the cycles of two parts bound it.
    """
    margin = 0.5 * float(np.min(room + room.T))
    for _ in range(_MARGINS):
        margin = 0.125 * margin
        moved, active, work = shift, np.arange(len(shift)), 0
        while work < _MARGIN_WORK * len(shift):
            least = np.min(
                np.stack(
                    [
                        np.min(room[rows] + moved[rows, None], axis=0)
                        for rows in np.array_split(active, -(-len(active) // _BLOCK))
                    ]
                ),
                axis=0,
            )
            before = moved
            moved = np.minimum(moved, least - margin)
            work += len(active)
            active = np.flatnonzero(moved < before)
            if not active.size:
                return moved
    return shift


def _to_the_middle(room: np.ndarray, into: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Each part in turn to the middle of its room; ``into`` is ``room`` transposed."""
    shift = shift.copy()
    for _ in range(_CENTRING_SWEEPS):
        for part in range(len(room)):
            up, down = np.min(into[part] + shift), np.min(room[part] - shift)
            shift[part] = 0.5 * (up - down)
    return shift


def _between_parts(
    slack: np.ndarray, row_label: np.ndarray, column_label: np.ndarray, parts: int
) -> np.ndarray:
    """The least slack from the rows of each part to the columns of each other (parts, parts)."""
    rows, columns = np.argsort(row_label), np.argsort(column_label)
    row_starts = np.searchsorted(row_label[rows], np.arange(parts))
    column_starts = np.searchsorted(column_label[columns], np.arange(parts))
    by_row = np.minimum.reduceat(slack[rows], row_starts, axis=0)
    return np.minimum.reduceat(by_row[:, columns], column_starts, axis=1)
