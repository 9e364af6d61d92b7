"""Affine maps."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._checks import as_array
from brenier._types import Matrix, Point
from brenier.maps._base import AbstractMap


class AffineMap(AbstractMap):
    """T(x) = A x + b, any square matrix A; a Monge map exactly when A is symmetric PSD.

    Args:
        matrix: A, (d, d).
        offset: b, (d,).

    Raises:
        ValueError: entries that are not finite, or shapes that do not match.

    >>> import jax.numpy as jnp
    >>> T = AffineMap(jnp.array([[0.0, -1.0], [1.0, 0.0]]), jnp.zeros(2))
    >>> T(jnp.array([1.0, 2.0])).tolist()
    [-2.0, 1.0]
    """

    matrix: Matrix
    offset: Point

    def __init__(self, matrix: ArrayLike, offset: ArrayLike):
        self.matrix, self.offset = as_array("matrix", matrix, 2), as_array("offset", offset, 1)
        (d,) = self.offset.shape
        if self.matrix.shape != (d, d):
            raise ValueError(
                f"matrix: got shape {self.matrix.shape}; wants ({d}, {d}), as the offset."
            )

    @classmethod
    def identity(cls, dimension: int) -> "AffineMap":
        """T(x) = x."""
        return cls(jnp.eye(dimension), jnp.zeros(dimension))

    @property
    def dimension(self) -> int:
        return self.offset.shape[-1]

    def apply(self, x: Point) -> Point:
        return x @ self.matrix.T + self.offset

    def inverse(self) -> "AffineMap":
        """x ↦ A⁻¹(x − b); a ``ValueError`` where A is singular to working precision."""
        inverse = jnp.linalg.inv(self.matrix)
        if not isinstance(inverse, jax.core.Tracer):
            limit = 1.0 / jnp.finfo(inverse.dtype).eps
            condition = jnp.linalg.norm(self.matrix) * jnp.linalg.norm(inverse)
            if not bool(condition < limit):
                raise ValueError("matrix: got a singular matrix; wants an invertible one.")
        return AffineMap(inverse, -inverse @ self.offset)
