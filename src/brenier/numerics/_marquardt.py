"""Damped Gauss-Newton steps on the parameters of any module, scaled after Marquardt."""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree

from brenier._types import Array, Float, Scalar

Module = TypeVar("Module", bound=eqx.Module)

# Parameters whose derivative is below about 3 % of the mean are damped as if at that.
_FLOOR = 1e-3
_PROBES = 8


def flatten(module: Module) -> tuple[Float[Array, " p"], Callable[[Float[Array, " p"]], Module]]:
    """The parameters of a module as one vector, and the function that puts a vector back."""
    parameters, static = eqx.partition(module, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(parameters)
    return flat, lambda vector: eqx.combine(unravel(vector), static)


def marquardt_scale(squares: Float[Array, " p"]) -> Float[Array, " p"]:
    """1/D with D² = diag of the curvature, floored: units in which a step has one size.

    Without it the weights behind a reparametrisation, whose derivatives differ by orders of
    magnitude, stall the step.
    """
    return 1.0 / jnp.sqrt(squares + _FLOOR * jnp.mean(squares) + jnp.finfo(squares.dtype).tiny)


def solve_regularised(
    matrix: Float[Array, "k k"], ridge: Scalar, right: Float[Array, " k"]
) -> Float[Array, " k"]:
    """(M + ridge I)⁻¹ b for M symmetric positive semidefinite; NaN where rounding broke that."""
    regular = matrix + ridge * jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    operator = lx.MatrixLinearOperator(regular, lx.positive_semidefinite_tag)
    return lx.linear_solve(operator, right, lx.Cholesky(), throw=False).value


def scaled_solve(
    curvature: Float[Array, "p p"], gradient: Float[Array, " p"], damping: Scalar
) -> Float[Array, " p"]:
    """(G + λD²)⁻¹g with D² = diag G, floored, and λ = damping: Marquardt's step."""
    scale = marquardt_scale(jnp.diagonal(curvature))
    scaled = scale[:, None] * curvature * scale
    return scale * solve_regularised(scaled, damping, scale * gradient)


def probed_squares(transposed: Callable[[Array], Array], residual: Array) -> Float[Array, " p"]:
    """diag(AᵀA) from v ↦ Aᵀv alone, as E(Aᵀr)² over random signs r; shaped by ``residual``."""
    probes = jax.random.rademacher(jax.random.key(0), (_PROBES, *residual.shape), residual.dtype)
    return jnp.mean(jax.lax.map(lambda r: transposed(r) ** 2, probes), axis=0)


def scaled_conjugate_gradients(
    product: Callable[[Float[Array, " p"]], Float[Array, " p"]],
    right: Float[Array, " p"],
    scale: Float[Array, " p"],
    ridge: Scalar,
    *,
    tolerance: float,
    max_steps: int,
) -> Float[Array, " p"]:
    """``scaled_solve`` from v ↦ Gv alone: (G + ridge·D²)⁻¹b by conjugate gradients, D = 1/scale.

    Stopped early it is still a descent direction: so is any iterate of CG from 0.
    """
    operator = lx.FunctionLinearOperator(
        lambda v: scale * product(scale * v) + ridge * v,
        jax.eval_shape(lambda: right),
        tags=lx.positive_semidefinite_tag,
    )
    solver = lx.CG(rtol=tolerance, atol=0.0, max_steps=max_steps)
    return scale * lx.linear_solve(operator, scale * right, solver, throw=False).value


def adapt_damping(damping: Scalar, gain: Scalar) -> Scalar:
    """Levenberg-Marquardt: less damping after a step the model foresaw, else more."""
    factor = jnp.where(gain > 0.75, 1 / 3.0, jnp.where(gain < 0.25, 4.0, 1.0))
    return jnp.clip(damping * factor, 1e-12, 1e6)
