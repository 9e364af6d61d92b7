"""Entropic transport of a cloud onto itself, and the score estimate that it gives."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Int, Points, Scalar, Weights
from brenier.numerics._pairwise import median_squared_distance
from brenier.numerics._streaming import TILE, log_sum_exp, soft_reduce, squared_distances

# The kernel matrix is kept up to this many entries (32 MiB of float64: it fits the caches, and a
# hundred of them, vmapped, the memory); larger clouds are streamed.
_KERNEL_ENTRIES = 2**22


class SelfTransport(NamedTuple):
    """The entropic potential f (n,) of a cloud and itself, and how well it solves (1.10).

    ``residual`` is the L1 error of the plan's marginal; ``iterations`` what it took.
    """

    potential: Float[Array, "n"]
    residual: Scalar
    iterations: Int[Array, ""]


@partial(jax.jit, static_argnames=("max_iterations", "block"))
def self_transport(
    x: Points, weights: Weights | None = None, *, epsilon: float | Scalar,
    tolerance: float | Scalar = 1e-6, max_iterations: int = 100, block: int | None = None,
) -> SelfTransport:
    """Entropic self-transport: f_i = −ε log Σ_j w_j exp((f_j − ½‖x_i − x_j‖²)/ε).

    The relaxed fixed point f ← f/3 + ⅔ T(f). T reverses order and contracts no better than the
    plan P, whose spectrum lies in [0, 1]; so the iteration's lies in [−⅓, ⅓] and each step gains a
    factor 3 whatever ε is (the average f/2 + T(f)/2 gains 2). It is a Krasnoselskii-Mann
    iteration: f never moves away from the solution, and the kernel form cannot overflow.
    Not differentiable in reverse mode; use the envelope theorem. DLV26, MATH_1 (1.10).

    Args:
        x: the cloud (n, d).
        weights: (n,), non-negative with sum 1; uniform where None.
        epsilon: the regularisation ε > 0, in units of a squared distance.
        tolerance: on the L1 marginal error; no lower than 16 units of rounding.
        max_iterations: where the iteration stops anyway; ``residual`` tells.
        block: stream over tiles of this side; None keeps the kernel matrix for n ≤ 2048.

    >>> import jax.numpy as jnp
    >>> solution = self_transport(jnp.array([[0.0], [10.0]]), epsilon=1.0)
    >>> bool(jnp.allclose(solution.potential, 0.5 * jnp.log(2.0)))
    True
    """
    x = x - jnp.mean(x, axis=0)
    w = _uniform(x) if weights is None else weights
    eps = jnp.asarray(epsilon, x.dtype)
    if block is None and x.shape[0] ** 2 <= _KERNEL_ENTRIES:
        kernel = jnp.exp(squared_distances(x, x) / (-2.0 * eps))
        return _solve(_kernel_transform(kernel, w), w, eps, tolerance, max_iterations)
    transform = _streamed_transform(x, w, eps, block)
    return _solve(transform, w, eps, tolerance, max_iterations)


@partial(jax.jit, static_argnames=("max_iterations", "block"))
def self_entropic_score(
    x: Points, weights: Weights | None = None, *, epsilon: float | Scalar | None = None,
    tolerance: float | Scalar = 1e-6, max_iterations: int = 100, block: int | None = None,
) -> Points:
    """Estimated score ∇log ρ at the particles x_i ∼ ρ: −(2/ε)(x_i − Σ_j π_ij x_j).

    π_i is the softmax of (f_j − ½‖x_i − x_j‖²)/ε with f the self-transport potential. The default
    ε = 0.05 · median‖x_i − x_j‖² over the pairs i ≠ j suits some hundred particles in low
    dimension; it is biased for many (let ε fall with n) and hopeless in d > 20, where neighbours
    are too few. DLV26, MATH_1 (1.10).

    Args: as for ``self_transport``. A point of weight 0 so far out that its kernel row underflows
    gets the score 0.

    >>> import jax.numpy as jnp
    >>> x = jnp.linspace(-3.0, 3.0, 201)[:, None]
    >>> w = jnp.exp(-0.5 * x[:, 0] ** 2); w = w / w.sum()
    >>> score = self_entropic_score(x, w, epsilon=0.05)
    >>> bool(abs(score[130, 0] + x[130, 0]) < 0.05)
    True
    """
    x = x - jnp.mean(x, axis=0)
    w = _uniform(x) if weights is None else weights
    eps = default_epsilon(x) if epsilon is None else jnp.asarray(epsilon, x.dtype)
    if block is None and x.shape[0] ** 2 <= _KERNEL_ENTRIES:
        kernel = jnp.exp(squared_distances(x, x) / (-2.0 * eps))
        solution = _solve(_kernel_transform(kernel, w), w, eps, tolerance, max_iterations)
        mass = w * jnp.exp(solution.potential / eps)
        sums = kernel @ jnp.concatenate([mass[:, None], mass[:, None] * x], axis=1)
        seen = sums[:, :1] > 0
        means = jnp.where(seen, sums[:, 1:] / jnp.where(seen, sums[:, :1], 1.0), x)
    else:
        transform = _streamed_transform(x, w, eps, block)
        solution = _solve(transform, w, eps, tolerance, max_iterations)
        offsets = jnp.log(w) + (solution.potential - 0.5 * jnp.sum(x * x, axis=1)) / eps
        means = soft_reduce(x, x, offsets, x, eps, tile=block or TILE)[1]
    return (-2.0 / eps) * (x - means)


def default_epsilon(x: Points) -> Scalar:
    """ε = 0.05 · median‖x_i − x_j‖²; above 0 for coinciding points too. MATH_1 (1.10)."""
    median = median_squared_distance(x)
    spread = 2.0 * jnp.sum(jnp.var(x, axis=0))
    scale = jnp.where(median > 0, median, jnp.where(spread > 0, spread, 1.0))
    return jax.lax.stop_gradient(0.05 * scale)


def _uniform(x: Points) -> Weights:
    return jnp.full(x.shape[0], 1.0 / x.shape[0], x.dtype)


def _kernel_transform(kernel: Array, weights: Weights) -> Callable[[Array], Array]:
    """u ↦ log K(w eᵘ), u = f/ε, kept finite where a row of the kernel underflows."""
    tiny = jnp.finfo(kernel.dtype).tiny
    return lambda u: jnp.log(jnp.maximum(kernel @ (weights * jnp.exp(u)), tiny))


def _streamed_transform(
    x: Points, weights: Weights, epsilon: Scalar, block: int | None
) -> Callable[[Array], Array]:
    half = 0.5 * jnp.sum(x * x, axis=1) / epsilon
    offsets = jnp.log(weights) - half
    return lambda u: log_sum_exp(x, x, offsets + u, epsilon, tile=block or TILE) - half


def _solve(
    transform: Callable[[Array], Array], weights: Weights, epsilon: Scalar,
    tolerance: float | Scalar, max_iterations: int,
) -> SelfTransport:
    floor = jnp.maximum(jnp.asarray(tolerance, weights.dtype), 16 * jnp.finfo(weights.dtype).eps)

    def measured(u, count):
        gap = u + transform(u)
        return u, gap, jnp.sum(weights * jnp.abs(jnp.expm1(gap))), count

    def unfinished(state):
        return (state[2] > floor) & (state[3] < max_iterations)

    def advance(state):
        u, gap, _, count = state
        return measured(u - (2.0 / 3.0) * gap, count + 1)

    # Half of the first transform is the solution for distant points.
    start = measured(-0.5 * transform(jnp.zeros_like(weights)), jnp.asarray(1, jnp.int32))
    u, _, residual, count = jax.lax.while_loop(unfinished, advance, start)
    return SelfTransport(epsilon * u, residual, count)
