"""The interface of a probability measure."""

import abc

import equinox as eqx
import jax

from brenier._types import Batch, BatchLike, BatchScalar, Key, Point, Points, Scalar
from brenier.numerics._points import as_points, over_points


class AbstractMeasure(eqx.Module):
    """A probability measure on R^d: it samples; where known, it has a log-density and a score.

    A subclass gives ``sample`` and ``point_log_density`` at one point; evaluation over leading axes
    and the score ∇log ρ follow. A measure without density raises a ``ValueError`` that says so.
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
        """n independent points (n, d)."""

    @abc.abstractmethod
    def point_log_density(self, x: Point) -> Scalar:
        """log ρ(x) at one point (up to a constant where the class says so)."""

    def log_density(self, x: BatchLike) -> BatchScalar:
        """log ρ over leading axes: (..., d) to (...)."""
        return _log_density(self, as_points("x", x, self.dimension))

    def score(self, x: BatchLike) -> Batch:
        """∇log ρ over leading axes: (..., d) to (..., d)."""
        return _score(self, as_points("x", x, self.dimension))


@eqx.filter_jit
def _log_density(measure: AbstractMeasure, x: Batch) -> BatchScalar:
    return over_points(measure.point_log_density, x, floats=1024 + 16 * measure.dimension)


@eqx.filter_jit
def _score(measure: AbstractMeasure, x: Batch) -> Batch:
    score = jax.grad(measure.point_log_density)
    return over_points(score, x, floats=1024 + 16 * measure.dimension)


def require_density(name: str, measure: AbstractMeasure) -> None:
    """Raise a ``ValueError`` naming the argument where the measure has no density."""
    if not measure.has_density:
        raise ValueError(
            f"{name}: got {type(measure).__name__}, which has no density; wants a measure with a "
            "log-density (Gaussian, GaussianMixture, Gibbs), or a functional that needs samples "
            "only (MMD, SinkhornDivergence)."
        )
