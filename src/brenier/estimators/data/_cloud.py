"""A cloud as a fit sees it: its moments and its points, or a random sample where they are many."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from brenier._checks import as_float_array, as_frame, check_points, check_varying
from brenier._frames import Frame
from brenier._types import RowWeights
from brenier.estimators.data._columns import training_points
from brenier.estimators.data._covariance import lifted_covariance, shrunk_covariance
from brenier.estimators.data._given_weights import telling, weighted_rows
from brenier.numerics import (
    beyond_digits,
    row_count,
    row_mean,
    row_products,
    row_weights,
    sound_rows,
)

# Points a side that a fit works on, at most: some five visits each in the default's steps, and
# 50 MB in fifty dimensions in single precision.
MOST_POINTS = 2**18
# Rows read at a time.
_ROWS = 2**15


class Sound(NamedTuple):
    """Points (n, d) to learn from, their weights, which count for moments, and rows of the whole.

    Args:
        points, weights, sound: as a ``Cloud`` has them.
        outliers, kept: rows of what was read.
    """

    points: np.ndarray
    weights: RowWeights
    sound: np.ndarray
    outliers: np.ndarray
    kept: np.ndarray


class Cloud(NamedTuple):
    """What a fit needs of one side.

    Args:
        points: (n, d), all of them or ``MOST_POINTS`` drawn at random without replacement, less the
            origin.
        origin: (d,), values of the points: far from 0 a mean would be known to fewer digits.
        mean: (d,), of all sound points, less the origin.
        covariance: (d, d), of all sound points, shrunk where they are few.
        sound: (n,), which points do not lie far outside of all others; all where nobody asked.
        outliers: rows of what was read that lie far outside of all others, ascending; empty where
            nobody asked for them.
        weights: (n,), how many rows each point stands for; None for one each.
        rows: how many all of what was read stand for.
        kept: (n,), which row of what was read each point is, ascending.
    """

    points: np.ndarray
    origin: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    sound: np.ndarray
    outliers: np.ndarray
    weights: RowWeights
    rows: float
    kept: np.ndarray

    @property
    def size(self) -> int:
        """Points that may be held out from one another, no more than the rows they stand for."""
        return int(min(len(self.points), row_count(self.points, self.weights)))


def read_cloud(
    name: str,
    value: Any,
    dimension: int | None,
    *,
    random_state: int,
    outliers: str,
    columns: Sequence[Any] | None,
    weights: np.ndarray | None = None,
) -> Cloud:
    """The cloud in an array or a data frame, checked; a large array is read block after block.

    So a memory map (``np.load(..., mmap_mode="r")``) is never read whole. Rows far outside of all
    others are named in a warning, kept, or taken out (``outliers``: "warn", "keep" or "drop");
    ``columns`` are the names that the warning uses. Of ``weights``, checked, (n,), rows of 0 are
    taken out; of a large array rows are then drawn by weight.

    Raises:
        ValueError: as ``check_points``, for constant columns, and for less than two points.
    """
    value = as_frame(name, value)
    value = value.values if isinstance(value, Frame) else value
    if not isinstance(value, np.ndarray) or value.ndim != 2 or len(value) <= MOST_POINTS:
        return _of_points(
            sound_points(name, value, outliers, columns, dimension=dimension, weights=weights)
        )
    n, d = value.shape
    count = float(n)
    if weights is not None:
        weights = weights.copy()
        weights[weights > 0] = row_weights(weights[weights > 0])
        count = float(weights.sum())
    chosen, kept_weights = _drawn(n, weights, np.random.default_rng(random_state))
    origin = _middle(as_float_array(name, value[:_ROWS]))
    kept = np.empty((len(chosen), d), origin.dtype)
    mean, square = np.zeros(d), np.zeros((d, d))
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    filled, mass = 0, 0.0
    for start in range(0, n, _ROWS):
        block = check_points(
            f"{name}, rows from {start}",
            value[start : start + _ROWS],
            dimension=dimension,
            names=columns,
        )
        drawn = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(block))]
        kept[filled : filled + len(drawn)] = block[drawn - start]
        filled += len(drawn)
        block, masses = weighted_rows(
            block, None if weights is None else weights[start:][: len(block)]
        )
        if not len(block):
            continue
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        # Chan, Golub, LeVeque (1983): the moments of a union from those of its parts.
        wide, own_mass = block.astype(np.float64) - origin, row_count(block, masses)
        middle = row_mean(wide, masses)
        apart = middle - mean
        weight = mass * own_mass / (mass + own_mass)
        square += row_products(wide - middle, masses) + weight * np.outer(apart, apart)
        mean += apart * (own_mass / (mass + own_mass))
        mass += own_mass
    check_varying(name, low, high, columns)
    own = sound_points(name, kept, outliers, columns, weights=kept_weights)
    own = own._replace(outliers=chosen[own.outliers], kept=chosen[own.kept])
    cloud = _of_points(own)._replace(rows=count)
    if len(cloud.outliers):  # their moments are not those of all points
        return cloud
    covariance = lifted_covariance(square / mass)
    return cloud._replace(points=kept - origin, origin=origin, mean=mean, covariance=covariance)


def sound_points(
    name: str,
    value: Any,
    outliers: str,
    columns: Sequence[Any] | None,
    *,
    dimension: int | None = None,
    weights: np.ndarray | None = None,
) -> Sound:
    """What there is to learn from.

    Outliers that stay do not spoil the moments; those beside which the others have no digits do not
    stay, nor does any under "drop", nor what has no weight.

    Raises:
        ValueError: as ``check_points``.
    """
    points = as_float_array(name, value)
    if points.ndim != 2 or not len(points) or not np.isfinite(points).all():
        points = training_points(name, points, dimension, columns)  # says what is wrong
    rows = np.arange(len(points)) if weights is None else np.flatnonzero(weights)
    if len(rows) < len(points):
        name = f"{name} without rows of weight 0"
    points, masses = weighted_rows(points, weights)
    left = rows
    sound = sound_rows(name, points, outliers, columns, leaves_out=True)
    found = np.flatnonzero(~sound)
    if len(found):
        training_points(f"{name} without outliers", points[sound], dimension, columns)
        kept = sound if outliers == "drop" else ~beyond_digits(points, sound)
        points, sound, left = points[kept], sound[kept], rows[kept]
        masses = None if masses is None else masses[kept]
    masses = telling(masses)  # without weight 0 all others may be equal
    masses = None if masses is None else row_weights(masses)
    points = training_points(name, points, dimension, columns)
    return Sound(points, masses, sound, rows[found], left)


def reweighted(cloud: Cloud, factors: np.ndarray) -> Cloud:
    """The cloud with so many times the weight of each point; those of 0 are taken out."""
    kept = factors > 0
    own = np.ones(int(kept.sum())) if cloud.weights is None else cloud.weights[kept]
    points, masses = cloud.points[kept], row_weights(own, factors[kept])
    found = _of_points(Sound(points, masses, cloud.sound[kept], cloud.outliers, cloud.kept[kept]))
    return found._replace(origin=cloud.origin + found.origin)


def _drawn(
    n: int, weights: np.ndarray | None, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """The rows that a fit works on, ascending, and their weights: how often each was drawn.

    One row from each of ``MOST_POINTS`` runs of equal weight: of equal weights none is drawn twice.
    """
    if weights is None:
        return np.sort(random.choice(n, MOST_POINTS, replace=False)), None
    if np.count_nonzero(weights) <= MOST_POINTS:
        rows = np.flatnonzero(weights)
        return rows, weights[rows]
    sums = np.cumsum(weights)
    places = (np.arange(MOST_POINTS) + random.uniform()) * (sums[-1] / MOST_POINTS)
    rows, times = np.unique(np.searchsorted(sums, places, side="right"), return_counts=True)
    return rows, times / times.max()


def _of_points(own: Sound) -> Cloud:
    """The cloud of ``sound_points``."""
    points, weights, sound = own.points, own.weights, own.sound
    origin = _middle(points[sound])
    near = points - origin
    wide, masses = near[sound].astype(np.float64), None if weights is None else weights[sound]
    mean, covariance = row_mean(wide, masses), shrunk_covariance(wide, masses)
    count = row_count(near, weights)
    return Cloud(near, origin, mean, covariance, sound, own.outliers, weights, count, own.kept)


def _middle(points: np.ndarray) -> np.ndarray:
    """A value of each column (d,) that is far from none but outliers."""
    half = len(points) // 2
    return np.partition(points, half, axis=0)[half]
