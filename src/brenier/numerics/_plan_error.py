"""How far the marginals of an entropic plan are from its weights, whatever dtype found it."""

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Scalar
from brenier.numerics._devices import on_each_device
from brenier.numerics._streaming import TILE, cut_tiles, shared_tiles, squared_distances


def plan_error(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    a: Float[Array, " n"],
    b: Float[Array, " m"],
    f: Float[Array, " n"],
    g: Float[Array, " m"],
    epsilon: Scalar,
    *,
    rates: tuple[Scalar, Scalar] | None = None,
) -> Scalar:
    """Σ_i |Σ_j π_ij − a_i| + Σ_j |Σ_i π_ij − b_j|, π_ij = a_i b_j exp((f_i + g_j − c_ij)/ε).

    c = ½‖x − y‖². In float64, so that what single precision left undone shows; tile by tile. Of
    rates r and s the marginals are to be a e^{−rf} and b e^{−sg}, and the error, the L1 norm of the
    dual's gradient, is over the mass of the former, where r or s is above 0.

    >>> one = jnp.ones(1)
    >>> float(plan_error(one[None], one[None], one, one, jnp.log(3.0) * one, 0.0 * one, one[0]))
    4.0
    """
    wide = jnp.float64
    top = 0.5 * jnp.log(jnp.finfo(wide).max)
    centre, unit = b.astype(wide) @ y.astype(wide), epsilon.astype(wide)
    # In units of ε: no division is left to each pair.
    x, y = ((z.astype(wide) - centre) / jnp.sqrt(2.0 * unit) for z in (x, y))
    f, g, a, b = (part.astype(wide) for part in (f, g, a, b))
    (f_growth, g_growth), log_mass = _wanted(f, g, a, rates)
    # Over the mass, so that nothing underflows.
    f, g = f / unit - log_mass, g / unit
    rows = tuple(shared_tiles(part, TILE) for part in (x, a, f, f_growth))
    columns = tuple(cut_tiles(part, TILE) for part in (y, b, g))

    def add_row(below, row):
        x_tile, a_tile, f_tile, growth = row

        def add(beside, column):
            y_tile, b_tile, g_tile = column
            scores = f_tile[:, None] + g_tile - squared_distances(x_tile, y_tile)
            ratios = jnp.exp(jnp.minimum(scores, top))
            return beside + ratios @ b_tile, a_tile @ ratios

        beside, part = jax.lax.scan(add, jnp.zeros_like(a_tile), columns)
        return below + part, a_tile @ jnp.abs(beside - growth)

    def add_rows(rows):
        below, apart = jax.lax.scan(add_row, jnp.zeros(columns[1].shape, wide), rows)
        return below[None], apart

    below, apart = on_each_device(add_rows, rows)
    gaps = jnp.abs(jnp.sum(below, axis=0) - cut_tiles(g_growth, TILE))
    return jnp.sum(apart) + jnp.sum(columns[1] * gaps)


def _wanted(
    f: Array, g: Array, a: Array, rates: tuple[Scalar, Scalar] | None
) -> tuple[tuple[Array, Array], Scalar]:
    """By what the marginals are to differ from the weights, over the mass; and its logarithm."""
    if rates is None:
        return (jnp.ones_like(f), jnp.ones_like(g)), jnp.zeros((), f.dtype)
    r, s = (rate.astype(f.dtype) for rate in rates)
    total = jax.nn.logsumexp(-r * f, b=a)
    log_mass = jnp.where(r + s > 0.0, total, 0.0)
    return (jnp.exp(-r * f - log_mass), jnp.exp(-s * g - log_mass)), log_mass
