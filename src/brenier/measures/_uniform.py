"""The uniform measure on a box."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import as_array, check_key
from brenier._types import Key, Matrix, Point, Points, Scalar
from brenier.measures._base import AbstractMeasure


class Uniform(AbstractMeasure):
    """The uniform measure on the box [lower, upper] ⊂ R^d.

    Not as the target of a flow that follows scores: its score is 0 inside and does not see the
    walls.

    Args:
        lower: (d,), the lowest corner.
        upper: (d,), the highest corner, above ``lower`` in every coordinate.

    Raises:
        ValueError: shapes that do not match, or a box without volume.

    >>> import jax.numpy as jnp
    >>> rho = Uniform(jnp.zeros(2), jnp.array([2.0, 1.0]))
    >>> rho.log_density(jnp.array([[1.0, 0.5], [3.0, 0.5]])).round(6).tolist()
    [-0.693147, -inf]
    """

    lower: Point
    upper: Point
    has_density: ClassVar[bool] = True

    def __init__(self, lower: ArrayLike, upper: ArrayLike):
        self.lower, self.upper = as_array("lower", lower, 1), as_array("upper", upper, 1)
        if self.lower.shape != self.upper.shape or self.lower.size == 0:
            raise ValueError(
                f"upper: got shape {self.upper.shape} beside a lower of shape "
                f"{self.lower.shape}; wants two corners of one dimension."
            )
        traced = isinstance(self.upper - self.lower, jax.core.Tracer)
        if not traced and not (np.asarray(self.lower) < np.asarray(self.upper)).all():
            raise ValueError(
                "upper: got a corner that is not above lower in every coordinate; "
                "wants a box with a volume."
            )

    @classmethod
    def unit(cls, dimension: int) -> "Uniform":
        """The uniform measure on [0, 1]^d."""
        return cls(jnp.zeros(dimension), jnp.ones(dimension))

    @property
    def dimension(self) -> int:
        return self.lower.shape[-1]

    @property
    def mean(self) -> Point:
        """The centre of the box."""
        return 0.5 * (self.lower + self.upper)

    @property
    def covariance(self) -> Matrix:
        """diag((upper − lower)²/12)."""
        return jnp.diag(jnp.square(self.upper - self.lower) / 12.0)

    def sample(self, key: Key, n: int) -> Points:
        check_key("key", key)
        uniform = jax.random.uniform(key, (n, self.dimension), self.lower.dtype)
        return self.lower + (self.upper - self.lower) * uniform

    def point_log_density(self, x: Point) -> Scalar:
        inside = jnp.all((x >= self.lower) & (x <= self.upper))
        log_volume = jnp.sum(jnp.log(self.upper - self.lower))
        return jnp.where(inside, -log_volume, -jnp.inf)
