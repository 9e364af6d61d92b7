"""Checks of what users say of each row: its weight, its label."""

from typing import Any

import numpy as np

from brenier._checks import as_float_array

# Rows of an audit at least.
FEWEST = 20
# Of the largest weight: what is less changes no digit, and its logarithm may be none.
_LEAST_WEIGHT = 1e-30


def check_row_weights(name: str, value: Any, n: int) -> np.ndarray:
    """Weights of n rows as float64, (n,), 0 where they are beyond the digits of the largest.

    Raises:
        ValueError: another shape, entries that are negative or no finite numbers, or none above 0.
    """
    weights = as_float_array(name, value).astype(np.float64)
    if weights.shape != (n,):
        raise ValueError(
            f"{name}: got shape {weights.shape}; wants one weight for each of {n} rows."
        )
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise ValueError(
            f"{name}: got {len(bad)} negative, NaN or infinite weights, the first "
            f"{weights[bad[0]]} in row {bad[0]}; wants finite numbers, 0 or more."
        )
    largest = weights.max(initial=0.0)
    if not largest > 0:
        raise ValueError(f"{name}: got weights that are all zero; wants some above 0.")
    return np.where(weights < _LEAST_WEIGHT * largest, 0.0, weights)


def check_labels(name: str, value: Any, n: int | None = None) -> np.ndarray:
    """Labels of one kind, ``n`` where that is known, none of them missing."""
    found = np.asarray(value, dtype=object)
    if n is not None and found.shape != (n,):
        raise ValueError(f"{name}: got shape {found.shape}; wants a label for each of {n:,} rows.")
    absent = [_is_absent(label) for label in found.ravel()]
    if any(absent):
        raise ValueError(
            f"{name}: got no label (None, NaN or an empty string) for {sum(absent):,} of "
            f"{len(absent):,} rows; wants one each."
        )
    endless = sum(_is_infinite(label) for label in found.ravel())
    if endless:
        raise ValueError(
            f"{name}: got an infinite label for {endless:,} of {len(absent):,} rows; wants text or "
            "finite numbers."
        )
    if len({isinstance(label, str) for label in found.ravel()}) > 1:
        raise ValueError(f"{name}: got numbers and strings; wants labels of one kind.")
    return np.array(found.tolist())


def _is_absent(label: Any) -> bool:
    """Whether it is missing, or an empty string."""
    return is_missing(label) or bool(label == "")


def _is_infinite(label: Any) -> bool:
    return isinstance(label, float | np.floating) and bool(np.isinf(label))


def is_missing(value: Any) -> bool:
    """Whether it is None, NaN, or pandas' NA, which compares with nothing.

    >>> [is_missing(value) for value in (None, float("nan"), "", 0)]
    [True, True, False, False]
    """
    return value is None or type(value).__name__ == "NAType" or bool(value != value)
