"""The interface of a transport map."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Batch, BatchLike, BatchScalar, Float, Point


class AbstractMap(eqx.Module):
    """A map T: R^d → R^d. ``T(x)`` takes (d,), (n, d) or any leading axes.

    A subclass gives ``apply`` at one point and ``inverse``; the Jacobian and log|det| follow by
    automatic differentiation.
    """

    dimension: eqx.AbstractVar[int]

    @abc.abstractmethod
    def apply(self, x: Point) -> Point:
        """T(x) at one point (d,)."""

    @abc.abstractmethod
    def inverse(self) -> "AbstractMap":
        """T⁻¹ as a map, or a ``ValueError`` that says why there is none."""

    def __call__(self, x: BatchLike) -> Batch:
        """T over leading axes: (..., d) to (..., d)."""
        return jnp.vectorize(self.apply, signature="(d)->(d)")(x)

    def jacobian(self, x: BatchLike) -> Float[Array, "*batch d d"]:
        """DT over leading axes: (..., d) to (..., d, d), entry (i, j) = ∂T_i/∂x_j."""
        return jnp.vectorize(jax.jacfwd(self.apply), signature="(d)->(d,d)")(x)

    def log_det(self, x: BatchLike) -> BatchScalar:
        """log|det DT| over leading axes: (..., d) to (...)."""
        return jnp.linalg.slogdet(self.jacobian(x))[1]
