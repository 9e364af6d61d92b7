"""The interface of a probability measure."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax

from brenier._checks import as_points
from brenier._types import Array, Batch, BatchLike, BatchScalar, Key, Point, Points, Scalar
from brenier.numerics import on_all_cores


class AbstractMeasure(eqx.Module):
    """A probability measure on R^d: it samples; where known, it has a log-density and a score.

    A subclass gives ``sample`` and ``point_log_density`` at one point; evaluation over leading axes
    and the score ∇log ρ follow. A measure without density raises a ``ValueError`` that says so.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> rho = Gaussian.standard(2)
    >>> rho.sample(jax.random.key(0), 5).shape, rho.score(jnp.ones(2)).tolist()
    ((5, 2), [-1.0, -1.0])
    """

    @property
    @abc.abstractmethod
    def dimension(self) -> int:
        """d."""

    @property
    @abc.abstractmethod
    def has_density(self) -> bool:
        """Whether ``log_density`` and ``score`` are known."""

    @abc.abstractmethod
    def sample(self, key: Key, n: int) -> Points:
        """n independent points (n, d).

        Raises:
            ValueError: a key that is none.
        """

    @abc.abstractmethod
    def point_log_density(self, x: Point) -> Scalar:
        """log ρ(x) at one point (up to a constant where the class says so)."""

    def log_density(self, x: BatchLike) -> BatchScalar:
        """log ρ over leading axes: (..., d) to (...)."""
        return self._over_points(self.point_log_density, x)

    def score(self, x: BatchLike) -> Batch:
        """∇log ρ over leading axes: (..., d) to (..., d)."""
        return self._over_points(self._point_score, x)

    def _over_points(self, function: Callable[[Point], Array], x: BatchLike) -> Array:
        points = as_points("x", x, self.dimension)
        return on_all_cores(function, points, floats=1024 + 16 * self.dimension)

    def _point_score(self, x: Point) -> Point:
        return jax.grad(self.point_log_density)(x)


def require_density(name: str, measure: AbstractMeasure) -> None:
    """Raise a ``ValueError`` naming the argument where the measure has no density.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Empirical
    >>> require_density("target", Empirical(jnp.zeros((3, 2))))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: target: got Empirical, which has no density; wants a measure with a log-density ...
    """
    if not measure.has_density:
        raise ValueError(
            f"{name}: got {type(measure).__name__}, which has no density; wants a measure with a "
            "log-density (Gaussian, GaussianMixture, Gibbs), or a functional that needs samples "
            "only (MMD, SinkhornDivergence)."
        )
