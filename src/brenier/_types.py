"""Names for the array shapes that stand in every signature."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Scalar: TypeAlias = Float[Array, ""]
Point: TypeAlias = Float[Array, " d"]
Points: TypeAlias = Float[Array, "n d"]
Weights: TypeAlias = Float[Array, " n"]
Matrix: TypeAlias = Float[Array, "d d"]
Batch: TypeAlias = Float[Array, "*batch d"]
BatchLike: TypeAlias = Float[Array, "*batch d"] | Float[np.ndarray, "*batch d"]
BatchScalar: TypeAlias = Float[Array, "*batch"]
Key: TypeAlias = PRNGKeyArray
# How many rows each row stands for, (n,), above 0; None for one each, which costs and rounds
# nothing. Only their ratios and, where rows are counted, their sum say anything.
RowWeights: TypeAlias = np.ndarray | None

__all__ = [
    "Array",
    "Batch",
    "BatchLike",
    "BatchScalar",
    "Bool",
    "Float",
    "Int",
    "Key",
    "Matrix",
    "Point",
    "Points",
    "RowWeights",
    "Scalar",
    "Weights",
]
