"""The interface of a probability measure."""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Batch, BatchLike, BatchScalar, Key, Point, Points, Scalar


class AbstractMeasure(eqx.Module):
    """A probability measure on R^d: it samples; where ``has_density``, it has log-density and score.

    A subclass gives ``sample`` and ``point_log_density`` at one point; evaluation over leading axes
    and the score ∇log ρ follow. A measure without density raises a ``ValueError`` that says so.
    """

    dimension: eqx.AbstractVar[int]
    has_density: ClassVar[bool]

    @abc.abstractmethod
    def sample(self, key: Key, n: int) -> Points:
        """n independent points (n, d)."""

    @abc.abstractmethod
    def point_log_density(self, x: Point) -> Scalar:
        """log ρ(x) at one point (up to a constant where the class says so)."""

    def log_density(self, x: BatchLike) -> BatchScalar:
        """log ρ over leading axes: (..., d) to (...)."""
        return jnp.vectorize(self.point_log_density, signature="(d)->()")(x)

    def score(self, x: BatchLike) -> Batch:
        """∇log ρ over leading axes: (..., d) to (..., d)."""
        return jnp.vectorize(jax.grad(self.point_log_density), signature="(d)->(d)")(x)


def require_density(name: str, measure: AbstractMeasure) -> None:
    """Raise a ``ValueError`` naming the argument where the measure has no density."""
    if not measure.has_density:
        raise ValueError(
            f"{name}: got {type(measure).__name__}, which has no density; wants a measure with a "
            "log-density (Gaussian, GaussianMixture, Gibbs), or a functional that needs samples "
            "only (MMD, SinkhornDivergence)."
        )
