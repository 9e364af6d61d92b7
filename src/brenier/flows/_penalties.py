"""What a penalty in the place of a marginal makes of the means in the semi-dual."""

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Points, Scalar, Weights
from brenier.numerics import float64_mean


def penalised_mean(
    heights: Float[Array, " n"], points: Points, weights: Weights | None, penalty: float | None
) -> Scalar:
    """τ log E exp((φ(X) − ½|X|²)/τ) + ½E|X|², in float64; E φ(X) where τ is None, its limit."""
    if penalty is None:
        return float64_mean(heights, weights)
    halves = _halves(points)
    return penalty * log_mean_growth(heights, points, weights, penalty) + float64_mean(
        halves, weights
    )


def log_mean_growth(
    heights: Float[Array, " n"], points: Points, weights: Weights | None, penalty: float
) -> Scalar:
    """log E exp((φ(X) − ½|X|²)/τ), in float64."""
    scores = (heights.astype(jnp.float64) - _halves(points)) / penalty
    shares = jnp.ones_like(scores) if weights is None else weights
    return jax.nn.logsumexp(scores, b=shares / jnp.sum(shares))


def growth_shares(
    heights: Float[Array, " n"], points: Points, weights: Weights | None, penalty: float | None
) -> Weights | None:
    """The weights of the penalised mean's gradient, w exp((φ − ½|x|²)/τ), of sum 1.

    Those given where τ is None.
    """
    if penalty is None:
        return weights
    scores = (heights - _halves(points).astype(heights.dtype)) / penalty
    return jax.nn.softmax(scores if weights is None else scores + jnp.log(weights))


def _halves(points: Points) -> Float[Array, " n"]:
    return 0.5 * jnp.sum(jnp.square(points.astype(jnp.float64)), axis=1)
