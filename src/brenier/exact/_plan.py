"""A transport plan between atoms, by its entries."""

from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """Mass ``mass[k]`` goes from source point ``rows[k]`` to target point ``columns[k]``.

    >>> Plan(np.array([0, 1]), np.array([1, 0]), np.array([0.5, 0.5])).dense(2, 2).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """

    rows: np.ndarray
    columns: np.ndarray
    mass: np.ndarray

    def dense(self, n: int, m: int) -> np.ndarray:
        """The plan as a matrix (n, m)."""
        matrix = np.zeros((n, m))
        np.add.at(matrix, (self.rows, self.columns), self.mass)
        return matrix
