"""Damped Gauss-Newton steps: the natural-gradient oracle of eq. (1.5)."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree

from brenier._types import Array, Float, Points, Scalar
from brenier.maps import AbstractMap

# A normal or dual matrix up to this order is factorised, and a Jacobian up to this many entries
# (1 GiB of float64) formed; above, conjugate gradients.
_DENSE_LIMIT = 1000
_DENSE_ENTRIES = 2**27
_PROBES = 8
_CG_STEPS = 200
# Parameters whose derivative is below about 3 % of the mean are damped as if at that.
_FLOOR = 1e-3


def jacobian_rows(map: AbstractMap, x: Points) -> Float[Array, "r p"]:
    """∂_θT(x_i), stacked over particles and components: (n·d, p)."""
    flat, rebuild = flatten(map)
    rows = jax.vmap(lambda point: jax.jacrev(lambda p: rebuild(p).apply(point))(flat))(x)
    return rows.reshape(-1, flat.size)


def flatten(
    map: AbstractMap,
) -> tuple[Float[Array, "p"], Callable[[Float[Array, "p"]], AbstractMap]]:
    """The parameters of a map as one vector, and the function that puts a vector back."""
    parameters, static = eqx.partition(map, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(parameters)
    return flat, lambda vector: eqx.combine(unravel(vector), static)


def move(map: AbstractMap, delta: Float[Array, "p"]) -> AbstractMap:
    """The map with its parameters θ + δ."""
    flat, rebuild = flatten(map)
    return rebuild(flat + delta)


def damped_step(
    rows: Float[Array, "r p"], residual: Float[Array, "r"], damping: Scalar
) -> tuple[Float[Array, "p"], Scalar]:
    """min_δ ½‖Aδ + b‖² + ½λ‖Dδ‖²: the step δ and the decrease that the model predicts.

    D² = diag(AᵀA), floored (Marquardt): without it the weights behind a reparametrisation, whose
    derivatives differ by orders of magnitude, stall the step. λ = damping·tr(AD⁻²Aᵀ)/r has no
    units. The smaller of the normal and the dual matrix is factorised; both give the same δ.
    """
    squares = jnp.sum(rows**2, axis=0)
    scale = jax.lax.rsqrt(squares + _FLOOR * jnp.mean(squares) + jnp.finfo(rows.dtype).tiny)
    a = rows * scale
    ridge = damping * jnp.sum(a * a) / residual.size
    if a.shape[0] <= a.shape[1]:
        delta = -a.T @ _solve_spd(a @ a.T, ridge, residual)
    else:
        delta = -_solve_spd(a.T @ a, ridge, a.T @ residual)
    after = a @ delta + residual
    return scale * delta, 0.5 * (residual @ residual - after @ after)


def _solve_spd(
    matrix: Float[Array, "k k"], ridge: Scalar, right: Float[Array, "k"]
) -> Float[Array, "k"]:
    regular = matrix + ridge * jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    operator = lx.MatrixLinearOperator(regular, lx.positive_semidefinite_tag)
    return lx.linear_solve(operator, right, lx.Cholesky(), throw=False).value


def scaled_solve(
    curvature: Float[Array, "p p"], gradient: Float[Array, "p"], damping: Scalar
) -> Float[Array, "p"]:
    """(G + λD²)⁻¹g with D² = diag G, floored, and λ = damping: Marquardt's step."""
    diagonal = jnp.diagonal(curvature)
    scale = jax.lax.rsqrt(diagonal + _FLOOR * jnp.mean(diagonal))
    scaled = scale[:, None] * curvature * scale
    return scale * _solve_spd(scaled, damping, scale * gradient)


def map_step(
    map: AbstractMap, x: Points, field: Points, damping: Scalar
) -> tuple[Float[Array, "p"], Scalar]:
    """The step of eq. (1.5): min_δ E‖∂_θT δ + field‖² + ridge, and the predicted decrease.

    Dense where n·d or p is small; else conjugate gradients through jvp and vjp, which never form
    the Jacobian.
    """
    flat, rebuild = flatten(map)
    scale = 1.0 / jnp.sqrt(jnp.asarray(x.shape[0], dtype=x.dtype))
    if min(x.size, flat.size) <= _DENSE_LIMIT and x.size * flat.size <= _DENSE_ENTRIES:
        return damped_step(scale * jacobian_rows(map, x), scale * field.ravel(), damping)
    return _conjugate_gradients(flat, lambda p: scale * rebuild(p)(x), scale * field, damping)


def _conjugate_gradients(
    flat: Float[Array, "p"],
    evaluate: Callable[[Float[Array, "p"]], Points],
    residual: Points,
    damping: Scalar,
) -> tuple[Float[Array, "p"], Scalar]:
    _, push = jax.linearize(evaluate, flat)
    transposed = jax.linear_transpose(push, flat)
    # E(Aᵀr)² = diag(AᵀA) for random signs r: a few probes give each parameter its scale.
    probes = jax.random.rademacher(jax.random.key(0), (_PROBES, *residual.shape), residual.dtype)
    squares = jnp.mean(jax.lax.map(lambda r: transposed(r)[0] ** 2, probes), axis=0)
    scale = jax.lax.rsqrt(squares + _FLOOR * jnp.mean(squares) + jnp.finfo(flat.dtype).tiny)
    ridge = damping * jnp.sum(squares * scale**2) / residual.size
    operator = lx.FunctionLinearOperator(
        lambda v: scale * transposed(push(scale * v))[0] + ridge * v,
        jax.eval_shape(lambda: flat),
        tags=lx.positive_semidefinite_tag,
    )
    # Any iterate of CG from 0 is a descent direction, so a truncated solve is still a step.
    solver = lx.CG(rtol=1e-4, atol=0.0, max_steps=_CG_STEPS)
    right = scale * transposed(residual)[0]
    delta = -scale * lx.linear_solve(operator, right, solver, throw=False).value
    after = push(delta) + residual
    return delta, 0.5 * (jnp.sum(residual**2) - jnp.sum(after**2))


def adapt_damping(damping: Scalar, gain: Scalar) -> Scalar:
    """Levenberg-Marquardt: less damping after a step the model foresaw, else more."""
    factor = jnp.where(gain > 0.75, 1 / 3.0, jnp.where(gain < 0.25, 4.0, 1.0))
    return jnp.clip(damping * factor, 1e-12, 1e6)
