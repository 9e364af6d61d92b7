"""Hamiltonian Monte Carlo: many short independent chains at once."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Key, Matrix, Point, Points, Scalar

_ACCEPTANCE = 0.8
_MOST_LEAPFROGS = 64
_WINDOWS = 4


class _Chains(NamedTuple):
    points: Points
    value: Float[Array, " n"]
    gradient: Points


class _Tuning(NamedTuple):
    """The metric, and dual averaging of the logarithm of the step (Hoffman and Gelman 2014)."""

    metric: Matrix
    log_step: Scalar
    average: Scalar
    error: Scalar
    centre: Scalar


def hamiltonian_chains(
    log_density: Callable[[Point], Scalar], start: Points, *, key: Key, warmup: int, steps: int
) -> Points:
    """The last points (n, d) of n independent chains whose invariant density is e^{log_density}.

    All chains share a step size, set by dual averaging of their mean acceptance, and a metric, the
    inverse covariance of the cloud of chains, set again after each of four windows of ``warmup``.
    Both are frozen for the last ``steps`` transitions, which are exact (Neal 2011; Hoffman and
    Gelman 2014, section 3.2). The trajectory's length varies about a quarter period, π/2 in units
    where the cloud is white. Not for modes that deep valleys part: no chain crosses them, and each
    mode keeps the share of ``start`` that fell into it.

    Args:
        log_density: at one point, up to a constant.
        start: (n, d); the more, the better the step and the metric are set.
        key: of the momenta, the lengths and the acceptances.
        warmup: transitions that set step and metric.
        steps: transitions after that.

    >>> start = jnp.linspace(-1.0, 1.0, 200)[:, None]
    >>> x = hamiltonian_chains(
    ...     lambda x: -0.5 * x @ x, start, key=jax.random.key(0), warmup=40, steps=10)
    >>> bool(abs(jnp.var(x) - 1.0) < 0.3)
    True
    """
    derivative = jax.vmap(jax.value_and_grad(log_density))
    window = warmup // _WINDOWS

    def iterate(carry, inputs):
        chains, tuning = carry
        index, key = inputs
        warm = index < _WINDOWS * window
        step = jnp.exp(jnp.where(warm, tuning.log_step, tuning.average))
        chains, acceptance = _transition(derivative, chains, key, step, tuning.metric)
        adapted = _adapt(tuning, acceptance, index % window + 1)
        end = (index + 1) % window == 0
        adapted = jax.lax.cond(end, _next_window, lambda t, _: t, adapted, chains.points)
        return (chains, jax.tree.map(lambda a, b: jnp.where(warm, a, b), adapted, tuning)), None

    total = _WINDOWS * window + steps
    first = jnp.log(jnp.asarray(0.1, start.dtype))
    tuning = _Tuning(_white(start), first, first, jnp.zeros_like(first), first + math.log(10.0))
    carry = _Chains(start, *derivative(start)), tuning
    (chains, _), _ = jax.lax.scan(iterate, carry, (jnp.arange(total), jax.random.split(key, total)))
    return chains.points


def _transition(
    derivative: Callable[[Points], tuple[Array, Array]],
    chains: _Chains,
    key: Key,
    step: Scalar,
    metric: Matrix,
) -> tuple[_Chains, Scalar]:
    """One trajectory of every chain, and the mean acceptance; x = metric·q with q white."""
    momentum_key, length_key, accept_key = jax.random.split(key, 3)
    length = 0.5 * math.pi * jax.random.uniform(length_key, minval=0.5, maxval=1.5)
    count = jnp.clip(jnp.ceil(length / step), 1, _MOST_LEAPFROGS).astype(int)
    momentum = jax.random.normal(momentum_key, chains.points.shape, chains.points.dtype)

    def leapfrog(_, carry):
        now, p = carry
        p = p + 0.5 * step * now.gradient @ metric
        x = now.points + step * p @ metric.T
        now = _Chains(x, *derivative(x))
        return now, p + 0.5 * step * now.gradient @ metric

    end, p = jax.lax.fori_loop(0, count, leapfrog, (chains, momentum))
    log_ratio = end.value - chains.value + 0.5 * jnp.sum(momentum**2 - p**2, axis=1)
    # A trajectory that left the domain (NaN) is refused.
    log_ratio = jnp.where(jnp.isnan(log_ratio), -jnp.inf, jnp.minimum(log_ratio, 0.0))
    uniform = jax.random.uniform(accept_key, log_ratio.shape, log_ratio.dtype)
    accepted = jnp.log(uniform) < log_ratio

    def choose(new, old):
        return jnp.where(accepted.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, end, chains), jnp.mean(jnp.exp(log_ratio))


def _adapt(tuning: _Tuning, acceptance: Scalar, count: Array) -> _Tuning:
    t = count.astype(acceptance.dtype)
    error = tuning.error + (_ACCEPTANCE - acceptance - tuning.error) / (t + 10.0)
    log_step = tuning.centre - jnp.sqrt(t) / 0.05 * error
    weight = t**-0.75
    average = weight * log_step + (1.0 - weight) * tuning.average
    return tuning._replace(log_step=log_step, average=average, error=error)


def _next_window(tuning: _Tuning, points: Points) -> _Tuning:
    average = tuning.average
    return _Tuning(
        _white(points), average, average, jnp.zeros_like(average), average + math.log(10.0)
    )


def _white(points: Points) -> Matrix:
    """A factor of the cloud's covariance: full where the cloud is large enough, else diagonal."""
    n, d = points.shape
    if n < 10 * d:
        return jnp.diag(jnp.std(points, axis=0))
    return jnp.linalg.cholesky(jnp.cov(points.T).reshape(d, d))
