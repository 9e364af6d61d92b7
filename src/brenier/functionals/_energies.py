"""Potential and interaction energies."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Key, Point, Points, Scalar
from brenier.functionals._base import AbstractFunctional, Moving
from brenier.measures import AbstractMeasure
from brenier.numerics import over_devices, over_points


class PotentialEnergy(AbstractFunctional):
    """F(μ) = ∫ V dμ, with ∇_W F(μ)(y) = ∇V(y) (Theory (1.11)).

    For a constraint or an obstacle in a functional of your own (DLV26, Remark 2.12). The target is
    not used: on its own it sends all mass to the minima of V.

    Args:
        potential: V, (d,) to (), differentiable by JAX.

    >>> import jax, jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> F, mu = PotentialEnergy(lambda y: 0.5 * y @ y), Moving(jnp.array([[1.0, 2.0]]))
    >>> F.gradient(mu, Gaussian.standard(2), key=jax.random.key(0)).tolist()
    [[1.0, 2.0]]
    """

    potential: Callable[[Point], Scalar]

    def value(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Scalar:
        y = moving.points
        return jnp.mean(over_points(self.potential, y, floats=1024 + 16 * y.shape[1]))

    def gradient(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Points:
        y = moving.points
        return over_points(jax.grad(self.potential), y, floats=1024 + 16 * y.shape[1])


class InteractionEnergy(AbstractFunctional):
    """F(μ) = ½ ∬ W(x − y) dμ dμ, W even, with ∇_W F(μ)(y) = E_{y'∼μ} ∇W(y − y').

    For particles that repel or attract each other: swarms, vortices, a spread imposed beside a
    potential. With W convex it is convex along generalised geodesics, so that constrained drifts
    converge (DLV26, Remark 2.12). Computed as the mean over the n(n − 1) pairs i ≠ j: unbiased, and
    W may be singular at 0. The cost is quadratic in n: not for more than some thousands of
    particles. Not to compare μ with a target, which it does not use: ``MMD``.

    Args:
        interaction: W, (d,) to (), even, differentiable by JAX away from 0.

    >>> import jax, jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> F, mu = InteractionEnergy(lambda z: 0.5 * z @ z), Moving(jnp.array([[0.0], [2.0]]))
    >>> F.gradient(mu, Gaussian.standard(1), key=jax.random.key(0)).tolist()
    [[-2.0], [2.0]]
    """

    interaction: Callable[[Point], Scalar]

    def value(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Scalar:
        return 0.5 * jnp.mean(_mean_over_others(self.interaction, moving.points))

    def gradient(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Points:
        return _mean_over_others(eqx.Partial(_gradient, self.interaction), moving.points)


def _pair_floats(function: Callable[..., Any], y: Points) -> int:
    return y.size * len(y)


@over_devices(_pair_floats)
@eqx.filter_jit
def _mean_over_others(function: Callable[[Point], Array], y: Points) -> Array:
    """1/(n − 1) Σ_{j ≠ i} function(y_i − y_j) for each i, some rows at a time."""
    n, d = y.shape
    packed = jnp.concatenate([y, jnp.arange(n, dtype=y.dtype)[:, None]], axis=1)
    return over_points(eqx.Partial(_mean_over_others_of, function, y), packed, floats=n * d)


def _mean_over_others_of(
    function: Callable[[Point], Array], y: Points, packed: Float[Array, " _"]
) -> Array:
    """For one particle, followed by its number."""
    others = jnp.arange(len(y)) != packed[-1]
    # The pair (i, i) gets a displacement that keeps the function, and its derivative, finite.
    displacement = jnp.where(others[:, None], packed[:-1] - y, 1.0)
    values = jax.vmap(function)(displacement)
    mask = others.reshape(-1, *[1] * (values.ndim - 1))
    return jnp.sum(jnp.where(mask, values, 0.0), axis=0) / max(len(y) - 1, 1)


def _gradient(function: Callable[[Point], Scalar], z: Point) -> Point:
    return jax.grad(function)(z)
