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
# The share of costs up to which points are not taken for far ones.
_MOST = 0.9
# Rows and columns that tell how large costs are.
_SEEN = 500
# A plan is optimal where the duals prove it to this share of its cost.
_PROVED = 1e-9
_CENTRING_SWEEPS = 2
_MARGINS = 8
# Row updates for one margin, per part: with too large a margin the sweeps would not end.
_MARGIN_WORK = 50
# Rows of a matrix taken at once, so that they stay in the cache.
_BLOCK = 32


class Duals(NamedTuple):
    """f (n,) and g (m,) with f_i + g_j ≤ c_ij.

    ``slackness`` is Σ mass (c − f − g) over the plan, by which the plan may at most be too dear.
    ``converged`` says that it is 0, to what counts as nothing for these costs.
    """

    source: np.ndarray
    target: np.ndarray
    slackness: float
    converged: bool


def dual_potentials(cost: np.ndarray, plan: Plan, start: np.ndarray) -> Duals:
    """The duals of an optimal plan that has an entry in each row and column of ``cost`` (n, m).

    Complementary slackness, f_i + g_j = c_ij on the plan and ≤ elsewhere, is a system of shortest
    paths, g_k ≤ g_j + c_ik − c_ij for each i that is matched with j. It is solved by Bellman-Ford
    sweeps from ``start`` (m,), in which only rows that changed take part. Their solution is an
    extreme point of the optimal set, in which points lie on the borders of the cells of others;
    ``_centred`` moves them off.
    """
    start = start - np.median(start)
    rounding = _rounding(cost, plan, start)
    f, g, found = _shortest_paths(cost, plan, start, rounding)
    if found:
        g = _centred(cost, plan, f, g, rounding)
    return transformed_potentials(cost, plan, g)


def transformed_potentials(cost: np.ndarray, plan: Plan, g: np.ndarray) -> Duals:
    """The best f for a given g, f_i = min_j c_ij − g_j: feasible, whatever the plan is."""
    f = np.min(cost - g, axis=1)
    matched = cost[plan.rows, plan.columns]
    slackness = float(plan.mass @ (matched - f[plan.rows] - g[plan.columns]))
    paid = float(plan.mass @ matched)
    return Duals(f, g, slackness, slackness <= _PROVED * (paid + _usual(cost)))


def _usual(cost: np.ndarray) -> float:
    """A large cost between points that are not far outside of the others."""
    few = tuple(slice(None, None, 1 + size // _SEEN) for size in cost.shape)
    return float(np.quantile(cost[few], _MOST))


def _rounding(cost: np.ndarray, plan: Plan, start: np.ndarray) -> np.ndarray:
    """What counts as nothing in each row (n,): far points must not blur those of others."""
    sizes = np.full(len(cost), max(_usual(cost), np.finfo(float).tiny))
    np.maximum.at(sizes, plan.rows, cost[plan.rows, plan.columns] + np.abs(start[plan.columns]))
    return _UNIT * sizes


def _shortest_paths(
    cost: np.ndarray, plan: Plan, start: np.ndarray, rounding: np.ndarray
) -> tuple[np.ndarray, np.ndarray, bool]:
    n, m = cost.shape
    matched = cost[plan.rows, plan.columns]
    g = start
    f = np.full(n, -np.inf)
    for _ in range(n + m):
        before = f
        f = np.full(n, -np.inf)
        np.maximum.at(f, plan.rows, matched - g[plan.columns])
        changed = np.flatnonzero(f > before + rounding)
        # Each path visits a point at most once, so an optimal plan ends before n + m sweeps.
        if not changed.size:
            return f, g, True
        rows = cost[changed] if changed.size < n else cost
        g = np.minimum(g, np.min(rows - f[changed, None], axis=0))
    return f, g, False


def _centred(
    cost: np.ndarray, plan: Plan, f: np.ndarray, g: np.ndarray, rounding: np.ndarray
) -> np.ndarray:
    """g, shifted with f so that slacks off the plan are positive, about as large on both sides.

    Shifts s of the parts that move together keep feasible when s_q − s_p ≤ the room from p to q.
    """
    n, m = cost.shape
    slack = cost - f[:, None]
    slack -= g
    rows, columns = np.nonzero(slack <= _TIGHT * rounding[:, None])
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
        return g
    room = _between_parts(slack, label[:n], label[n:], parts)
    np.fill_diagonal(room, np.inf)
    room = np.maximum(room, 0.0)
    into = room.T.copy()
    shift = _to_the_middle(room, into, np.zeros(parts))
    shift = _to_the_middle(room, into, _with_margin(room, shift))
    return g + shift[label[n:]]


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
