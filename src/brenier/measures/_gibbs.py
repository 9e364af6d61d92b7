"""Measures known by their potential: exp(−V)."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx

from brenier._checks import check_at_least
from brenier._types import Key, Point, Points, Scalar
from brenier.measures._base import AbstractMeasure


class Gibbs(AbstractMeasure):
    """The measure of density proportional to e^{−V}, V given as a function of one point.

    ``log_density`` is −V, UNNORMALISED: right for scores, for gradients of KL and for KL up to a
    constant; not for comparing two measures' densities.

    Args:
        potential: V, (d,) to (), differentiable by JAX.
        dimension: d.

    >>> import jax.numpy as jnp
    >>> nu = Gibbs(lambda x: jnp.sum(x**4), dimension=2)
    >>> nu.score(jnp.array([1.0, 2.0])).tolist()
    [-4.0, -32.0]
    """

    potential: Callable[[Point], Scalar]
    _dimension: int = eqx.field(static=True)
    has_density: ClassVar[bool] = True

    def __init__(self, potential: Callable[[Point], Scalar], dimension: int):
        if not callable(potential):
            raise ValueError(f"potential: got {potential!r}; wants a function of one point.")
        self.potential = potential
        self._dimension = check_at_least("dimension", dimension, 1)

    @property
    def dimension(self) -> int:
        return self._dimension

    def sample(self, key: Key, n: int) -> Points:
        raise NotImplementedError

    def point_log_density(self, x: Point) -> Scalar:
        return -self.potential(x)
