"""Roots and geometry of symmetric positive (semi)definite matrices."""

import jax
import jax.numpy as jnp

from brenier._types import Matrix, Scalar


@jax.jit
def sqrtm_spd(matrix: Matrix) -> Matrix:
    """S^{1/2}, the symmetric positive semidefinite root; negative rounding in S counts as 0.

    >>> import jax.numpy as jnp
    >>> sqrtm_spd(jnp.diag(jnp.array([4.0, 0.0]))).tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """
    values, vectors = jnp.linalg.eigh(matrix)
    return (vectors * jnp.sqrt(jnp.maximum(values, 0.0))) @ vectors.T


@jax.jit
def inverse_sqrtm_spd(matrix: Matrix) -> Matrix:
    """S^{-1/2} on the range of S and 0 on its kernel: the root of the pseudo-inverse.

    The kernel is where an eigenvalue is below d units of rounding of the largest.

    >>> import jax.numpy as jnp
    >>> inverse_sqrtm_spd(jnp.diag(jnp.array([4.0, 0.0]))).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    values, vectors = jnp.linalg.eigh(matrix)
    present = values > values.shape[0] * jnp.finfo(values.dtype).eps * values[-1]
    roots = jnp.where(present, 1.0 / jnp.sqrt(jnp.where(present, values, 1.0)), 0.0)
    return (vectors * roots) @ vectors.T


@jax.jit
def bures_squared(source: Matrix, target: Matrix) -> Scalar:
    """tr S + tr C − 2 tr (S^{1/2} C S^{1/2})^{1/2} ≥ 0: W₂² between centred Gaussians.

    Computed as ‖S^{1/2} − C^{1/2}Q‖_F² with Q the polar factor of C^{1/2}S^{1/2}: a sum of squares,
    so that close or singular covariances cost no digits. Theory (5.10); Bhatia, Jain & Lim (2019).

    >>> import jax.numpy as jnp
    >>> float(bures_squared(jnp.diag(jnp.array([4.0, 0.0])), jnp.diag(jnp.array([1.0, 9.0]))))
    10.0
    """
    source_root, target_root = sqrtm_spd(source), sqrtm_spd(target)
    left, _, right = jnp.linalg.svd(target_root @ source_root)
    return jnp.sum(jnp.square(source_root - target_root @ (left @ right)))


@jax.jit
def gaussian_map_matrix(source: Matrix, target: Matrix) -> Matrix:
    """The symmetric A ⪰ 0 with A S A = C: x ↦ Ax is the Monge map from N(0, S) to N(0, C).

    A = S^{-1/2} (S^{1/2} C S^{1/2})^{1/2} S^{-1/2}, the inner root from the singular values of
    C^{1/2}S^{1/2}. Where S is singular no map need exist: A is then 0 on the kernel of S, and
    A S A is C compressed to the range of S.

    >>> import jax.numpy as jnp
    >>> source, target = jnp.diag(jnp.array([4.0, 1.0])), jnp.diag(jnp.array([1.0, 9.0]))
    >>> gaussian_map_matrix(source, target).tolist()
    [[0.5, 0.0], [0.0, 3.0]]
    """
    _, singular, right = jnp.linalg.svd(sqrtm_spd(target) @ sqrtm_spd(source))
    half = right @ inverse_sqrtm_spd(source)
    return (half.T * singular) @ half
