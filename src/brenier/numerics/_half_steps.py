"""The two half-steps of Sinkhorn's iteration, f from g and g from f: in memory or streamed."""

from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp

from brenier._types import Array
from brenier.numerics._devices import split_batch, whole
from brenier.numerics._streaming import shifted_log_sum_exp, squared_distances

# The kernel is formed anew once a scaling leaves exp(±this): until then no entry that matters has
# underflowed.
DRIFT = 20.0

Transform: TypeAlias = Callable[[Array, Array], Array]


def by_kernel(
    x: Array, y: Array, a: Array, b: Array, f: Array, g: Array, epsilon: Array
) -> tuple[Transform, Transform]:
    """The two transforms by the kernel matrix scaled at (f, g), exact within exp(±DRIFT) of it.

    Devices that share the program hold some of its rows each.
    """
    dtype = x.dtype
    ceiling, tiny = 0.5 * jnp.log(jnp.finfo(dtype).max), jnp.finfo(dtype).tiny
    scores = (f[:, None] + g[None, :] - 0.5 * squared_distances(x, y)) / epsilon
    # Cut off only where a potential is far from its fixed point: the half-step then corrects it.
    matrix = split_batch(jnp.exp(jnp.minimum(scores, ceiling)))

    def scaling(weights, now, then):
        return weights * jnp.exp(jnp.minimum((now - then) / epsilon, 2.0 * DRIFT))

    def rows(_, g_now):
        return f - epsilon * jnp.log(jnp.maximum(whole(matrix @ scaling(b, g_now, g)), tiny))

    def columns(f_now, _):
        return g - epsilon * jnp.log(jnp.maximum(whole(scaling(a, f_now, f) @ matrix), tiny))

    return rows, columns


def by_tiles(
    x: Array, y: Array, a: Array, b: Array, f: Array, g: Array, epsilon: Array, *, tile: int
) -> tuple[Transform, Transform]:
    """The two transforms over tiles; the present potential shifts the scores to about 0."""
    x_half, y_half = (0.5 * jnp.sum(z * z, axis=1) for z in (x, y))
    log_a, log_b = jnp.log(a), jnp.log(b)

    def rows(f_now, g_now):
        shifts, offsets = (f_now - x_half) / epsilon, log_b + (g_now - y_half) / epsilon
        return f_now - epsilon * shifted_log_sum_exp(x, y, shifts, offsets, epsilon, tile=tile)

    def columns(f_now, g_now):
        shifts, offsets = (g_now - y_half) / epsilon, log_a + (f_now - x_half) / epsilon
        return g_now - epsilon * shifted_log_sum_exp(y, x, shifts, offsets, epsilon, tile=tile)

    return rows, columns
