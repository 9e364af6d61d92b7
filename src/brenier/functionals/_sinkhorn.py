"""The Sinkhorn divergence."""

import equinox as eqx
import jax.numpy as jnp

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Float, Key, Points, Scalar, Weights
from brenier.functionals._base import AbstractFunctional, Moving
from brenier.functionals._kernels import uniform_weights
from brenier.functionals._target import draw_target
from brenier.measures import AbstractMeasure
from brenier.numerics import (
    SelfTransport,
    barycentric_projection,
    default_epsilon,
    self_transport,
    sinkhorn,
)


class SinkhornDivergence(AbstractFunctional):
    """F(μ) = S_ε(μ, ν) = OT_ε(μ, ν) − ½ OT_ε(μ, μ) − ½ OT_ε(ν, ν), cost ½‖x − y‖² (Theory (1.11)).

    ∇_W F(μ)(y) = ∇f_μν(y) − ∇f_μμ(y), f the entropic potentials: the barycentre to which the
    transport of μ to itself sends y, minus that of the transport to ν. Between MMD (ε → ∞) and ½W₂²
    (ε → 0), from samples of the target alone; like W₂² it is long-range. Not for ε far below the
    spacing of the points. Feydy et al. (2019).

    Args:
        epsilon: ε, in units of ½ squared distance; 0.05 of the median squared distance of the
            target's points when None.
        target_size: how many target points an evaluation draws; None takes every atom of an
            ``Empirical`` target, and as many samples as there are particles of any other.
        tolerance: on the L1 error of the plans' marginals.
        max_iterations: of Sinkhorn's method; the potentials are then used as they are.

    >>> import jax, jax.numpy as jnp
    >>> from brenier.measures import Empirical
    >>> zero, three = Moving(jnp.array([[0.0]])), Empirical(jnp.array([[3.0]]))
    >>> SinkhornDivergence(epsilon=0.1).value(zero, three, key=jax.random.key(0)).tolist()
    4.5
    >>> SinkhornDivergence(epsilon=0.1).gradient(zero, three, key=jax.random.key(0)).tolist()
    [[-3.0]]
    """

    epsilon: float | None = eqx.field(static=True, default=None)
    target_size: int | None = eqx.field(static=True, default=None)
    tolerance: float = eqx.field(static=True, default=1e-4)
    max_iterations: int = eqx.field(static=True, default=1000)

    def __check_init__(self):
        if self.epsilon is not None:
            check_positive("epsilon", self.epsilon)
        if self.target_size is not None:
            check_at_least("target_size", self.target_size, 1)
        check_positive("tolerance", self.tolerance)
        check_at_least("max_iterations", self.max_iterations, 1)

    def value(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Scalar:
        x, a = moving.points, uniform_weights(moving.points)
        y, b = draw_target(target, self.target_size, x.shape[0], key)
        epsilon = self._epsilon(y)
        across = sinkhorn(
            x,
            y,
            a,
            b,
            epsilon=epsilon,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )
        of_x, of_y = self._itself(x, a, epsilon), self._itself(y, b, epsilon)
        return a @ (across.f - of_x.potential) + b @ (across.g - of_y.potential)

    def gradient(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Points:
        x, a = moving.points, uniform_weights(moving.points)
        y, b = draw_target(target, self.target_size, x.shape[0], key)
        epsilon = self._epsilon(y)
        across = sinkhorn(
            x,
            y,
            a,
            b,
            epsilon=epsilon,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )
        there = barycentric_projection(x, y, across.g, b, epsilon=epsilon)
        return self._itself(x, a, epsilon).barycentres - there

    def _itself(self, x: Points, weights: Weights, epsilon: Scalar) -> SelfTransport:
        return self_transport(
            x,
            weights,
            epsilon=epsilon,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )

    def _epsilon(self, y: Float[Array, "m d"]) -> Scalar:
        if self.epsilon is None:
            return default_epsilon(y)
        return jnp.asarray(self.epsilon, y.dtype)
