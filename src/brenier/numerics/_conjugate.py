"""Convex conjugates φ*(y) = max_x ⟨x, y⟩ − φ(x), for many y at once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Int, Matrix, Point, Points, Scalar
from brenier.numerics._blocks import block_by_block, block_size
from brenier.numerics._determinants import spd_solve
from brenier.numerics._devices import over_devices
from brenier.numerics._streaming import shared_tiles

# Past this dimension a Hessian per point costs more than the iterations that it saves.
_NEWTON_DIMENSION = 32
# Pairs of steps and gradient changes that L-BFGS remembers.
_MEMORY = 10
# Steps after which a point that came no closer is at the floor of its rounding, whatever that is.
_PATIENCE = 30
# What counts as closer: this share of the residual gone, or more than this one of the descent.
_CLOSER, _LOWER = 0.1, 1e-3
_ARMIJO, _SHORTEST = 1e-4, 1e-12


class Conjugate(NamedTuple):
    """The maximiser ∇φ*(y) (n, d), the value ⟨x, y⟩ − φ(x) ≤ φ*(y) there, and what it took.

    ``residual`` is ‖y − ∇φ(x)‖ at the point returned (∞ where φ is not finite): look at it, or
    bound what it costs with ``conjugate_upper_bound``.

    >>> found = conjugate(lambda x: 0.5 * x @ x, jnp.array([[3.0]]))
    >>> found.point.round(9).tolist(), found.value.round(9).tolist()
    ([[3.0]], [4.5])
    """

    point: Float[Array, "n d"]
    value: Float[Array, " n"]
    residual: Float[Array, " n"]
    iterations: Int[Array, " n"]


class _Iterate(NamedTuple):
    point: Array
    value: Array
    gradient: Array
    iterations: Array
    stuck: Array
    memory: tuple[Array, Array]
    best: "_Best"


class _Best(NamedTuple):
    """The point of the least residual yet, the first value and the lowest, and idle steps."""

    point: Array
    value: Array
    residual: Array
    first: Array
    lowest: Array
    idle: Array


def conjugate_work(value: Any, y: Any, *args: Any, **kwargs: Any) -> int:
    """What ``over_devices`` asks for: some thousand numbers a point, in some 16 iterations.

    >>> conjugate_work(None, jnp.ones((2, 3)))
    32768
    """
    return 2**14 * y.shape[0]


@over_devices(conjugate_work, factorises=True)
@eqx.filter_jit
def conjugate(
    value: Callable[[Point], Scalar],
    y: Points,
    init: Points | None = None,
    *,
    hessian: Callable[[Point], Matrix] | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 1000,
    method: str | None = None,
) -> Conjugate:
    """φ*(y) = max_x ⟨x, y⟩ − φ(x) of a convex φ, and the maximiser ∇φ*(y) = (∇φ)⁻¹(y).

    Newton's method (d ≤ 32) or L-BFGS, each with Armijo backtracking, point by point in blocks, so
    that memory stays bounded. Every result is finite for finite y; a point where the method did not
    converge (φ not strongly convex, y outside ∇φ(R^d), a kink, digits that φ does not have) shows
    in its residual: it is left where that was least, once 30 steps have brought it no closer.
    Not for reverse-mode differentiation: ∇φ*(y) is the point, D²φ*(y) = D²φ(point)⁻¹.

    Args:
        value: φ at one point (d,), differentiable, twice for Newton. A method of an equinox module
            compiles once for all parameters.
        y: where (n, d).
        init: starting points (n, d); y itself where None (right for φ ≈ ½‖x‖²).
        hessian: D²φ at one point (d, d), where there is a shorter way to it than jax's.
        tolerance: on ‖y − ∇φ(x)‖ / (1 + ‖y‖); no lower than 32 units of rounding.
        max_iterations: where a point stops anyway.
        method: "newton", "lbfgs", or None to choose by the dimension.

    >>> import jax.numpy as jnp
    >>> result = conjugate(lambda x: jnp.sum(jnp.cosh(x)), jnp.array([[0.0, 1.0]]))
    >>> bool(jnp.allclose(result.point, jnp.arcsinh(jnp.array([[0.0, 1.0]]))))
    True
    """
    if method not in (None, "newton", "lbfgs"):
        raise ValueError(f"method: got {method!r}; wants 'newton', 'lbfgs' or None.")
    d = y.shape[1]
    y = y.astype(jnp.result_type(y, jax.eval_shape(value, y[0])))
    newton = method == "newton" or (method is None and d <= _NEWTON_DIMENSION)
    tolerance = max(tolerance, 32 * float(jnp.finfo(y.dtype).eps))
    floats = 1024 + 16 * d + (4 * d * d if newton else 2 * _MEMORY * d)
    # On a CPU it stays in the cache, and no block waits long for its slowest point.
    block = block_size(floats)
    tiles = shared_tiles(y, block), shared_tiles(y if init is None else init, block)
    if newton and hessian is None:
        hessian = eqx.Partial(_hessian, value)
    one = eqx.Partial(_maximise, value, hessian if newton else None, tolerance, max_iterations)
    blocks = block_by_block(one, tiles)
    padded = tiles[0].shape[0] * tiles[0].shape[1]
    return jax.tree.map(lambda z: z.reshape(padded, *z.shape[2:])[: y.shape[0]], blocks)


def conjugate_upper_bound(
    result: Conjugate, strong_convexity: float | Scalar
) -> Float[Array, " n"]:
    """φ*(y) ≤ ⟨x̂, y⟩ − φ(x̂) + ‖y − ∇φ(x̂)‖²/(2m), rigorous for any x̂ if φ is m-strongly convex.

    An inexact conjugate makes it looser, never wrong. With m = 0 it is ∞ unless the residual is 0.
    Theory (5.4).

    >>> import jax.numpy as jnp
    >>> rough = conjugate(lambda x: x @ x, jnp.array([[4.0]]), max_iterations=0)
    >>> float(rough.value[0]), float(conjugate_upper_bound(rough, 2.0)[0])
    (0.0, 4.0)
    """
    gap = jnp.square(result.residual) / (2.0 * strong_convexity)
    return result.value + jnp.where(result.residual > 0, gap, 0.0)


def _hessian(value: Callable[[Point], Scalar], x: Point) -> Matrix:
    return jax.hessian(value)(x)


def _maximise(
    value: Callable[[Point], Scalar],
    hessian: Callable[[Point], Matrix] | None,
    tolerance: float,
    max_iterations: int,
    y: Point,
    init: Point,
) -> Conjugate:
    """One point: minimise ψ(x) = φ(x) − ⟨x, y⟩, by Newton's method where D²φ is given."""

    def objective(x):
        return value(x) - x @ y

    evaluate = jax.value_and_grad(objective)
    limit = tolerance * (1.0 + jnp.linalg.norm(y))

    def unfinished(now):
        going = ~now.stuck & (now.iterations < max_iterations)
        return going & (jnp.linalg.norm(now.gradient) > limit)

    def iterate(now):
        direction = (
            _two_loops(now.gradient, *now.memory)
            if hessian is None
            else -spd_solve(_ridged(hessian(now.point)), now.gradient)
        )
        slope = direction @ now.gradient
        # Where the model is of no use: steepest descent.
        direction = jnp.where(slope < 0, direction, -now.gradient)
        slope = jnp.where(slope < 0, slope, -(now.gradient @ now.gradient))
        # Values are known to a few units of rounding: near the solution all steps are accepted.
        slack = 8 * jnp.finfo(y.dtype).eps * (jnp.abs(now.value) + jnp.abs(now.point @ y))

        def too_long(t):
            trial = objective(now.point + t * direction)
            return ~(trial <= now.value + _ARMIJO * t * slope + slack) & (t > _SHORTEST)

        length = jax.lax.while_loop(too_long, lambda t: 0.5 * t, jnp.ones((), y.dtype))
        stuck = length <= _SHORTEST
        point = jnp.where(stuck, now.point, now.point + length * direction)
        new_value, gradient = evaluate(point)
        memory = (
            now.memory
            if hessian is not None
            else _remember(now.memory, point - now.point, gradient - now.gradient)
        )
        best = _better(now.best, point, new_value, jnp.linalg.norm(gradient))
        stuck |= best.idle >= _PATIENCE
        return _Iterate(point, new_value, gradient, now.iterations + 1, stuck, memory, best)

    empty = jnp.zeros((_MEMORY if hessian is None else 0, y.shape[0]), y.dtype)
    first, slope = evaluate(init)
    none, count = jnp.asarray(False), jnp.asarray(0, jnp.int32)
    away = jnp.linalg.norm(slope)
    best = _Best(init, first, jnp.where(away < jnp.inf, away, jnp.inf), first, first, count)
    start = _Iterate(init, first, slope, count, none, (empty, empty), best)
    end = jax.lax.while_loop(unfinished, iterate, start)
    known = jnp.isfinite(end.best.residual) & jnp.isfinite(end.best.value)
    return Conjugate(
        end.best.point,
        jnp.where(known, 0.0 - end.best.value, -jnp.inf),
        jnp.where(known, end.best.residual, jnp.inf),
        end.iterations,
    )


