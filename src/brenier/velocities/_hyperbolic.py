"""A clock in which the diffusion of atoms has no singularity."""

import jax.numpy as jnp

from brenier._types import Point, Scalar
from brenier.velocities._base import AbstractVelocity, Frame, Place
from brenier.velocities._diffusion import AbstractDiffusionVelocity


class HyperbolicClock(AbstractVelocity):
    """dx/ds = m − tanh(s) x, a diffusion's velocity in the clock s with signal a = tanh s.

    The singularity that atoms have at a = 1 moves to s = ∞, where particles approach the atoms as
    e^{-s} (Theory, D3).

    Args:
        velocity: dx/da.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Empirical
    >>> from brenier.velocities import AtomsVelocity
    >>> v = HyperbolicClock(AtomsVelocity(Empirical(jnp.array([[2.0]]))))
    >>> v(0.0, jnp.array([7.0])).tolist()
    [2.0]
    """

    velocity: AbstractDiffusionVelocity

    @property
    def dimension(self) -> int:
        return self.velocity.dimension

    @property
    def standard(self) -> Frame:
        unit = self.velocity.unit
        if unit.velocity is self.velocity:
            return Frame.fixed(unit.centre, unit.width, self)

        def place(time: Scalar) -> Place:
            # The signal over the noise, sinh s, is w times as large.
            own = jnp.arcsinh(unit.width * jnp.sinh(time))
            return Place(jnp.tanh(time) * unit.centre, jnp.cosh(own) / jnp.cosh(time), own)

        return Frame(HyperbolicClock(unit.velocity), place)

    def at(self, time: Scalar, x: Point) -> Point:
        return self.velocity.at(jnp.tanh(time), x) / jnp.cosh(time) ** 2
