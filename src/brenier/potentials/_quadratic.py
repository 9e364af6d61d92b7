"""Quadratic potentials: their gradients are the affine Monge maps."""

import equinox as eqx
import jax.numpy as jnp

from brenier._types import Array, Float, Matrix, Point, Scalar
from brenier.potentials._base import AbstractPotential


class Quadratic(AbstractPotential):
    """φ(x) = ½ xᵀ(L Lᵀ + m I)x + ⟨b, x⟩, with gradient the affine map (L Lᵀ + m I)x + b.

    Not for maps that are not affine.

    Args:
        factor: L, any matrix (d, d).
        shift: b, (d,).
        floor: m ≥ 0, a fixed modulus of strong convexity.

    >>> import jax.numpy as jnp
    >>> phi = Quadratic.from_matrix(jnp.diag(jnp.array([2.0, 0.5])), jnp.array([1.0, 0.0]))
    >>> phi.gradient(jnp.array([1.0, 2.0])).round(6).tolist()
    [3.0, 1.0]
    """

    factor: Matrix
    shift: Point
    floor: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if not self.floor >= 0:
            raise ValueError(f"floor: got {self.floor}; wants a number >= 0.")

    @classmethod
    def identity(cls, dimension: int, *, floor: float = 0.0) -> "Quadratic":
        """½‖x‖², the potential of the identity map; ``floor`` below 1."""
        return cls.from_matrix(jnp.eye(dimension), jnp.zeros(dimension), floor=floor)

    @classmethod
    def from_matrix(
        cls, matrix: Float[Array, "d d"], shift: Float[Array, " d"], *, floor: float = 0.0
    ) -> "Quadratic":
        """The potential whose gradient is x ↦ matrix·x + shift, matrix SPD above ``floor``."""
        factor = jnp.linalg.cholesky(matrix - floor * jnp.eye(matrix.shape[0], dtype=matrix.dtype))
        return cls(factor, shift, floor)

    @property
    def dimension(self) -> int:
        return self.shift.shape[-1]

    @property
    def matrix(self) -> Matrix:
        """The Hessian L Lᵀ + m I."""
        return self.factor @ self.factor.T + self.floor * jnp.eye(
            self.dimension, dtype=self.factor.dtype
        )

    def value(self, x: Point) -> Scalar:
        half = self.factor.T @ x
        return 0.5 * (half @ half) + 0.5 * self.floor * (x @ x) + self.shift @ x

    def strong_convexity(self) -> Scalar:
        return jnp.maximum(jnp.linalg.eigvalsh(self.matrix)[0], self.floor)
