"""Determinants and solves of one small matrix, written so that ``vmap`` makes them fast.

LAPACK is called once per matrix under ``vmap`` on a CPU; written out entry by entry, the same
algebra becomes arithmetic on whole arrays of particles (20 times faster for d = 2).
"""

import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

from brenier._types import Array, Matrix, Point, Scalar

_UNROLLED = 4


def log_abs_det(matrix: Matrix) -> Scalar:
    """log|det M| of any square matrix."""
    if matrix.shape[0] == 1:
        return jnp.log(jnp.abs(matrix[0, 0]))
    if matrix.shape[0] == 2:
        return jnp.log(jnp.abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))
    return jnp.linalg.slogdet(matrix)[1]


def spd_log_det(matrix: Matrix) -> Scalar:
    """log det M of a symmetric positive definite matrix; NaN where it is not positive definite."""
    if matrix.shape[0] > _UNROLLED:
        return 2.0 * jnp.sum(jnp.log(jnp.diagonal(jnp.linalg.cholesky(matrix))))
    return sum((jnp.log(pivot) for pivot in _ldl(matrix)[1]), start=jnp.zeros((), matrix.dtype))


def spd_solve(matrix: Matrix, right: Point) -> Point:
    """M⁻¹ b of a symmetric positive definite matrix."""
    d = matrix.shape[0]
    if d > _UNROLLED:
        return cho_solve((jnp.linalg.cholesky(matrix), True), right)
    lower, pivots = _ldl(matrix)
    x = list(right)
    for i in range(d):
        for j in range(i):
            x[i] = x[i] - lower[i][j] * x[j]
    x = [entry / pivot for entry, pivot in zip(x, pivots, strict=True)]
    for i in reversed(range(d)):
        for j in range(i + 1, d):
            x[i] = x[i] - lower[j][i] * x[j]
    return jnp.stack(x)


def _ldl(matrix: Matrix) -> tuple[list[list[Array]], list[Array]]:
    """M = L D Lᵀ, entry by entry: the rows of L below the diagonal, and the pivots D."""
    lower: list[list[Array]] = []
    pivots: list[Array] = []
    for i in range(matrix.shape[0]):
        row: list[Array] = []
        for j in range(i):
            partial = matrix[i, j]
            for k in range(j):
                partial = partial - row[k] * pivots[k] * lower[j][k]
            row.append(partial / pivots[j])
        pivot = matrix[i, i]
        for k in range(i):
            pivot = pivot - row[k] ** 2 * pivots[k]
        lower.append(row)
        pivots.append(pivot)
    return lower, pivots
