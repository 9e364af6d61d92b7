"""The standard normal law, in any dimension without a matrix."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_at_least, check_key
from brenier._types import Key, Point, Points, Scalar
from brenier.measures._base import AbstractMeasure


class StandardNormal(AbstractMeasure):
    """N(0, I) on R^d: what diffusions end in; for images, where a covariance would not fit.

    Samples and densities are those of ``Gaussian.standard(d)``. Not where a covariance is needed:
    it has none.

    Args:
        dimension: d.

    Raises:
        ValueError: a dimension below 1.

    >>> import jax.numpy as jnp
    >>> StandardNormal(12288).score(jnp.ones(12288))[:2].tolist()
    [-1.0, -1.0]
    """

    size: int = eqx.field(static=True)
    has_density: ClassVar[bool] = True

    def __init__(self, dimension: int):
        self.size = dimension

    def __check_init__(self):
        check_at_least("dimension", self.size, 1)

    @property
    def dimension(self) -> int:
        return self.size

    def sample(self, key: Key, n: int) -> Points:
        check_key("key", key)
        return jax.random.normal(key, (n, self.size), float)

    def point_log_density(self, x: Point) -> Scalar:
        return -0.5 * (jnp.sum(x**2) + self.size * jnp.log(2.0 * jnp.pi))
