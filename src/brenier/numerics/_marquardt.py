"""Damped Gauss-Newton steps on the parameters of any module, scaled after Marquardt."""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve
from jax.scipy.sparse.linalg import cg

from brenier._types import Array, Float, Scalar

Module = TypeVar("Module", bound=eqx.Module)

# Parameters whose derivatives are below about 3 % (√1e-3) of the mean are damped as if at 3 %.
_FLOOR = 1e-3
# Random signs by which a diagonal is estimated.
_PROBES = 8


def flatten_parameters(
    module: Module,
) -> tuple[Float[Array, " p"], Callable[[Float[Array, " p"]], Module]]:
    """The parameters of a module as one vector, and the function that puts a vector back.

    >>> flat, rebuild = flatten_parameters(eqx.nn.Linear(2, 1, key=jax.random.key(0)))
    >>> flat.shape, rebuild(jnp.zeros(3)).bias.tolist()
    ((3,), [0.0])
    """
    parameters, static = eqx.partition(module, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(parameters)
    return flat, lambda vector: eqx.combine(unravel(vector), static)


def marquardt_scale(squares: Float[Array, " p"]) -> Float[Array, " p"]:
    """1/D with D² the diagonal of the curvature, bounded below by a share of its mean.

    In the units 1/D all parameters are damped alike. Without it the weights behind a
    reparametrisation, whose derivatives differ by orders of magnitude, would stall the step.

    >>> marquardt_scale(jnp.array([4.0, 4.0])).round(3).tolist()
    [0.5, 0.5]
    """
    return 1.0 / jnp.sqrt(squares + _FLOOR * jnp.mean(squares) + jnp.finfo(squares.dtype).tiny)


def solve_regularised(
    matrix: Float[Array, "k k"], ridge: Scalar, right: Float[Array, " k"]
) -> Float[Array, " k"]:
    """(M + ridge I)⁻¹ b, M symmetric positive semidefinite; NaN where rounding made it indefinite.

    >>> solve_regularised(jnp.eye(1), jnp.asarray(1.0), jnp.ones(1)).round(6).tolist()
    [0.5]
    """
    regular = matrix + ridge * jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return cho_solve(cho_factor(regular), right)


def scaled_solve(
    curvature: Float[Array, "p p"], gradient: Float[Array, " p"], damping: Scalar
) -> Float[Array, " p"]:
    """Marquardt's step (G + λD²)⁻¹g, D² = diag G as in ``marquardt_scale`` and λ = damping.

    Not for many parameters, where G is not formed: see ``scaled_conjugate_gradients``.

    >>> scaled_solve(2.0 * jnp.eye(1), jnp.ones(1), jnp.asarray(1.0)).round(3).tolist()
    [0.25]
    """
    scale = marquardt_scale(jnp.diagonal(curvature))
    scaled = scale[:, None] * curvature * scale
    return scale * solve_regularised(scaled, damping, scale * gradient)


def probed_squares(transposed: Callable[[Array], Array], residual: Array) -> Float[Array, " p"]:
    """diag(AᵀA) from v ↦ Aᵀv alone, as the mean of (Aᵀr)² over a few random signs r.

    The signs are the same at every call. r has the shape and the dtype of ``residual``.

    >>> probed_squares(lambda r: 3.0 * r, jnp.zeros(2)).tolist()
    [9.0, 9.0]
    """
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

    Every iterate from 0 is a descent direction, so it may stop early: where the scaled residual is
    ``tolerance`` of what it was, or after ``max_steps``.

    >>> one = jnp.ones(1)
    >>> scaled_conjugate_gradients(
    ...     lambda v: v, one, one, jnp.asarray(1.0), tolerance=1e-6, max_steps=5).round(6).tolist()
    [0.5]
    """

    def regularised(v: Float[Array, " p"]) -> Float[Array, " p"]:
        return scale * product(scale * v) + ridge * v

    return scale * cg(regularised, scale * right, tol=tolerance, maxiter=max_steps)[0]


def adapt_damping(damping: Scalar, gain: Scalar) -> Scalar:
    """Levenberg-Marquardt: less damping after a step that the model foresaw, else more.

    Args:
        damping: of the step.
        gain: the decrease of the objective over the decrease that the model foresaw.

    >>> adapt_damping(jnp.asarray(1.0), jnp.asarray(0.0)).item()
    4.0
    """
    factor = jnp.where(gain > 0.75, 1 / 3.0, jnp.where(gain < 0.25, 4.0, 1.0))
    return jnp.clip(damping * factor, 1e-12, 1e6)
