"""The interface of a convex potential."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import (
    Array,
    Batch,
    BatchLike,
    BatchScalar,
    Float,
    Matrix,
    Point,
    Points,
    Scalar,
)
from brenier.numerics._conjugate import Conjugate, conjugate


class Expansion(NamedTuple):
    """φ(x), ∇φ(x) and D²φ(x) at one point."""

    value: Scalar
    gradient: Point
    hessian: Matrix


class AbstractPotential(eqx.Module):
    """A convex function φ: R^d → R, convex by construction for every value of its parameters.

    A subclass gives ``value`` at one point; evaluation over leading axes, the gradient (the Monge
    map that φ stands for, Brenier's theorem) and the Hessian follow by automatic differentiation,
    or by the subclass's ``expansion`` where that has a shorter way to the Hessian.
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

    def expansion(self, x: Point) -> Expansion:
        """φ(x), ∇φ(x) and D²φ(x) at one point (d,)."""
        return Expansion(*jax.value_and_grad(self.value)(x), jax.hessian(self.value)(x))

    def point_hessian(self, x: Point) -> Matrix:
        """D²φ(x) at one point (d,)."""
        return self.expansion(x).hessian

    def conjugate(
        self, y: Points, init: Points | None = None, *, tolerance: float = 1e-10,
        max_iterations: int = 1000,
    ) -> Conjugate:
        """φ*(y) and ∇φ*(y) at points (n, d), by ``numerics.conjugate``."""
        return conjugate(self.value, y, init, hessian=self.point_hessian, tolerance=tolerance,
                         max_iterations=max_iterations)  # fmt: skip

    def __call__(self, x: BatchLike) -> BatchScalar:
        """φ(x) over leading axes: (..., d) to (...)."""
        return jnp.vectorize(self.value, signature="(d)->()")(x)

    def gradient(self, x: BatchLike) -> Batch:
        """∇φ(x) over leading axes: (..., d) to (..., d)."""
        return jnp.vectorize(jax.grad(self.value), signature="(d)->(d)")(x)

    def hessian(self, x: BatchLike) -> Float[Array, "*batch d d"]:
        """D²φ(x) over leading axes: (..., d) to (..., d, d); symmetric positive semidefinite."""
        return jnp.vectorize(self.point_hessian, signature="(d)->(d,d)")(x)
