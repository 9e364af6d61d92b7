"""The image of a measure under a map."""

import jax
import jax.numpy as jnp

from brenier._types import Batch, BatchLike, BatchScalar, Key, Point, Points, Scalar
from brenier.maps._base import AbstractMap, over_jacobians
from brenier.measures import AbstractMeasure, require_density
from brenier.numerics import spd_solve

# Up to this dimension derivatives are taken forwards: two tangents cost less than one reverse sweep
# through second derivatives, eight cost more.
_FORWARD = 3


class Pushforward(AbstractMeasure):
    """T#ρ, the law of T(X) with X ∼ ρ.

    log T#ρ(T(x)) = log ρ(x) − log|det DT(x)| at a known x (``log_density_at``, ``score_at``,
    (1.9)); ``log_density`` at y goes through the inverse map.

    Raises:
        ValueError: dimensions that do not match; a density asked of a source without one, or at y
            of a map without inverse.

    >>> import jax.numpy as jnp
    >>> from brenier.maps import AffineMap
    >>> from brenier.measures import Gaussian
    >>> nu = Pushforward(Gaussian.standard(1), AffineMap(2.0 * jnp.eye(1), jnp.ones(1)))
    >>> bool(jnp.isclose(nu.log_density(jnp.ones(1)), -0.5 * jnp.log(8.0 * jnp.pi)))
    True
    """

    source: AbstractMeasure
    map: AbstractMap

    def __check_init__(self):
        if self.source.dimension != self.map.dimension:
            raise ValueError(
                f"map: got dimension {self.map.dimension}; wants dimension "
                f"{self.source.dimension}, that of the source."
            )

    @property
    def dimension(self) -> int:
        return self.map.dimension

    @property
    def has_density(self) -> bool:
        return self.source.has_density

    def sample(self, key: Key, n: int) -> Points:
        return self.map(self.source.sample(key, n))

    def point_log_density(self, x: Point) -> Scalar:
        require_density("source", self.source)
        return self._log_density_at(self.map.inverse().apply(x))

    def log_density_at(self, x: BatchLike) -> BatchScalar:
        """log T#ρ(T(x)) = log ρ(x) − log|det DT(x)| over leading axes, without inversion."""
        require_density("source", self.source)
        return over_jacobians(self.map, self._log_density_at, x)

    def score_at(self, x: BatchLike) -> Batch:
        """∇log T#ρ at T(x): (DT(x))⁻ᵀ ∇_x[log ρ(x) − log|det DT(x)|] over leading axes (1.9)."""
        require_density("source", self.source)
        return over_jacobians(self.map, self._score_at, x)

    def _log_density_at(self, x: Point) -> Scalar:
        return self.source.point_log_density(x) - self.map.point_log_det(x)

    def _score_at(self, x: Point) -> Point:
        derivative = jax.jacfwd if self.dimension <= _FORWARD else jax.grad
        gradient = derivative(self._log_density_at)(x)
        jacobian = self.map.point_jacobian(x)
        if self.map.symmetric:
            return spd_solve(jacobian, gradient)
        return jnp.linalg.solve(jacobian.T, gradient)
