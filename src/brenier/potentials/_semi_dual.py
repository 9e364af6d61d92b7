"""Convex potentials fitted to two clouds by Gauss-Newton on the semi-dual."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Int, Points, Scalar
from brenier.numerics import (
    adapt_damping,
    conjugate_upper_bound,
    flatten_parameters,
    marquardt_scale,
    probed_squares,
    scaled_conjugate_gradients,
    scaled_solve,
)
from brenier.potentials._base import AbstractPotential
from brenier.potentials._expansion import conjugate_points

# Beyond these the curvature is not formed, and its system is solved by conjugate gradients.
_DENSE_PARAMETERS, _DENSE_ENTRIES = 1000, 2**26
_CG_STEPS = 60
# Conjugates start from those of the last step: a few Newton steps suffice, and (5.4) accounts for
# the residual that they leave.
_CONJUGATE_STEPS, _CONJUGATE_TOLERANCE = 20, 1e-7
# The fit ends after _PATIENCE steps in a row that gain less than this share of the variance of y.
_PATIENCE, _LEAST_GAIN = 3, 1e-6


class SemiDualFit(NamedTuple):
    """The fitted potential, J(φ) at the end, and the steps it took.

    >>> from brenier.potentials import Quadratic
    >>> x = jnp.array([[-1.0], [1.0]])
    >>> fit = minimise_semi_dual(Quadratic.identity(1), x, x)
    >>> round(float(fit.value), 6)  # E φ(X) + E φ*(X) = ½ + ½
    1.0
    """

    potential: AbstractPotential
    value: Scalar
    steps: Int[Array, ""]


class _State(NamedTuple):
    """The best parameters so far, and the candidate to be tried next."""

    flat: Float[Array, " p"]
    points: Points
    value: Scalar
    damping: Scalar
    step: Int[Array, ""]
    idle: Int[Array, ""]
    candidate: Float[Array, " p"]
    foreseen: Scalar


@eqx.filter_jit
def minimise_semi_dual(
    potential: AbstractPotential,
    x: Points,
    y: Points,
    *,
    start: Points | None = None,
    steps: int = 100,
    damping: float = 1.0,
) -> SemiDualFit:
    """min over the parameters of J(φ) = mean φ(x_i) + mean φ*(y_j), whose minimiser transports.

    Newton's method with the Hessian's leading part G = mean ∂_θ∇φ(x̂)ᵀ D²φ(x̂)⁻¹ ∂_θ∇φ(x̂), x̂ =
    ∇φ*(y) (what is left out vanishes where ∇φ reaches the target), damped after Marquardt by the
    gain ratio. J is replaced by its upper bound (5.4), which an inexact conjugate can only raise.
    Every step takes all points: not for more than some 10⁴; ``flows.SemiDual`` takes batches.

    Args:
        potential: strongly convex and smooth, where to start.
        x: source points (n, d).
        y: target points (m, d).
        start: of the conjugate points (m, d); y itself where None.
        steps: at most.
        damping: λ of the first step, in units of the diagonal of G.

    >>> import jax, jax.numpy as jnp
    >>> from brenier.potentials import LogSumExp
    >>> x = jax.random.normal(jax.random.key(0), (500, 1))
    >>> fit = minimise_semi_dual(LogSumExp.identity(jax.random.key(1), 1, 8), x, jnp.sinh(x))
    >>> bool(jnp.abs(fit.potential.gradient(jnp.ones(1)) - jnp.sinh(1.0))[0] < 0.05)
    True
    """
    flat, rebuild = flatten_parameters(potential)

    def objective(flat: Array, points: Points) -> tuple[Scalar, Points]:
        phi = rebuild(flat)
        result = conjugate_points(
            phi, y, points, tolerance=_CONJUGATE_TOLERANCE, max_iterations=_CONJUGATE_STEPS
        )
        upper = conjugate_upper_bound(result, phi.strong_convexity())
        value = jnp.mean(phi(x)) + jnp.mean(upper)
        return jnp.where(jnp.isnan(value), jnp.inf, value), result.point

    def gradient(flat: Array, points: Points) -> Float[Array, " p"]:
        # The envelope theorem: the conjugate points stand still.
        return jax.grad(
            lambda theta: jnp.mean(rebuild(theta)(x)) - jnp.mean(rebuild(theta)(points))
        )(flat)

    def unfinished(state: _State) -> Array:
        return (state.step <= steps) & (state.idle < _PATIENCE)

    def iterate(state: _State) -> _State:
        value, points = objective(state.candidate, state.points)
        better = value < state.value
        gain = (state.value - value) / jnp.maximum(state.foreseen, jnp.finfo(flat.dtype).tiny)
        # The first candidate is the start itself, which no model foresaw.
        gain = jnp.where(jnp.isinf(state.value), 0.5, jnp.where(better, gain, -1.0))
        # A refused step is no sign of the end: the next is damped more.
        idle = better & ((state.value - value) < _LEAST_GAIN * spread)
        kept = jnp.where(better, state.candidate, state.flat)
        points = jnp.where(better, points, state.points)
        damping = adapt_damping(state.damping, gain)
        slope = gradient(kept, points)
        delta, curvature = _newton_step(kept, rebuild, points, slope, damping)
        return _State(
            kept,
            points,
            jnp.where(better, value, state.value),
            damping,
            state.step + 1,
            jnp.where(idle, state.idle + 1, jnp.where(better, 0, state.idle)),
            # The model's fall: ⟨g, δ⟩ + ½⟨δ, Gδ⟩ < 0.
            kept + delta,
            -(slope @ delta + 0.5 * curvature),
        )

    spread = jnp.sum(jnp.var(y, axis=0))
    infinite, zero = jnp.asarray(jnp.inf, flat.dtype), jnp.asarray(0)
    first = _State(
        flat,
        y if start is None else start,
        infinite,
        jnp.asarray(damping, flat.dtype),
        zero,
        zero,
        flat,
        infinite,
    )
    last = jax.lax.while_loop(unfinished, iterate, first)
    return SemiDualFit(rebuild(last.flat), last.value, last.step - 1)


def _newton_step(
    flat: Float[Array, " p"],
    rebuild: Callable[[Float[Array, " p"]], AbstractPotential],
    points: Points,
    slope: Float[Array, " p"],
    damping: Scalar,
) -> tuple[Float[Array, " p"], Scalar]:
    """δ = −(G + λD²)⁻¹g at the conjugate points, and ⟨δ, Gδ⟩."""
    n, d = points.shape
    # D²φ = LLᵀ, so that G = AᵀA with rows A = L⁻¹∂_θ∇φ/√n.
    lower = jnp.linalg.cholesky(rebuild(flat).hessian(points))

    def weighted(theta: Array, point: Array, factor: Array) -> Array:
        image = jax.grad(rebuild(theta).value)(point)
        return jax.scipy.linalg.solve_triangular(factor, image, lower=True) / jnp.sqrt(n)

    if flat.size <= _DENSE_PARAMETERS and n * d * flat.size <= _DENSE_ENTRIES:
        rows = jax.vmap(jax.jacrev(weighted), in_axes=(None, 0, 0))(flat, points, lower)
        rows = rows.reshape(-1, flat.size)
        delta = -scaled_solve(rows.T @ rows, slope, damping)
        return delta, jnp.sum((rows @ delta) ** 2)
    images, push = jax.linearize(lambda p: jax.vmap(weighted, (None, 0, 0))(p, points, lower), flat)
    transposed = jax.linear_transpose(push, flat)
    scale = marquardt_scale(probed_squares(lambda r: transposed(r)[0], images))
    delta = -scaled_conjugate_gradients(
        lambda v: transposed(push(v))[0], slope, scale, damping, tolerance=1e-4, max_steps=_CG_STEPS
    )
    return delta, jnp.sum(push(delta) ** 2)
