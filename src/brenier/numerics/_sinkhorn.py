"""Entropic transport between two weighted clouds: Sinkhorn's iteration, in memory or streamed."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from brenier._types import Array, Bool, Float, Int, Scalar
from brenier.numerics._checked_inputs import checked_inputs
from brenier.numerics._devices import over_devices
from brenier.numerics._half_steps import DRIFT, Transform, by_kernel, by_tiles
from brenier.numerics._plan_error import plan_error
from brenier.numerics._sides import Side, best_translation
from brenier.numerics._streaming import TILE, log_sum_exp, pairs, soft_reduce

# The kernel matrix is kept up to this many entries (128 MiB of float64).
_KERNEL_ENTRIES = 2**24
# A streamed problem starts from the solution for this many of its points.
_COARSE_POINTS = 4096
# At each ε above the last the iteration ends at this error, or after this many iterations.
_LEVEL_ERROR, _LEVEL_ITERATIONS = 0.1, 10
# What the error in the dtype is brought down to, where the true one is still above the tolerance:
# by such a factor again and again, no lower than so many units of rounding.
_CLOSER, _LEAST_ERROR = 0.25, 4.0
# After every _PERIOD iterations the over-relaxation is fitted to the rate observed, or eased (on 40
# problems: without easing, an overestimate costs up to 5 times the iterations).
_PERIOD, _MOST_RELAXED, _EASING = 6, 1.98, 0.95


class SinkhornResult(NamedTuple):
    """Potentials f (n,), g (m,) of the plan a_i b_j exp((f_i + g_j − c_ij)/ε).

    ``error`` is the L1 error of its two marginals together, over its mass where a penalty leaves
    that free, evaluated in float64 for the potentials as they are; ``iterations`` counts pairs of
    half-steps at the full problem; ``converged`` says that the error met the tolerance.
    ``source_growth`` e^{−f/τ} (n,) and ``target_growth`` (m,) are by what the plan's marginals are
    more or less than a and b: 1 for a side that is held as it is.

    >>> result = sinkhorn(jnp.zeros((1, 1)), jnp.full((1, 1), 2.0), epsilon=0.1)
    >>> bool(result.converged), round(float(result.f[0] + result.g[0]), 6)  # c = ½·2²
    (True, 2.0)
    """

    f: Float[Array, " n"]
    g: Float[Array, " m"]
    error: Scalar
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]
    source_growth: Float[Array, " n"]
    target_growth: Float[Array, " m"]


class _State(NamedTuple):
    f: Array
    g: Array
    epsilon: Array
    relaxation: Array
    error: Array
    iterations: Array


class _Descent(NamedTuple):
    """The last ε, the factor down to it, and what ends the iteration there."""

    epsilon: Array
    limit: Array
    max_iterations: int | Array
    factor: float


def _streamed_pairs(x: Any, y: Any, *_: Any, block: int | None = None, **kwargs: Any) -> int:
    # A kernel in memory is read in less time than devices wait for each other: alone it stays on
    # one, and is split where a larger problem starts from it.
    return pairs(x, y) if block is not None or pairs(x, y) > _KERNEL_ENTRIES else 0


@checked_inputs({"a": "x", "b": "y"}, ("epsilon", "source_penalty", "target_penalty"))
@over_devices(_streamed_pairs)
@partial(jax.jit, static_argnames=("epsilon_scaling", "block"))
def sinkhorn(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    a: Float[Array, " n"] | None = None,
    b: Float[Array, " m"] | None = None,
    *,
    epsilon: float | Scalar,
    source_penalty: float | Scalar | None = None,
    target_penalty: float | Scalar | None = None,
    tolerance: float | Scalar = 1e-5,
    max_iterations: int | Int[Array, ""] = 1000,
    f: Float[Array, " n"] | None = None,
    g: Float[Array, " m"] | None = None,
    epsilon_scaling: float = 0.25,
    block: int | None = None,
) -> SinkhornResult:
    """Entropic transport for the cost c = ½‖x − y‖²: f_i = −ε log Σ_j b_j exp((g_j − c_ij)/ε).

    Alternate half-steps, over-relaxed: f ← f + ω(T(g) − f) with ω = 2/(1 + √(1 − η)), η the rate
    observed (Young's theory; Lehmann et al. 2022), and ω = 1 for a half-step that would not raise
    the dual enough (Thibault et al. 2021): convergence is kept, iterations fall 3 to 10 times.

    Unbalanced, where a side has a penalty τ: the plan is the least of

        ⟨c, π⟩ + ε KL(π | a ⊗ b) + τ KL(π1 | a) + τ' KL(πᵀ1 | b),  KL(p | q) = Σ p log(p/q) − p + q,

    whose marginals are a e^{−f/τ} and b e^{−g/τ'}. A half-step is then f ← τ/(τ + ε) T(g), and
    after each pair the constant in f and g is the best (Séjourné et al. 2022): iterations are few
    for ε ≪ τ too. With both penalties a and b may have any masses; with one the plan's mass is that
    of the other side. At a new point the growth is e^{−f/τ}, f = τ/(τ + ε) ``entropic_potential``.

    Up to 16 million pairs the scaled kernel is kept, and formed anew when the scalings grow:
    log-domain safety at the price of matrix products. Beyond, the kernel is streamed in memory
    O(n + m), from the solution for 4096 points of each cloud. The clouds are centred apart (the
    rest of the cost is separable). Not for reverse-mode differentiation: use the envelope theorem.
    Not for ε far below the spacing of the points, where an assignment solver is faster.

    Args:
        x, y: clouds (n, d) and (m, d).
        a, b: weights, non-negative; divided by their sums unless there is a penalty, when they are
            masses; uniform, of sum 1, where None.
        epsilon: the regularisation ε > 0, in units of ½ squared distance.
        source_penalty, target_penalty: τ > 0 of π1 and of πᵀ1, in units of ½ squared distance: mass
            is made or removed rather than moved by more than about √(2τ). None: that marginal is
            held as it is. The penalties and ε of libraries whose cost is ‖x − y‖² are twice these.
        tolerance: on the L1 error of both marginals, relative to the mass. Potentials that are
            rounded to the dtype reach some (cost)/ε units in the last place: below, it does not
            converge.
        max_iterations: where it stops anyway; ``converged`` tells.
        f, g: potentials to start from; either will do (f goes first).
        epsilon_scaling: the factor from one ε to the next, down from the mean cost; 1 starts at
            ``epsilon`` itself.
        block: stream over tiles of this side; None decides by the number of pairs.

    Raises:
        ValueError: weights of another shape, negative, no finite numbers or all 0; a penalty or an
            ε that is not above 0. Not of traced values: a NaN among them ends the iteration, with
            an ``error`` of NaN that has not ``converged``.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[0.0], [1.0]])
    >>> result = sinkhorn(x, x + 5.0, epsilon=0.1, tolerance=1e-9)
    >>> dual = jnp.mean(result.f) + jnp.mean(result.g)
    >>> bool(result.converged), bool(abs(dual - 12.5) < 0.1)
    (True, True)
    >>> y = jnp.array([[0.0], [1.0], [9.0]])  # far from all of x: nothing is sent there
    >>> result = sinkhorn(x, y, epsilon=0.1, source_penalty=1.0, target_penalty=1.0)
    >>> result.target_growth.round(2).tolist()
    [1.17, 1.17, 0.0]
    """
    dtype = x.dtype
    is_balanced = source_penalty is None and target_penalty is None
    a, b = _masses(a, x, is_balanced), _masses(b, y, is_balanced)
    eps, rates = jnp.asarray(epsilon, dtype), (_rate(source_penalty, x), _rate(target_penalty, x))
    given, a_mass, b_mass = (x, y, a, b), jnp.sum(a), jnp.sum(b)
    x_mean, y_mean = a @ x / a_mass, b @ y / b_mass
    shift = x_mean - y_mean
    x, y = x - x_mean, y - y_mean
    # The cost is that of the centred clouds plus these two functions, one of x and one of y.
    source = Side(a, rates[0], x @ shift + 0.5 * (shift @ shift))
    target = Side(b, rates[1], -(y @ shift))
    spread = 0.5 * jnp.sum(a @ (x * x) / a_mass + b @ (y * y) / b_mass)
    least = _LEAST_ERROR * jnp.finfo(dtype).eps
    limit = jnp.maximum(jnp.asarray(tolerance, dtype), least)
    highest = jnp.maximum(eps, spread) if epsilon_scaling < 1.0 else eps
    descent = _Descent(eps, limit, max_iterations, epsilon_scaling)
    streamed = _streamed_pairs(x, y, block=block) > 0
    if f is not None or g is not None:
        if f is None:
            assert g is not None
            soft = entropic_potential(x, y, g - target.part, b, epsilon=eps)
            f = source.damped(soft, eps) + source.part
        f = f - source.part
        if g is None:
            g = target.damped(entropic_potential(y, x, f, a, epsilon=eps), eps) + target.part
        start = _start(f, g - target.part, eps)
    elif streamed:
        rough = descent._replace(limit=jnp.maximum(limit, 1e-3))
        start = _coarse_start(x, y, source, target, rough, highest)
    else:
        start = _start(jnp.zeros_like(a), jnp.zeros_like(b), highest)
    make = partial(by_tiles, tile=block or TILE) if streamed else by_kernel

    def unfinished(reached):
        now, goal, error = reached
        return (error > tolerance) & (now.iterations < max_iterations) & (goal >= least)

    def closer(reached):
        now, goal, _ = reached
        end = _descend(now, partial(make, x, y, a, b), source, target, descent._replace(limit=goal))
        error = plan_error(*given, end.f + source.part, end.g + target.part, eps, rates=rates)
        return end, _CLOSER * goal, error

    first = start, limit, jnp.asarray(jnp.inf, jnp.float64)
    end, _, error = jax.lax.while_loop(unfinished, closer, first)
    return SinkhornResult(
        end.f + source.part,
        end.g + target.part,
        error.astype(dtype),
        end.iterations,
        error <= tolerance,
        jnp.exp(source.log_growth(end.f)),
        jnp.exp(target.log_growth(end.g)),
    )


@checked_inputs({"b": "y"}, ("epsilon",))
@over_devices(pairs)
@jax.jit
def entropic_potential(
    z: Float[Array, "k d"],
    y: Float[Array, "m d"],
    g: Float[Array, " m"],
    b: Float[Array, " m"] | None = None,
    *,
    epsilon: float | Scalar,
) -> Float[Array, " k"]:
    """f(z) = −ε log Σ_j b_j exp((g_j − ½‖z − y_j‖²)/ε) at any points z, streamed.

    >>> import jax.numpy as jnp
    >>> z, y = jnp.array([[3.0]]), jnp.array([[1.0]])
    >>> float(entropic_potential(z, y, jnp.zeros(1), epsilon=0.1).round(6)[0])
    2.0
    """
    centre = jnp.mean(y, axis=0)
    z, y = z - centre, y - centre
    logs = log_sum_exp(z, y, _offsets(y, g, b, epsilon), jnp.asarray(epsilon, y.dtype))
    return 0.5 * jnp.sum(z * z, axis=1) - epsilon * logs


@checked_inputs({"b": "y"}, ("epsilon",))
@over_devices(pairs)
@jax.jit
def barycentric_projection(
    z: Float[Array, "k d"],
    y: Float[Array, "m d"],
    g: Float[Array, " m"],
    b: Float[Array, " m"] | None = None,
    *,
    epsilon: float | Scalar,
) -> Float[Array, "k d"]:
    """T(z) = Σ_j p_j(z) y_j, p(z) ∝ b_j exp((g_j − ½‖z − y_j‖²)/ε), at any points z, streamed.

    The entropic map of Pooladian & Niles-Weed (2021): the mean of where the plan sends z.

    >>> import jax.numpy as jnp
    >>> y = jnp.array([[-1.0], [1.0]])
    >>> barycentric_projection(jnp.zeros((1, 1)), y, jnp.zeros(2), epsilon=0.1).tolist()
    [[0.0]]
    """
    centre = jnp.mean(y, axis=0)
    z, y = z - centre, y - centre
    offsets = _offsets(y, g, b, epsilon)
    return centre + soft_reduce(z, y, offsets, y, jnp.asarray(epsilon, y.dtype))[1]


def _masses(weights: Array | None, points: Array, is_balanced: bool) -> Array:
    """The weights, or equal ones; of sum 1 where both marginals are held as they are."""
    if weights is None:
        return jnp.full(points.shape[0], 1.0 / points.shape[0], points.dtype)
    return weights / jnp.sum(weights) if is_balanced else weights


def _rate(penalty: float | Scalar | None, x: Array) -> Array:
    """1/τ, 0 for a marginal that is held as it is."""
    return jnp.zeros((), x.dtype) if penalty is None else 1.0 / jnp.asarray(penalty, x.dtype)


def _offsets(y: Array, g: Array, b: Array | None, epsilon: float | Scalar) -> Array:
    """log b_j + (g_j − ½‖y_j‖²)/ε: what is left of the scores beside ⟨z, y_j⟩/ε − ½‖z‖²/ε."""
    log_b = -jnp.log(y.shape[0]) if b is None else jnp.log(b)
    return log_b + (g - 0.5 * jnp.sum(y * y, axis=1)) / epsilon


def _start(f: Array, g: Array, epsilon: Array) -> _State:
    one = jnp.ones((), f.dtype)
    return _State(f, g, epsilon, one, one * jnp.inf, jnp.asarray(0, jnp.int32))


def _coarse_start(
    x: Array, y: Array, source: Side, target: Side, descent: _Descent, highest: Array
) -> _State:
    """The solution for a systematic sample of both clouds, extended to all their points."""
    i, j = _systematic_sample(source.weights), _systematic_sample(target.weights)
    few_source, few_target = source.at(i), target.at(j)
    a, b = few_source.weights, few_target.weights
    start = _start(jnp.zeros_like(a), jnp.zeros_like(b), highest)
    make = partial(by_kernel, x[i], y[j], a, b)
    few = _descend(start, make, few_source, few_target, descent)
    f = source.damped(
        entropic_potential(x, y[j], few.g, b, epsilon=descent.epsilon), descent.epsilon
    )
    g = target.damped(
        entropic_potential(y, x[i], few.f, a, epsilon=descent.epsilon), descent.epsilon
    )
    return _start(f, g, descent.epsilon)._replace(relaxation=few.relaxation)


def _systematic_sample(weights: Array) -> Array:
    """Indices of equally weighted points, spaced evenly along the cumulated weights."""
    count = min(weights.shape[0], _COARSE_POINTS)
    levels = (jnp.arange(count) + 0.5) / count * jnp.sum(weights)
    found = jnp.searchsorted(jnp.cumsum(weights), levels.astype(weights.dtype))
    return jnp.minimum(found, weights.shape[0] - 1)


def _descend(
    start: _State,
    make: Callable[[Array, Array, Array], tuple[Transform, Transform]],
    source: Side,
    target: Side,
    descent: _Descent,
) -> _State:
    """Relax level after level, ε falling by ``factor`` down to the last, there to the limit."""

    def unfinished(state):
        return (state.error > descent.limit) & (state.iterations < descent.max_iterations)

    def level(state):
        final = state.epsilon <= descent.epsilon
        left = descent.max_iterations - state.iterations
        end = _relax(
            state,
            make(state.f, state.g, state.epsilon),
            source,
            target,
            goal=jnp.where(final, descent.limit, _LEVEL_ERROR),
            budget=jnp.where(final, left, _LEVEL_ITERATIONS),
        )
        lower = jnp.maximum(descent.epsilon, descent.factor * state.epsilon)
        # Where nothing is a number no iteration was made, or its error is none: no level ends that.
        is_lost = (end.iterations == 0) | jnp.isnan(end.error)
        error = jnp.where(is_lost, jnp.nan, end.error)
        # Error and iterations are those at the last ε alone.
        return end._replace(
            epsilon=lower,
            error=jnp.where(final | is_lost, error, jnp.inf),
            iterations=jnp.where(final, state.iterations + end.iterations, 0),
        )

    return jax.lax.while_loop(unfinished, level, start)


def _relax(
    state: _State,
    transforms: tuple[Transform, Transform],
    source: Side,
    target: Side,
    goal: Array,
    budget: Array,
) -> _State:
    """Over-relaxed iterations at one ε, until the error, the budget or the drift ends them."""
    rows, columns = transforms
    epsilon = state.epsilon

    def going(carry):
        now, _, _ = carry
        drift = jnp.maximum(jnp.max(jnp.abs(now.f - state.f)), jnp.max(jnp.abs(now.g - state.g)))
        return (now.error > goal) & (now.iterations < budget) & (drift <= DRIFT * epsilon)

    def iterate(carry):
        now, g_target, mark = carry
        g = target.over_relaxed(now.g, g_target, now.relaxation, epsilon)
        f_soft = rows(now.f, g)
        f = source.over_relaxed(now.f, source.damped(f_soft, epsilon), now.relaxation, epsilon)
        g_soft = columns(f, g)
        # The soft minima move with the constant.
        constant = best_translation(source, target, f, g)
        f, g = f + constant, g - constant
        f_target = source.damped(f_soft + constant, epsilon)
        g_target = target.damped(g_soft - constant, epsilon)
        error = source.error(f, f_target, epsilon) + target.error(g, g_target, epsilon)
        count = now.iterations + 1
        fit = count % _PERIOD == 0
        fitted = _fitted_relaxation(now.relaxation, error / mark)
        relaxation = jnp.where(fit, fitted, now.relaxation)
        following = _State(f, g, epsilon, relaxation, error, count)
        return following, g_target, jnp.where(fit, error, mark)

    start = state._replace(
        error=jnp.full_like(state.error, jnp.inf), iterations=jnp.zeros_like(state.iterations)
    )
    carry = start, target.damped(columns(state.f, state.g), epsilon), start.error
    return jax.lax.while_loop(going, iterate, carry)[0]


def _fitted_relaxation(relaxation: Array, ratio: Array) -> Array:
    """Young's optimal ω for the error's ratio over a period at the present ω.

    Below the optimum the rate λ solves (λ + ω − 1)² = λω²η, which gives η and the optimum. At or
    above it λ = ω − 1 tells nothing, and ω is eased until λ does.
    """
    rate = ratio ** (1.0 / _PERIOD)
    eta = jnp.minimum((rate + relaxation - 1.0) ** 2 / (rate * relaxation**2), 1.0)
    best = jnp.minimum(2.0 / (1.0 + jnp.sqrt(1.0 - eta)), _MOST_RELAXED)
    eased = 1.0 + _EASING * (relaxation - 1.0)
    fitted = jnp.where((rate < 1.0) & (rate > relaxation - 1.0), best, eased)
    # No rate has been seen in the first period.
    return jnp.where(ratio > 0.0, fitted, relaxation)
