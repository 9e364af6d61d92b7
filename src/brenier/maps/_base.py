"""The interface of a transport map."""

import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import as_points
from brenier._types import Array, Batch, BatchLike, BatchScalar, Float, Matrix, Point, Scalar
from brenier.numerics import on_all_cores, spd_log_det

# About how many numbers per dimension one point takes, in maps and velocities without networks.
_FLOATS_PER_DIMENSION = 16


class AbstractMap(eqx.Module):
    """A map T: R^d → R^d. ``T(x)`` takes (d,), (n, d) or any leading axes, NumPy or JAX.

    A subclass gives ``apply`` at one point and ``inverse``; the Jacobian and log|det| follow by
    automatic differentiation. Evaluation is compiled once per shape, and takes many points block
    by block, so that memory stays bounded.

    ``symmetric`` says that DT is symmetric positive semidefinite by construction (the gradient of
    a convex function): determinants are then cheaper. ``floats_per_dimension`` says about how many
    numbers per dimension one point takes in working memory while T is evaluated, ``passes`` about
    how often it passes over them.

    >>> from brenier.maps import AffineMap
    >>> T = AffineMap(2.0 * jnp.eye(1), jnp.ones(1))
    >>> T(jnp.array([[3.0], [4.0]])).tolist(), T.inverse()(jnp.array([7.0])).tolist()
    ([[7.0], [9.0]], [3.0])
    """

    symmetric: ClassVar[bool] = False
    floats_per_dimension: ClassVar[int] = _FLOATS_PER_DIMENSION
    passes: ClassVar[int] = 1

    @property
    @abc.abstractmethod
    def dimension(self) -> int:
        """d."""

    @abc.abstractmethod
    def apply(self, x: Point) -> Point:
        """T(x) at one point (d,)."""

    @abc.abstractmethod
    def inverse(self) -> "AbstractMap":
        """T⁻¹ as a map, or a ``ValueError`` that says why there is none."""

    def point_jacobian(self, x: Point) -> Matrix:
        """DT(x) at one point, entry (i, j) = ∂T_i/∂x_j."""
        return jax.jacfwd(self.apply)(x)

    def point_log_det(self, x: Point) -> Scalar:
        """log|det DT(x)| at one point."""
        jacobian = self.point_jacobian(x)
        return spd_log_det(jacobian) if self.symmetric else jnp.linalg.slogdet(jacobian)[1]

    def __call__(self, x: BatchLike) -> Batch:
        """T over leading axes: (..., d) to (..., d)."""
        floats = evaluation_floats(self.dimension, self.floats_per_dimension)
        points = as_points("x", x, self.dimension)
        return on_all_cores(self.apply, points, floats=floats, passes=self.passes)

    def jacobian(self, x: BatchLike) -> Float[Array, "*batch d d"]:
        """DT over leading axes: (..., d) to (..., d, d), entry (i, j) = ∂T_i/∂x_j."""
        return over_jacobians(self, self.point_jacobian, x)

    def log_det(self, x: BatchLike) -> BatchScalar:
        """log|det DT| over leading axes: (..., d) to (...)."""
        return over_jacobians(self, self.point_log_det, x)


def over_jacobians(map: AbstractMap, function: Callable[[Point], Array], x: BatchLike) -> Array:
    """A function of a point that takes the Jacobian of the map there, over leading axes."""
    floats = map.dimension * evaluation_floats(map.dimension, map.floats_per_dimension)
    return on_all_cores(function, as_points("x", x, map.dimension), floats=floats)


def evaluation_floats(dimension: int, per_dimension: int = _FLOATS_PER_DIMENSION) -> int:
    """About how many numbers one point needs while a map is evaluated; d times that for DT.

    >>> evaluation_floats(2)
    1056
    """
    return 1024 + per_dimension * dimension
