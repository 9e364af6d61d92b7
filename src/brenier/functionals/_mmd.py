"""The maximum mean discrepancy."""

import equinox as eqx
import jax.numpy as jnp

from brenier._checks import check_at_least
from brenier._types import Key, Points, Scalar
from brenier.functionals._base import AbstractFunctional, Moving
from brenier.functionals._kernels import AbstractKernel, Energy, uniform_weights
from brenier.functionals._target import draw_target
from brenier.measures import AbstractMeasure


class MMD(AbstractFunctional):
    """F(μ) = ½ MMD²(μ, ν) = ½ ∬ k d(μ − ν)², from samples of the target alone (Theory (1.11)).

    ∇_W F(μ)(y) = E_{y'∼μ} ∇₁k(y, y') − E_{z∼ν} ∇₁k(y, z). The value is the V-statistic of the
    particles: never negative, and above the truth by O(1/n). Not where the target's density is
    known and a map is wanted fast: ``KL`` with an exact score converges better.

    Args:
        kernel: ``Energy()``, ``GaussianKernel(h)`` or ``LaplaceKernel(h)``.
        target_size: how many target points an evaluation draws; None takes every atom of an
            ``Empirical`` target, and as many samples as there are particles of any other.

    >>> import jax, jax.numpy as jnp
    >>> from brenier.measures import Empirical
    >>> zero, three = Moving(jnp.array([[0.0]])), Empirical(jnp.array([[3.0]]))
    >>> MMD().value(zero, three, key=jax.random.key(0)).tolist()
    3.0
    >>> MMD().gradient(zero, three, key=jax.random.key(0)).tolist()
    [[-1.0]]
    """

    kernel: AbstractKernel = Energy()
    target_size: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.target_size is not None:
            check_at_least("target_size", self.target_size, 1)

    def value(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Scalar:
        x, a = moving.points, uniform_weights(moving.points)
        y, b = draw_target(target, self.target_size, x.shape[0], key)
        within = a @ self.kernel.mean(x, x, a) + b @ self.kernel.mean(y, y, b)
        return 0.5 * within - a @ self.kernel.mean(x, y, b)

    def gradient(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Points:
        x, a = moving.points, uniform_weights(moving.points)
        y, b = draw_target(target, self.target_size, x.shape[0], key)
        # One pass over the signed measure μ − ν.
        both = jnp.concatenate([x, y.astype(x.dtype)])
        return self.kernel.mean_gradient(x, both, jnp.concatenate([a, -b.astype(x.dtype)]))
