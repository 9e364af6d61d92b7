"""Means over points whose digits are stated: summed in float64, whatever the dtype of the terms."""

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Points, Scalar, Weights
from brenier.numerics._checked_inputs import checked_inputs


@checked_inputs({"weights": "terms"})
@jax.jit
def float64_mean(terms: Float[Array, " n"], weights: Weights | None = None) -> Scalar:
    """Σ_i w_i t_i / Σ_i w_i, the mean where there are no weights, in float64.

    One after the other, a million float32 terms lose three of their seven digits, and how a
    device orders its sums decides which. Only the sum is wide: the terms are what they are.

    Args:
        terms: t (n,), of any floating dtype.
        weights: w (n,), non-negative.

    >>> float(float64_mean(jnp.asarray([2.0**24, 1.0, 1.0, 0.0], jnp.float32))) * 4 - 2.0**24
    2.0
    """
    wide = jnp.promote_types(terms.dtype, jnp.float64)
    weights = None if weights is None else weights.astype(wide)
    return jnp.average(terms.astype(wide), weights=weights)


@checked_inputs({"weights": "points"})
@jax.jit
def total_variance(points: Points, weights: Weights | None = None) -> Scalar:
    """E‖X − EX‖² of points (n, d), of non-negative weights (n,) where there are some, in float64.

    >>> float(total_variance(jnp.asarray([[1e4], [1e4 + 2.0]], jnp.float32)))
    1.0
    """
    wide = jnp.promote_types(points.dtype, jnp.float64)
    points = points.astype(wide)
    if weights is None:
        return jnp.sum(jnp.var(points, axis=0))
    weights = weights.astype(wide)
    centred = points - jnp.average(points, axis=0, weights=weights)
    return float64_mean(jnp.sum(centred**2, axis=1), weights)
