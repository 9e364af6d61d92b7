"""Samples of tensor trains of Gaussians, by inverting conditional distribution functions."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr

from brenier._types import Array, Float, Point, Points, Scalar
from brenier.numerics import on_all_cores

# Steps of Newton's method, safeguarded by bisection, for one conditional quantile: it begins within
# half a width of the Gaussians, where the distribution function is almost linear.
_QUANTILE_STEPS = 7
# Gaussians within about 10 widths of a point; the step of a lattice is half a width.
_NEAR = 40


def sample_tensor_train(
    cores: tuple[Float[Array, "_ _ _"], ...],
    centres: tuple[Float[Array, " _"], ...],
    widths: Float[Array, " _"],
    levels: Points,
) -> Points:
    """Points whose conditional distribution functions, axis by axis, equal the levels (n, d)."""
    # ρ integrated over all axes after each.
    ahead = [jnp.ones(1, levels.dtype)]
    for core in cores[:0:-1]:
        ahead.append(jnp.sum(core, axis=1) @ ahead[-1])
    axes = tuple(zip(cores, centres, widths, reversed(ahead), strict=True))
    widest = max(core.size // core.shape[0] for core in cores)
    return on_all_cores(eqx.Partial(_draw, axes), levels, floats=1024 + 4 * widest)


def _draw(axes: tuple[tuple[Array, Array, Array, Array], ...], level: Point) -> Point:
    state, places = jnp.ones(1, level.dtype), []
    for (core, y, s, rest), part in zip(axes, level, strict=True):
        given = jnp.einsum("a,ajb->jb", state, core)
        place = _quantile(given @ rest, y, s, part)
        state = jnp.exp(-0.5 * jnp.square((place - y) / s)) @ given
        # Its length does not matter: conditional distribution functions are ratios.
        state = state / jnp.linalg.norm(state)
        places.append(place)
    return jnp.stack(places)


def _quantile(
    weights: Float[Array, " m"], y: Float[Array, " m"], s: Scalar, level: Scalar
) -> Scalar:
    """The x with Σ_j w_j Φ((x − y_j)/s) = level · Σ_j w_j."""
    below = jnp.cumsum(weights)
    # The distribution function at the lattice, and beyond both its ends, brackets x.
    ends = jnp.concatenate([y[:1] - 8.0 * s, y, y[-1:] + 8.0 * s])
    at_ends = ndtr((ends[:, None] - y) / s) @ weights
    goal = level * below[-1]
    above = jnp.argmax((at_ends >= goal).at[-1].set(True).at[0].set(False))
    low, high = ends[above - 1], ends[above]
    # Only Gaussians near x bend it; those before lie wholly below, those after not at all.
    count = min(_NEAR, y.shape[0])
    first = jnp.clip(above - count // 2, 0, y.shape[0] - count)
    near = jax.lax.dynamic_slice(weights, (first,), (count,))
    places = jax.lax.dynamic_slice(y, (first,), (count,))
    rest = goal - jnp.where(first > 0, below[jnp.maximum(first - 1, 0)], 0.0)

    def step(_, bracket):
        low, high, x = bracket
        z = (x - places) / s
        excess = near @ ndtr(z) - rest
        slope = near @ jnp.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * s)
        low, high = jnp.where(excess < 0.0, x, low), jnp.where(excess < 0.0, high, x)
        newton = x - excess / slope
        # An end of the bracket is inside: a step of 0 is the solution.
        inside = (newton >= low) & (newton <= high)
        return low, high, jnp.where(inside, newton, 0.5 * (low + high))

    rise = (goal - at_ends[above - 1]) / (at_ends[above] - at_ends[above - 1])
    start = (low, high, low + jnp.clip(rise, 0.05, 0.95) * (high - low))
    return jax.lax.fori_loop(0, _QUANTILE_STEPS, step, start)[2]
