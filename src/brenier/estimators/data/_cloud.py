"""A cloud as a fit sees it: its moments and its points, or a random sample where they are many."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from brenier._checks import as_float_array, as_frame, check_points, check_varying
from brenier._frames import Frame
from brenier.estimators.data._columns import training_points
from brenier.estimators.data._covariance import lifted_covariance, shrunk_covariance
from brenier.numerics import beyond_digits, sound_rows

# Points a side that a fit works on, at most: some five visits each in the default's steps, and
# 50 MB in fifty dimensions in single precision.
MOST_POINTS = 2**18
# Rows read at a time.
_ROWS = 2**15


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
    """

    points: np.ndarray
    origin: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    sound: np.ndarray
    outliers: np.ndarray


def read_cloud(
    name: str,
    value: Any,
    dimension: int | None,
    *,
    random_state: int,
    outliers: str,
    columns: Sequence[Any] | None,
) -> Cloud:
    """The cloud in an array or a data frame, checked; a large array is read block after block.

    So a memory map (``np.load(..., mmap_mode="r")``) is never read whole. Rows far outside of all
    others are named in a warning, kept, or taken out (``outliers``: "warn", "keep" or "drop");
    ``columns`` are the names that the warning uses.

    Raises:
        ValueError: as ``check_points``, for constant columns, and for less than two points.
    """
    value = as_frame(name, value)
    value = value.values if isinstance(value, Frame) else value
    if not isinstance(value, np.ndarray) or value.ndim != 2 or len(value) <= MOST_POINTS:
        return _of_points(*sound_points(name, value, outliers, columns, dimension=dimension))
    n, d = value.shape
    chosen = np.sort(np.random.default_rng(random_state).choice(n, MOST_POINTS, replace=False))
    origin = _middle(as_float_array(name, value[:_ROWS]))
    kept = np.empty((MOST_POINTS, d), origin.dtype)
    mean, square = np.zeros(d), np.zeros((d, d))
    low, high = np.full(d, np.inf), np.full(d, -np.inf)
    filled = 0
    for start in range(0, n, _ROWS):
        block = check_points(
            f"{name}, rows from {start}",
            value[start : start + _ROWS],
            dimension=dimension,
            names=columns,
        )
        own = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, start + len(block))]
        kept[filled : filled + len(own)] = block[own - start]
        filled += len(own)
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        # Chan, Golub, LeVeque (1983): the moments of a union from those of its parts.
        wide = block.astype(np.float64) - origin
        apart = wide.mean(axis=0) - mean
        centred = wide - wide.mean(axis=0)
        weight = start * len(block) / (start + len(block))
        square += centred.T @ centred + weight * np.outer(apart, apart)
        mean += apart * (len(block) / (start + len(block)))
    check_varying(name, low, high, columns)
    points, sound, found = sound_points(name, kept, outliers, columns)
    cloud = _of_points(points, sound, chosen[found])
    if len(cloud.outliers):  # their moments are not those of all points
        return cloud
    return Cloud(
        kept - origin, origin, mean, lifted_covariance(square / n), cloud.sound, cloud.outliers
    )


def sound_points(
    name: str,
    value: Any,
    outliers: str,
    columns: Sequence[Any] | None,
    *,
    dimension: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (n, d) to learn from, which of them count for moments, and the rows of the outliers.

    Outliers that stay do not spoil the moments; those beside which the others have no digits do not
    stay, nor does any under "drop".

    Raises:
        ValueError: as ``check_points``.
    """
    points = as_float_array(name, value)
    if points.ndim != 2 or not len(points) or not np.isfinite(points).all():
        points = training_points(name, points, dimension, columns)  # says what is wrong
    sound = sound_rows(name, points, outliers, columns, leaves_out=True)
    found = np.flatnonzero(~sound)
    if len(found):
        training_points(f"{name} without outliers", points[sound], dimension, columns)
        kept = sound if outliers == "drop" else ~beyond_digits(points, sound)
        points, sound = points[kept], sound[kept]
    return training_points(name, points, dimension, columns), sound, found


def _of_points(points: np.ndarray, sound: np.ndarray, outliers: np.ndarray) -> Cloud:
    """The cloud of ``sound_points``."""
    origin = _middle(points[sound])
    near = points - origin
    wide = near[sound].astype(np.float64)
    return Cloud(near, origin, wide.mean(axis=0), shrunk_covariance(wide), sound, outliers)


def _middle(points: np.ndarray) -> np.ndarray:
    """A value of each column (d,) that is far from none but outliers."""
    half = len(points) // 2
    return np.partition(points, half, axis=0)[half]
