"""The interface of a convex potential."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import as_points
from brenier._types import Array, Batch, BatchLike, BatchScalar, Float, Point, Scalar


class AbstractPotential(eqx.Module):
    """A convex function φ: R^d → R, convex by construction for every value of its parameters.

    A subclass gives ``value`` at one point; evaluation over leading axes, the gradient (the Monge
    map that φ stands for, Brenier's theorem) and the Hessian follow by automatic differentiation;
    where there is a shorter way to the Hessian, ``expansion`` knows it.

    >>> from brenier.potentials import Quadratic
    >>> phi = Quadratic.identity(2)
    >>> x = jnp.array([3.0, 4.0])
    >>> float(phi(x)), phi.gradient(x).tolist(), float(phi.strong_convexity())
    (12.5, [3.0, 4.0], 1.0)
    """

    @property
    @abc.abstractmethod
    def dimension(self) -> int:
        """d."""

    @abc.abstractmethod
    def value(self, x: Point) -> Scalar:
        """φ(x) at one point (d,)."""

    @abc.abstractmethod
    def strong_convexity(self) -> Scalar:
        """A modulus m ≥ 0 such that φ − (m/2)‖x‖² is convex; sharp where it is cheap to be."""

    def __call__(self, x: BatchLike) -> BatchScalar:
        """φ(x) over leading axes: (..., d) to (...)."""
        return _values(self, as_points("x", x, self.dimension))

    def gradient(self, x: BatchLike) -> Batch:
        """∇φ(x) over leading axes: (..., d) to (..., d)."""
        return _gradients(self, as_points("x", x, self.dimension))

    def hessian(self, x: BatchLike) -> Float[Array, "*batch d d"]:
        """D²φ(x) over leading axes: (..., d) to (..., d, d); symmetric positive semidefinite."""
        return _hessians(self, as_points("x", x, self.dimension))


# One program each: op by op every shape on the way would be compiled for itself.


@eqx.filter_jit
def _values(potential: AbstractPotential, x: Batch) -> BatchScalar:
    return jnp.vectorize(potential.value, signature="(d)->()")(x)


@eqx.filter_jit
def _gradients(potential: AbstractPotential, x: Batch) -> Batch:
    return jnp.vectorize(jax.grad(potential.value), signature="(d)->(d)")(x)


@eqx.filter_jit
def _hessians(potential: AbstractPotential, x: Batch) -> Float[Array, "*batch d d"]:
    return jnp.vectorize(jax.hessian(potential.value), signature="(d)->(d,d)")(x)