def _better(best: _Best, point: Point, value: Scalar, residual: Scalar) -> _Best:
    """The best of the points seen, with one more; it is idle where that came no closer."""
    closer = residual <= (1.0 - _CLOSER) * best.residual
    lower = value < best.lowest - _LOWER * (best.first - best.lowest)
    taken = residual < best.residual
    return _Best(
        jnp.where(taken, point, best.point),
        jnp.where(taken, value, best.value),
        jnp.where(taken, residual, best.residual),
        best.first,
        jnp.minimum(best.lowest, value),
        jnp.where(closer | lower, 0, best.idle + 1),
    )


def _ridged(hessian: Matrix) -> Matrix:
    """The Hessian, raised by rounding so that a flat direction still has a pivot."""
    d, info = hessian.shape[0], jnp.finfo(hessian.dtype)
    ridge = 4 * info.eps * jnp.trace(hessian) / d + jnp.sqrt(info.tiny)
    return hessian + ridge * jnp.eye(d, dtype=hessian.dtype)


def _two_loops(gradient: Point, steps: Array, changes: Array) -> Point:
    """−H⁻¹g with the inverse Hessian of L-BFGS; the memory is newest first, empty slots 0."""
    curvatures = jnp.sum(steps * changes, axis=1)
    inverses = jnp.where(curvatures > 0, 1.0 / jnp.where(curvatures > 0, curvatures, 1.0), 0.0)
    slots = (steps, changes, inverses)

    def down(q, slot):
        step, change, inverse = slot
        alpha = inverse * (step @ q)
        return q - alpha * change, alpha

    def up(r, slot_alpha):
        (step, change, inverse), alpha = slot_alpha
        return r + (alpha - inverse * (change @ r)) * step, None

    q, alphas = jax.lax.scan(down, gradient, slots)
    newest = changes[0] @ changes[0]
    scale = jnp.where(newest > 0, curvatures[0] / jnp.where(newest > 0, newest, 1.0), 1.0)
    r, _ = jax.lax.scan(up, scale * q, (slots, alphas), reverse=True)
    return -r


def _remember(memory: tuple[Array, Array], step: Point, change: Point) -> tuple[Array, Array]:
    """The memory with the newest pair in front, where the pair has curvature."""
    eps = jnp.finfo(step.dtype).eps
    curved = step @ change > eps * jnp.linalg.norm(step) * jnp.linalg.norm(change)
    steps, changes = memory
    return (
        jnp.where(curved, jnp.concatenate([step[None], steps[:-1]]), steps),
        jnp.where(curved, jnp.concatenate([change[None], changes[:-1]]), changes),
    )
