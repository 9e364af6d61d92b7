"""The interface of a velocity field."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._checks import as_points
from brenier._types import Batch, BatchLike, Point, Scalar
from brenier.maps import evaluation_floats
from brenier.numerics import on_all_cores


class Frame(NamedTuple):
    """Coordinates u = (x − c)/w of particles, and the velocity du/dt = v(t, c + w u)/w in them.

    ``centre`` c (d,) and ``width`` w, one number or one for each column.
    """

    centre: Point | Scalar
    width: Point | Scalar
    velocity: "AbstractVelocity"


class AbstractVelocity(eqx.Module):
    """A velocity field v(t, x) on R^d: particles follow dx/dt = v(t, x).

    A subclass gives ``at``, the velocity at one point, and batches over leading axes follow. Its
    flow map is ``FlowMap(velocity, start, stop)``. Where its particles have a place and a unit of
    their own it says so by ``standard`` too; a diffusion's have the unit of its noise, N(0, I).
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
        return Frame(jnp.zeros(()), jnp.ones(()), self)

    def __call__(self, time: ArrayLike, x: BatchLike) -> Batch:
        """v(t, x) over leading axes: (..., d) to (..., d), at one time."""
        points = as_points("x", x, self.dimension)
        velocity = eqx.Partial(self.at, jnp.asarray(time, points.dtype))
        return on_all_cores(velocity, points, floats=evaluation_floats(self.dimension))
