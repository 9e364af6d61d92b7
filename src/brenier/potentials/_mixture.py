"""Sums of convex potentials with positive weights."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._types import Array, Float, Point, Scalar
from brenier.potentials._base import AbstractPotential


class Mixture(AbstractPotential):
    """φ = Σ_i w_i φ_i with w_i > 0: convex again, and its gradient the mixture of the maps ∇φ_i.

    Args:
        potentials: φ_i, of one dimension.
        weights: w, (k,); they need not add up to 1.

    >>> import jax.numpy as jnp
    >>> from brenier.potentials import Quadratic
    >>> double = Quadratic.from_matrix(2.0 * jnp.eye(1), jnp.zeros(1))
    >>> phi = Mixture([Quadratic.identity(1), double], [0.5, 0.5])
    >>> float(phi.gradient(jnp.ones(1))[0].round(6))
    1.5
    """

    potentials: tuple[AbstractPotential, ...]
    weights: Float[Array, " k"]

    def __init__(
        self, potentials: Sequence[AbstractPotential], weights: ArrayLike | Sequence[float]
    ):
        self.potentials = tuple(potentials)
        self.weights = jnp.asarray(weights)
        if not self.potentials or self.weights.shape != (len(self.potentials),):
            raise ValueError(
                f"weights: got shape {self.weights.shape}; wants one for each of "
                f"{len(self.potentials)} potentials, of which there is one at least."
            )

    @property
    def dimension(self) -> int:
        return self.potentials[0].dimension

    def value(self, x: Point) -> Scalar:
        return jnp.sum(self.weights * jnp.stack([phi.value(x) for phi in self.potentials]))

    def strong_convexity(self) -> Scalar:
        moduli = jnp.stack([phi.strong_convexity() for phi in self.potentials])
        return jnp.sum(self.weights * moduli)
