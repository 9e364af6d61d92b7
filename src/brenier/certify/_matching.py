"""Permutations of many pairs that cost less: exact assignments in small cells, many times over."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linear_sum_assignment

# An assignment of so many points takes about 20 ms; its time grows as their cube.
_CELL = 300
# About what a point takes in one sweep, on one core of 2024. It turns a budget of seconds into a
# number of sweeps, so that equal budgets give equal certificates on every machine.
_SECONDS_A_POINT = 8e-5


def sweeps_for(points: int, seconds: float) -> int:
    """The number of sweeps over so many points that takes about so many seconds; at least 2."""
    return max(2, int(seconds / (_SECONDS_A_POINT * points)))


def cheaper_permutation(
    x: np.ndarray, y: np.ndarray, guess: np.ndarray, sweeps: int, random: np.random.Generator
) -> np.ndarray:
    """σ with Σ‖x_i − y_σ(i)‖² small, and never above the identity's.

    Starts at the better of the identity and of splitting ``guess`` (where an optimal map would send
    the x) and the y by common medians; then solves exact assignments in cells of random directions,
    again and again. Time grows as n, and no matrix is larger than a cell's.

    Args:
        x: (n, d).
        y: (n, d).
        guess: (n, d), about T*(x) for an optimal T*.
        sweeps: how often all cells are assigned.
        random: the generator of the cells' directions.
    """
    permutation = np.arange(len(x))
    split = _median_splits(guess, y, random)
    if np.sum(x * y[split]) > np.sum(x * y):
        permutation = split
    for sweep in range(sweeps):
        places = x if sweep % 2 == 0 else y[permutation]
        for rows in _cells(places, random):
            mates = permutation[rows]
            # Only ⟨x_i, y_j⟩ depends on the permutation; centred, it loses fewer digits.
            gains = (x[rows] - x[rows].mean(axis=0)) @ (y[mates] - y[mates].mean(axis=0)).T
            _, columns = linear_sum_assignment(gains, maximize=True)
            order = np.arange(len(rows))
            # A tie, or a gain within rounding, moves no point.
            rounding = 1e-13 * np.abs(gains).max()
            if gains[order, columns].sum() > gains[order, order].sum() + rounding:
                permutation[rows] = mates[columns]
    return permutation


def _median_splits(a: np.ndarray, y: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """σ from cutting both clouds at their medians along common random directions, down to cells."""
    permutation = np.empty(len(a), dtype=np.int64)
    stack = [(np.arange(len(a)), np.arange(len(a)))]
    while stack:
        rows, columns = stack.pop()
        if len(rows) <= _CELL:
            _, order = linear_sum_assignment(a[rows] @ y[columns].T, maximize=True)
            permutation[rows] = columns[order]
            continue
        direction = random.normal(size=a.shape[1])
        middle = len(rows) // 2
        left = np.argpartition(a[rows] @ direction, middle)
        right = np.argpartition(y[columns] @ direction, middle)
        stack.append((rows[left[:middle]], columns[right[:middle]]))
        stack.append((rows[left[middle:]], columns[right[middle:]]))
    return permutation


def _cells(places: np.ndarray, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows in groups of neighbours, cut at random places along random directions."""
    stack = [np.arange(len(places))]
    while stack:
        rows = stack.pop()
        if len(rows) <= _CELL:
            yield rows
            continue
        heights = places[rows] @ random.normal(size=places.shape[1])
        middle = int(len(rows) * random.uniform(0.3, 0.7))
        order = np.argpartition(heights, middle)
        stack += [rows[order[:middle]], rows[order[middle:]]]
