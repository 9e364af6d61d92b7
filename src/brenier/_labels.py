"""Checks of labels: one for each row, words or numbers, none missing."""

from typing import Any

import numpy as np


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
    if len({isinstance(label, str) for label in found.ravel()}) > 1:
        raise ValueError(f"{name}: got numbers and strings; wants labels of one kind.")
    return np.array(found.tolist())


def _is_absent(label: Any) -> bool:
    """Whether it is None, an empty string, NaN, or pandas' NA, which compares with nothing."""
    if label is None or type(label).__name__ == "NAType":
        return True
    return bool(label == "" or label != label)
