"""Laws on the line: their tails, in logarithms, and the points that cut off a given tail."""

import math
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, logsumexp, ndtri

from brenier._types import Array, Bool, Float, Scalar
from brenier.measures import Empirical, Gaussian, GaussianMixture, Uniform

# Enough terms that the asymptotic series of log Φ, used below −20, is exact to rounding.
_SERIES = 10
# Below this, e^level is about to underflow.
_DEEP = -700.0
_MOST_STEPS = 200
_LOG_ROOT = 0.5 * math.log(2.0 * math.pi)


@runtime_checkable
class Distribution(Protocol):
    """A continuous law as SciPy freezes it, such as ``scipy.stats.gamma(3.0)``."""

    def logcdf(self, x: Any) -> Any: ...
    def logsf(self, x: Any) -> Any: ...
    def logpdf(self, x: Any) -> Any: ...
    def ppf(self, q: Any) -> Any: ...
    def isf(self, q: Any) -> Any: ...


class ScipyLaw(eqx.Module):
    """A ``Distribution`` in the place of a measure; evaluated by SciPy on the host."""

    distribution: Distribution = eqx.field(static=True)


Law: TypeAlias = Empirical | Gaussian | GaussianMixture | Uniform | ScipyLaw


def log_tails(law: Law, x: Scalar) -> tuple[Scalar, Scalar]:
    """log P(X ≤ x) and log P(X > x), each to full relative accuracy.

    Atoms are sorted and distinct. The level of an atom is the middle of its jump, interpolated
    between atoms, so that an atom is sent to the median of its share of the target.
    """
    if isinstance(law, ScipyLaw):
        return (
            _scipy_log_tail(law.distribution, False, x),
            _scipy_log_tail(law.distribution, True, x),
        )
    if isinstance(law, Empirical):
        mass = atom_weights(law)
        atoms = law.points[:, 0]
        # In units of their own: jnp.interp takes steps below 5e-32 for none.
        unit = jnp.maximum(atoms[-1] - atoms[0], jnp.finfo(atoms.dtype).tiny)
        places, place = (atoms - atoms[0]) / unit, (x - atoms[0]) / unit
        level = jnp.interp(place, places, jnp.cumsum(mass) - 0.5 * mass)
        return jnp.log(level), jnp.log1p(-level)
    if isinstance(law, Uniform):
        below = jnp.clip((x - law.lower[0]) / (law.upper[0] - law.lower[0]), 0.0, 1.0)
        above = jnp.clip((law.upper[0] - x) / (law.upper[0] - law.lower[0]), 0.0, 1.0)
        return jnp.log(below), jnp.log(above)
    log_weights, means, scales = normal_parts(law)
    return (_log_cdf(x, log_weights, means, scales), _log_cdf(-x, log_weights, -means, scales))


def tail_point(law: Law, level: Scalar, upper: Bool[Array, ""]) -> Scalar:
    """The x with log P(X ≤ x) = level, or with log P(X > x) = level where ``upper``.

    Give the smaller of the two tails: the larger rounds to 1 for many points.
    """
    if isinstance(law, ScipyLaw):
        return jnp.where(
            upper,
            _scipy_point(law.distribution, True, level),
            _scipy_point(law.distribution, False, level),
        )
    if isinstance(law, Empirical):
        below = jnp.where(upper, -jnp.expm1(level), jnp.exp(level))
        row = jnp.searchsorted(jnp.cumsum(atom_weights(law)), below)
        return law.points[jnp.minimum(row, law.size - 1), 0]
    if isinstance(law, Uniform):
        part = (law.upper[0] - law.lower[0]) * jnp.exp(level)
        return jnp.where(upper, law.upper[0] - part, law.lower[0] + part)
    log_weights, means, scales = normal_parts(law)
    sign = jnp.where(upper, -1.0, 1.0)
    return sign * _mixture_point(log_weights, sign * means, scales, level)


@eqx.filter_jit
def tail_points(law, level, upper):
    """``tail_point`` entry by entry over arrays."""
    flat = jax.vmap(tail_point, in_axes=(None, 0, 0))(law, level.ravel(), upper.ravel())
    return flat.reshape(level.shape)


def quantiles(law: Law, levels: jax.Array) -> jax.Array:
    """F⁻¹ at levels (n,) in (0, 1)."""
    upper = levels > 0.5
    return tail_points(law, jnp.where(upper, jnp.log1p(-levels), jnp.log(levels)), upper)


def atom_weights(law: Empirical) -> Float[Array, " n"]:
    """The weights of the atoms, with sum 1."""
    return jnp.full(law.size, 1.0 / law.size) if law.weights is None else law.weights


def normal_parts(
    law: Gaussian | GaussianMixture,
) -> tuple[Float[Array, " k"], Float[Array, " k"], Float[Array, " k"]]:
    """Logarithms of the weights, means and standard deviations, of the components on the line."""
    if isinstance(law, Gaussian):
        return jnp.zeros(1), law.mean, law.factor[0]
    return law.log_weights, law.means[:, 0], law.factors[:, 0, 0]


