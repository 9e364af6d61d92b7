"""The interface of a probability flow of a diffusion, in the clock of its signal level."""

import abc

import jax.numpy as jnp

from brenier._types import Point, Scalar
from brenier.velocities._base import AbstractVelocity


class AbstractDiffusionVelocity(AbstractVelocity):
    """dx/da of the probability flow of X_t = a X_0 + √(1−a²) Z, in the clock a = e^{-t}.

    dx/da = (x + ∇log μ_t(x))/a = (m − a x)/(1 − a²) with m = E[X_0 | X_t = x], from a = 1 (the
    measure μ_0) to a = 0 (N(0, I), where t is infinite): t → ∞ is one finite integration, without
    truncation (MATH_3 (3.3); KRCO22 (6), (9)). Every VP schedule is this flow in another clock
    (3.2). A subclass evaluates it in a form without cancellation and without division by 0 at
    a = 0, and also at a = 1 where μ_0 is smooth.
    """

    @property
    @abc.abstractmethod
    def smooth(self) -> bool:
        """Whether the velocity is bounded up to a = 1 (not so where μ_0 has atoms)."""


def posterior_mean(velocity: AbstractDiffusionVelocity, signal: Scalar, x: Point) -> Point:
    """E[X_0 | X_t = x] = a x + (1 − a²) dx/da at one point (Tweedie)."""
    return signal * x + (1.0 - signal**2) * velocity.at(signal, x)


def noise(velocity: AbstractDiffusionVelocity, signal: Scalar, x: Point) -> Point:
    """E[Z | X_t = x] = √(1−a²) (x − a dx/da) at one point: what a DDPM's network predicts."""
    return jnp.sqrt(1.0 - signal**2) * (x - signal * velocity.at(signal, x))


def score(velocity: AbstractDiffusionVelocity, signal: Scalar, x: Point) -> Point:
    """∇log μ_t(x) = a dx/da − x at one point."""
    return signal * velocity.at(signal, x) - x
