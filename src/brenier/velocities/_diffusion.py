"""The interface of a probability flow of a diffusion, in the clock of its signal level."""

import abc
from typing import NamedTuple

import jax.numpy as jnp

from brenier._types import Point, Scalar
from brenier.velocities._base import AbstractVelocity, Frame, Place


class AbstractDiffusionVelocity(AbstractVelocity):
    """dx/da of the probability flow of X_t = a X_0 + √(1−a²) Z, in the clock a = e^{-t}.

    dx/da = (x + ∇log μ_t(x))/a = (m − a x)/(1 − a²) with m = E[X_0 | X_t = x], from a = 1 (the
    measure μ_0) to a = 0 (N(0, I), where t is infinite): t → ∞ is one finite integration, without
    truncation (Theory (3.3); KRCO22 (6), (9)). Every VP schedule is this flow in another clock
    (3.2). A subclass evaluates it in a form without cancellation and without division by 0 at
    a = 0, and also at a = 1 where μ_0 is smooth.

    Of X_0 = c + w U the flow is that of U in coordinates and a clock of its own,
    (x − a c)/n = u at the signal a w/n, n² = a² w² + 1 − a²: shift and scale of the data leave the
    encoder and the decoder as they are. A subclass that knows its c and w says so by ``unit``.

    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MixtureVelocity
    >>> v = MixtureVelocity(Gaussian(jnp.ones(1), 4.0 * jnp.eye(1)))
    >>> isinstance(v, AbstractDiffusionVelocity), v.smooth, v(0.0, jnp.array([7.0])).tolist()
    (True, True, [1.0])
    """

    @property
    @abc.abstractmethod
    def smooth(self) -> bool:
        """Whether the velocity is bounded up to a = 1 (not so where μ_0 has atoms)."""

    @property
    def unit(self) -> "Unit":
        """Where the data lie, and how wide, with the velocity of (X_0 − c)/w."""
        return Unit(jnp.zeros(()), jnp.ones(()), self)

    @property
    def standard(self) -> Frame:
        unit = self.unit
        if unit.velocity is self:
            return Frame.fixed(unit.centre, unit.width, self)

        def place(signal: Scalar) -> Place:
            spread = jnp.sqrt((signal * unit.width) ** 2 + (1.0 - signal) * (1.0 + signal))
            return Place(signal * unit.centre, spread, signal * unit.width / spread)

        return Frame(unit.velocity, place)


class Unit(NamedTuple):
    """X_0 = c + w U: ``centre`` c, ``width`` w, and the velocity of the diffusion of U."""

    centre: Point | Scalar
    width: Scalar
    velocity: AbstractDiffusionVelocity


def posterior_mean(velocity: AbstractDiffusionVelocity, signal: Scalar, x: Point) -> Point:
    """E[X_0 | X_t = x] = a x + (1 − a²) dx/da at one point (Tweedie).

    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MixtureVelocity
    >>> v = MixtureVelocity(Gaussian(jnp.zeros(1), 4.0 * jnp.eye(1)))
    >>> posterior_mean(v, jnp.array(0.5), jnp.array([1.75])).round(9).tolist()
    [2.0]
    """
    return signal * x + (1.0 - signal**2) * velocity.at(signal, x)


def noise(velocity: AbstractDiffusionVelocity, signal: Scalar, x: Point) -> Point:
    """E[Z | X_t = x] = √(1−a²) (x − a dx/da) at one point: what a DDPM's network predicts.

    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MixtureVelocity
    >>> noise(MixtureVelocity(Gaussian.standard(1)), jnp.array(0.6), jnp.ones(1)).round(9).tolist()
    [0.8]
    """
    return jnp.sqrt(1.0 - signal**2) * (x - signal * velocity.at(signal, x))


def score(velocity: AbstractDiffusionVelocity, signal: Scalar, x: Point) -> Point:
    """∇log μ_t(x) = a dx/da − x at one point.

    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MixtureVelocity
    >>> score(MixtureVelocity(Gaussian.standard(1)), jnp.array(0.6), jnp.ones(1)).round(9).tolist()
    [-1.0]
    """
    return signal * velocity.at(signal, x) - x
