"""Hamiltonian Monte Carlo: many short independent chains at once."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from brenier._types import Key, Matrix, Point, Points, Scalar

_ACCEPTANCE = 0.8
_MOST_LEAPFROGS = 64
_WINDOWS = 4


def hamiltonian_chains(
    log_density: Callable[[Point], Scalar], start: Points, key: Key, *, warmup: int, steps: int
) -> Points:
    """The last points of n independent chains that leave e^{log_density} invariant: (n, d).

    All chains share a step size, set by dual averaging of their mean acceptance, and a metric, the
    inverse covariance of the cloud of chains, set again after each of four windows of ``warmup``.
    Both are frozen for the last ``steps`` transitions, which are exact (Neal 2011; Hoffman and
    Gelman 2014, section 3.2). The trajectory's length varies about a quarter period, π/2 in units
    where the cloud is white. A chain does not cross a deep valley: modes keep the share of
    ``start`` that fell into them.
    """
    derivative = jax.vmap(jax.value_and_grad(log_density))

    def transition(points: Points, key: Key, step: Scalar, metric: Matrix):
        """One trajectory of every chain, and the mean acceptance; x = metric·q with q white."""
        momentum_key, length_key, accept_key = jax.random.split(key, 3)
        length = 0.5 * math.pi * jax.random.uniform(length_key, minval=0.5, maxval=1.5)
        count = jnp.clip(jnp.ceil(length / step), 1, _MOST_LEAPFROGS).astype(int)
        value, gradient = derivative(points)
        momentum = jax.random.normal(momentum_key, points.shape, points.dtype)

        def leapfrog(_, carry):
            x, p, _, g = carry
            p = p + 0.5 * step * g @ metric
            x = x + step * p @ metric.T
            v, g = derivative(x)
            return x, p + 0.5 * step * g @ metric, v, g

        x, p, v, _ = jax.lax.fori_loop(0, count, leapfrog, (points, momentum, value, gradient))
        log_ratio = v - value + 0.5 * jnp.sum(momentum**2 - p**2, axis=1)
        # A trajectory that left the domain (NaN) is refused.
        log_ratio = jnp.where(jnp.isnan(log_ratio), -jnp.inf, jnp.minimum(log_ratio, 0.0))
        uniform = jax.random.uniform(accept_key, log_ratio.shape, points.dtype)
        accepted = jnp.log(uniform) < log_ratio
        return jnp.where(accepted[:, None], x, points), jnp.mean(jnp.exp(log_ratio))

    def window(carry, key):
        points, metric, step = carry
        centre = jnp.log(10.0 * step)

        def adapt(state, inputs):
            points, log_step, average, error = state
            index, key = inputs
            points, acceptance = transition(points, key, jnp.exp(log_step), metric)
            error = error + (_ACCEPTANCE - acceptance - error) / (index + 10.0)
            log_step = centre - jnp.sqrt(index) / 0.05 * error
            weight = index**-0.75
            return (points, log_step, weight * log_step + (1.0 - weight) * average, error), None

        indices = jnp.arange(1, warmup // _WINDOWS + 1, dtype=points.dtype)
        state = (points, jnp.log(step), jnp.log(step), jnp.zeros((), points.dtype))
        keys = jax.random.split(key, indices.shape[0])
        (points, _, average, _), _ = jax.lax.scan(adapt, state, (indices, keys))
        return (points, _white(points), jnp.exp(average)), None

    warm_key, key = jax.random.split(key)
    first = jnp.asarray(0.1, start.dtype)
    (points, metric, step), _ = jax.lax.scan(
        window, (start, _white(start), first), jax.random.split(warm_key, _WINDOWS)
    )
    moved = jax.lax.scan(
        lambda x, k: (transition(x, k, step, metric)[0], None), points, jax.random.split(key, steps)
    )
    return moved[0]


def _white(points: Points) -> Matrix:
    """A factor of the cloud's covariance: full where the cloud is large enough, else diagonal."""
    n, d = points.shape
    if n < 10 * d:
        return jnp.diag(jnp.std(points, axis=0))
    return jnp.linalg.cholesky(jnp.cov(points.T).reshape(d, d))
