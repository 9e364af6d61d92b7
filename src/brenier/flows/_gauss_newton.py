"""Damped Gauss-Newton steps: the natural-gradient oracle of (1.5)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Points, Scalar
from brenier.maps import AbstractMap
from brenier.numerics import (
    flatten_parameters,
    marquardt_scale,
    probed_squares,
    scaled_conjugate_gradients,
    solve_regularised,
)

# A normal or dual matrix up to this order is factorised, and a Jacobian up to this many entries
# (1 GiB of float64) formed; above, conjugate gradients.
_DENSE_LIMIT = 1000
_DENSE_ENTRIES = 2**27
_CG_STEPS = 200


def jacobian_rows(map: AbstractMap, x: Points) -> Float[Array, "r p"]:
    """∂_θT(x_i), stacked over particles and components: (n·d, p)."""
    flat, rebuild = flatten_parameters(map)
    rows = jax.vmap(lambda point: jax.jacrev(lambda p: rebuild(p).apply(point))(flat))(x)
    return rows.reshape(-1, flat.size)


def move(map: AbstractMap, delta: Float[Array, " p"]) -> AbstractMap:
    """The map with its parameters θ + δ."""
    flat, rebuild = flatten_parameters(map)
    return rebuild(flat + delta)


def damped_step(
    rows: Float[Array, "r p"], residual: Float[Array, " r"], damping: Scalar
) -> tuple[Float[Array, " p"], Scalar]:
    """min_δ ½‖Aδ + b‖² + ½λ‖Dδ‖²: the step δ and the decrease that the model predicts.

    D² = diag(AᵀA), floored (Marquardt); λ = damping·tr(AD⁻²Aᵀ)/r has no units. The smaller of the
    normal and the dual matrix is factorised; both give the same δ.
    """
    squares = jnp.sum(rows**2, axis=0)
    scale = marquardt_scale(squares)
    a = rows * scale
    ridge = damping * jnp.sum(a * a) / residual.size
    if a.shape[0] <= a.shape[1]:
        delta = -a.T @ solve_regularised(a @ a.T, ridge, residual)
    else:
        delta = -solve_regularised(a.T @ a, ridge, a.T @ residual)
    after = a @ delta + residual
    return scale * delta, 0.5 * (residual @ residual - after @ after)


def map_step(
    map: AbstractMap, x: Points, field: Points, damping: Scalar
) -> tuple[Float[Array, " p"], Scalar]:
    """The step of (1.5): min_δ E‖∂_θT δ + field‖² + ridge, and the predicted decrease.

    Dense where n·d or p is small; else conjugate gradients through jvp and vjp, which never form
    the Jacobian.
    """
    flat, rebuild = flatten_parameters(map)
    scale = 1.0 / jnp.sqrt(jnp.asarray(x.shape[0], dtype=x.dtype))
    if min(x.size, flat.size) <= _DENSE_LIMIT and x.size * flat.size <= _DENSE_ENTRIES:
        return damped_step(scale * jacobian_rows(map, x), scale * field.ravel(), damping)
    return _conjugate_gradients(flat, lambda p: scale * rebuild(p)(x), scale * field, damping)


def _conjugate_gradients(
    flat: Float[Array, " p"],
    evaluate: Callable[[Float[Array, " p"]], Points],
    residual: Points,
    damping: Scalar,
) -> tuple[Float[Array, " p"], Scalar]:
    _, push = jax.linearize(evaluate, flat)
    transposed = jax.linear_transpose(push, flat)
    squares = probed_squares(lambda r: transposed(r)[0], residual)
    scale = marquardt_scale(squares)
    ridge = damping * jnp.sum(squares * scale**2) / residual.size
    delta = -scaled_conjugate_gradients(
        lambda v: transposed(push(v))[0],
        transposed(residual)[0],
        scale,
        ridge,
        tolerance=1e-5,
        max_steps=_CG_STEPS,
    )
    after = push(delta) + residual
    return delta, 0.5 * (jnp.sum(residual**2) - jnp.sum(after**2))