def _log_cdf(
    x: Scalar,
    log_weights: Float[Array, " k"],
    means: Float[Array, " k"],
    scales: Float[Array, " k"],
) -> Scalar:
    return logsumexp(log_weights + log_ndtr((x - means) / scales, series_order=_SERIES))


def _log_density(
    x: Scalar,
    log_weights: Float[Array, " k"],
    means: Float[Array, " k"],
    scales: Float[Array, " k"],
) -> Scalar:
    z = (x - means) / scales
    return logsumexp(log_weights - 0.5 * z * z - jnp.log(scales) - _LOG_ROOT)


def _normal_point(level: Scalar) -> Scalar:
    """z with log Φ(z) = level."""
    deep = jnp.maximum(-2.0 * level, 1.0)
    far = -jnp.sqrt(deep - jnp.log(2.0 * jnp.pi * deep))
    z = jnp.where(level > _DEEP, ndtri(jnp.exp(level)), far)

    def polish(_, z):
        value = log_ndtr(z, series_order=_SERIES)
        step = (value - level) * jnp.exp(value + 0.5 * z * z + _LOG_ROOT)
        return jnp.where(jnp.isfinite(step), z - step, z)

    # A loop, not unrolled: it compiles in half the time.
    return jax.lax.fori_loop(0, 2, polish, z)


@jax.custom_jvp
def _mixture_point(
    log_weights: Float[Array, " k"],
    means: Float[Array, " k"],
    scales: Float[Array, " k"],
    level: Scalar,
) -> Scalar:
    """x with log Σ_k w_k Φ((x − m_k)/s_k) = level: Newton's method inside a shrinking bracket."""
    ends = means + scales * _normal_point(level)
    if ends.shape == (1,):
        return ends[0]
    # The quantile of a mixture lies between those of its components.
    low, high = jnp.min(ends), jnp.max(ends)
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    low, high = jnp.where(finite, low, 0.0), jnp.where(finite, high, 0.0)
    unit = 2.0 * jnp.finfo(level.dtype).eps

    def going(state):
        low, high, _, step, count = state
        wide = unit * (jnp.maximum(jnp.abs(low), jnp.abs(high)) + jnp.min(scales))
        return (jnp.abs(step) > wide) & (high - low > wide) & (count < _MOST_STEPS)

    def advance(state):
        low, high, x, _, count = state
        value = _log_cdf(x, log_weights, means, scales)
        slope = jnp.exp(_log_density(x, log_weights, means, scales) - value)
        low, high = jnp.where(value < level, x, low), jnp.where(value < level, high, x)
        newton = x - (value - level) / slope
        inside = (newton > low) & (newton < high)
        after = jnp.where(inside, newton, 0.5 * (low + high))
        return low, high, after, after - x, count + 1

    start = low, high, 0.5 * (low + high), high - low, 0
    x = jax.lax.while_loop(going, advance, start)[2]
    return jnp.where(finite, x, ends[0])


@_mixture_point.defjvp
def _(primals, tangents):
    *parts, _ = primals
    *parts_dot, level_dot = tangents
    x = _mixture_point(*primals)
    _, drift = jax.jvp(lambda *parts: _log_cdf(x, *parts), parts, parts_dot)
    log_slope = _log_density(x, *parts) - _log_cdf(x, *parts)
    return x, (level_dot - drift) * jnp.exp(-log_slope)


def _on_host(function: Any, x: Scalar) -> Scalar:
    def call(x):
        # log 0 is −inf, as it should be.
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            return np.asarray(function(np.asarray(x)), np.float64)

    return jax.pure_callback(
        call, jax.ShapeDtypeStruct(x.shape, jnp.float64), x, vmap_method="broadcast_all"
    )


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _scipy_log_tail(distribution: Distribution, upper: bool, x: Scalar) -> Scalar:
    return _on_host(distribution.logsf if upper else distribution.logcdf, x)


@_scipy_log_tail.defjvp
def _(distribution, upper, primals, tangents):
    (x,), (x_dot,) = primals, tangents
    tail = _scipy_log_tail(distribution, upper, x)
    slope = jnp.exp(_on_host(distribution.logpdf, x) - tail)
    return tail, (-slope if upper else slope) * x_dot


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _scipy_point(distribution: Distribution, upper: bool, level: Scalar) -> Scalar:
    return _on_host(distribution.isf if upper else distribution.ppf, jnp.exp(level))


@_scipy_point.defjvp
def _(distribution, upper, primals, tangents):
    (level,), (level_dot,) = primals, tangents
    x = _scipy_point(distribution, upper, level)
    slope = jnp.exp(_on_host(distribution.logpdf, x) - level)
    return x, level_dot / (-slope if upper else slope)
