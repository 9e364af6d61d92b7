"""The rows of an audit: points of what was given, one of each group, and what they are known to."""

from typing import Any

import numpy as np

from brenier._checks import as_frame, check_points
from brenier._frames import Frame
from brenier._row_checks import FEWEST, check_labels
from brenier._types import Key
from brenier._warnings import warn_user
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import describe_outliers, gross_outliers, random_order

# From this share of exact copies on, rows that are taken for independent may not be.
MANY_COPIES = 0.1
# The square of a smaller spread, and a share of it, are not held in float64.
_LEAST_SPREAD = 1e-140


def opened(name: str, value: Any, like: Any = None) -> Any:
    """A data frame as a ``Frame``, its columns in the order of those of ``like``; others as is."""
    value = as_frame(name, value)
    if not (isinstance(value, Frame) and isinstance(like, Frame)):
        return value
    return value.aligned(name, None if like.is_counted else like.columns)


def one_of_each(groups: Any, rows: Any, key: Key) -> Any:
    """A random row of each label, in random order; all rows where there are no labels."""
    if groups is None:
        return rows
    if isinstance(rows, AbstractMeasure):
        raise ValueError("groups: got labels beside a measure; wants them for points (n, d).")
    rows, labels = np.asarray(rows), check_labels("groups", groups)
    if labels.shape != rows.shape[:1]:
        raise ValueError(
            f"groups: got shape {labels.shape}; wants a label for each of {len(rows)} points."
        )
    order = random_order(key, len(rows))
    _, first = np.unique(labels[order], return_index=True)
    if len(first) < FEWEST:
        raise ValueError(f"groups: got {len(first)} labels; wants at least {FEWEST}.")
    return rows[order[np.sort(first)]]


def labels_of(value: Any) -> list[str] | None:
    """The names of a data frame's columns, where they are words; None for anything else."""
    labels = list(getattr(value, "columns", ()))
    return labels if labels and all(isinstance(label, str) for label in labels) else None


def warn_of_outliers(name: str, value: Any) -> None:
    """Name rows of points that lie grossly outside of all others: they are audited all the same."""
    if isinstance(value, AbstractMeasure):
        return
    points = check_points(name, value)
    rows = gross_outliers(points)
    if len(rows):
        text = describe_outliers(name, rows, points, optional=False)
        warn_user(text)


def warn_of_copies(name: str, points: np.ndarray) -> None:
    """Tell where more than a tenth of the rows (n, d) are exact copies of others."""
    distinct = len({row.tobytes() for row in points})
    copies = len(points) - distinct
    # Rows that are all equal are refused.
    if distinct > 1 and copies > MANY_COPIES * len(points):
        warn_user(
            f"{name}: {copies:,} of {len(points):,} rows are exact copies of others, and the "
            "levels take rows for independent. Where copies are one draw that was written down "
            "several times, give groups, a label a row; where the law has atoms, as counts have, "
            "they do no harm."
        )


def points_of(
    name: str,
    value: Any,
    key: Key,
    samples: int,
    *,
    dimension: int | None = None,
    min_points: int = 2,
) -> np.ndarray:
    """Float64 points of a measure or an array, as many as ``samples``, in random order."""
    if isinstance(value, Empirical) and value.weights is None:
        value = value.points
    drawn = value.sample(key, samples) if isinstance(value, AbstractMeasure) else value
    cloud = check_points(name, drawn, dimension=dimension, min_points=min_points)
    if drawn is value:
        cloud = cloud[random_order(key, len(cloud))[:samples]]
    return cloud.astype(np.float64)


def precision_of(values: Any) -> float:
    """The machine epsilon of what was given; that of single precision where all entries are such.

    A network's images stay what they are when they are written in double precision.
    """
    array = np.asarray(values)
    dtype = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
    if dtype == np.float64:
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        if (single == array).all() and not (array == np.round(array)).all():
            dtype = single.dtype
    return float(np.finfo(dtype).eps)


def check_spread(name: str, points: np.ndarray) -> None:
    """Raise a ``ValueError`` where all rows (n, d) are equal, or too close for their squares."""
    spread = float((points.max(axis=0) - points.min(axis=0)).max())
    if 0.0 < spread < _LEAST_SPREAD:
        raise ValueError(
            f"{name}: got rows within {spread:.2g} of each other, whose squares float64 cannot "
            "hold; wants another unit."
        )
    if spread == 0.0:
        raise ValueError(
            f"{name}: got {len(points):,} rows that are all equal; wants draws of a source that is "
            "more than one point."
        )
