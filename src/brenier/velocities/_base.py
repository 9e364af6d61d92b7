"""The interface of a velocity field."""

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._checks import as_points
from brenier._types import Batch, BatchLike, Point, Scalar
from brenier.maps import evaluation_floats
from brenier.numerics import on_all_cores


class Place(NamedTuple):
    """Coordinates u = (x − c)/w of particles at a time, which is τ in their own clock.

    ``centre`` c (d,) and ``width`` w, one number or one for each column.
    """

    centre: Point | Scalar
    width: Point | Scalar
    time: Scalar

    def enter(self, x: Point) -> Point:
        """u of x."""
        return (x - self.centre) / self.width

    def leave(self, u: Point) -> Point:
        """x of u."""
        return self.centre + self.width * u


class Frame(NamedTuple):
    """The velocity du/dτ of particles in coordinates of their own, and where these are at a time.

    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MixtureVelocity
    >>> frame = MixtureVelocity(Gaussian(jnp.array([1e9]), 4e18 * jnp.eye(1))).standard
    >>> frame.place(jnp.array(1.0)).enter(jnp.array([3e9])).tolist()
    [1.0]
    """

    velocity: "AbstractVelocity"
    place: Callable[[Scalar], Place]

    @classmethod
    def fixed(
        cls, centre: Point | Scalar, width: Point | Scalar, velocity: "AbstractVelocity"
    ) -> "Frame":
        """The same coordinates and the same clock at all times: du/dt = v(t, c + w u)/w."""
        return cls(velocity, lambda time: Place(centre, width, time))

    def at(self, time: Scalar, x: Point) -> Point:
        """dx/dt = ċ + ẇ u + w τ̇ du/dτ at one point: the velocity that the frame is of."""
        place, rate = jax.jvp(self.place, (time,), (jnp.ones_like(time),))
        u = place.enter(x)
        inner = self.velocity.at(place.time, u)
        return rate.centre + rate.width * u + place.width * rate.time * inner


class AbstractVelocity(eqx.Module):
    """A velocity field v(t, x) on R^d: particles follow dx/dt = v(t, x).

    A subclass gives ``at``, the velocity at one point, and batches over leading axes follow. Its
    flow map is ``FlowMap(velocity, start, stop)``. Where its particles have a place and a unit of
    their own it says so by ``standard`` too.

    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MatchingVelocity
    >>> v = MatchingVelocity(Gaussian.standard(1), Gaussian(jnp.ones(1), 4.0 * jnp.eye(1)))
    >>> v.dimension, v(0.0, jnp.array([[2.0], [0.0]])).tolist()  # E[X] − z at the start
    (1, [[-1.0], [1.0]])
    """

    @property
    @abc.abstractmethod
    def dimension(self) -> int:
        """d."""

    @abc.abstractmethod
    def at(self, time: Scalar, x: Point) -> Point:
        """v(t, x) at one point (d,)."""

    @property
    def standard(self) -> Frame:
        """Where particles are around 0 and of size 1; there they are integrated."""
        return Frame.fixed(jnp.zeros(()), jnp.ones(()), self)

    def __call__(self, time: ArrayLike, x: BatchLike) -> Batch:
        """v(t, x) over leading axes: (..., d) to (..., d), at one time."""
        points = as_points("x", x, self.dimension)
        velocity = eqx.Partial(self.at, jnp.asarray(time, points.dtype))
        return on_all_cores(velocity, points, floats=evaluation_floats(self.dimension))
