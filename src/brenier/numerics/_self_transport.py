"""Entropic transport of a cloud onto itself, and the score estimate that it gives."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Int, Points, Scalar, Weights
from brenier.numerics._checked_inputs import checked_inputs
from brenier.numerics._devices import over_devices
from brenier.numerics._pairwise import median_squared_distance
from brenier.numerics._plan_error import plan_error
from brenier.numerics._streaming import TILE, log_sum_exp, pairs, soft_reduce, squared_distances

# Up to this many entries the kernel matrix is kept (32 MiB of float64: it fits the caches, and a
# hundred of them under ``vmap`` fit the memory); larger clouds are streamed.
_KERNEL_ENTRIES = 2**22


class SelfTransport(NamedTuple):
    """The entropic transport of a cloud onto itself, and how well it solves (1.10).

    ``potential`` f (n,); ``barycentres`` (n, d), the mean Σ_j π_ij x_j of where each point goes;
    ``residual``, the L1 error of the plan's marginal, evaluated in float64 for the potential as it
    is; ``iterations``, what it took.

    >>> solution = self_transport(jnp.array([[0.0], [10.0]]), epsilon=1.0)
    >>> solution.barycentres.round(6).tolist()  # far apart, each point goes to itself
    [[0.0], [10.0]]
    """

    potential: Float[Array, " n"]
    barycentres: Float[Array, "n d"]
    residual: Scalar
    iterations: Int[Array, ""]


def _streamed_pairs(x: Any, *args: Any, block: int | None = None, **kwargs: Any) -> int:
    return pairs(x) if block is not None or pairs(x) > _KERNEL_ENTRIES else 0


@checked_inputs({"weights": "x"}, ("epsilon",))
@over_devices(_streamed_pairs)
@partial(jax.jit, static_argnames=("max_iterations", "block"))
def self_transport(
    x: Points,
    weights: Weights | None = None,
    *,
    epsilon: float | Scalar,
    tolerance: float | Scalar = 1e-6,
    max_iterations: int = 100,
    block: int | None = None,
) -> SelfTransport:
    """Entropic self-transport: f_i = −ε log Σ_j w_j exp((f_j − ½‖x_i − x_j‖²)/ε).

    The relaxed fixed point f ← f/3 + ⅔ T(f). The derivative of T is minus a plan whose spectrum
    lies in [0, 1], so that of the iteration lies in [−⅓, ⅓]: each step gains a factor 3 whatever
    ε is (the average ½f + ½T(f) gains 2). T is non-expansive, so this Krasnoselskii-Mann iteration
    never moves away from the solution, and the kernel form cannot overflow.
    Not for reverse-mode differentiation: use the envelope theorem. DLV26; Theory (1.10).

    Args:
        x: the cloud (n, d).
        weights: (n,), non-negative, divided by their sum; uniform where None. A point of weight 0
            so far out that its kernel row underflows is its own barycentre.
        epsilon: the regularisation ε > 0, in units of a squared distance.
        tolerance: on the L1 marginal error; no lower than 16 units of rounding.
        max_iterations: where the iteration stops anyway; ``residual`` tells.
        block: stream over tiles of this side; None keeps the kernel matrix for n ≤ 2048.

    >>> import jax.numpy as jnp
    >>> solution = self_transport(jnp.array([[0.0], [10.0]]), epsilon=1.0)
    >>> bool(jnp.allclose(solution.potential, 0.5 * jnp.log(2.0)))
    True
    """
    n = x.shape[0]
    w = jnp.full(n, 1.0 / n, x.dtype) if weights is None else weights / jnp.sum(weights)
    given, centre = x, w @ x
    x = x - centre
    eps = jnp.asarray(epsilon, x.dtype)
    if _streamed_pairs(x, block=block) == 0:
        kernel = jnp.exp(squared_distances(x, x) / (-2.0 * eps))
        tiny = jnp.finfo(x.dtype).tiny
        u, count = _solve(
            lambda u: jnp.log(jnp.maximum(kernel @ (w * jnp.exp(u)), tiny)),
            w,
            tolerance,
            max_iterations,
        )
        mass = (w * jnp.exp(u))[:, None]
        sums = kernel @ jnp.concatenate([mass, mass * x], axis=1)
        seen = sums[:, :1] > 0
        means = jnp.where(seen, sums[:, 1:] / jnp.where(seen, sums[:, :1], 1.0), x)
    else:
        tile = block or TILE
        half = 0.5 * jnp.sum(x * x, axis=1) / eps
        offsets = jnp.log(w) - half
        u, count = _solve(
            lambda u: log_sum_exp(x, x, offsets + u, eps, tile=tile) - half,
            w,
            tolerance,
            max_iterations,
        )
        means = soft_reduce(x, x, offsets + u, x, eps, tile=tile)[1]
    f = eps * u
    # Both marginals of the symmetric plan err by as much.
    residual = 0.5 * plan_error(given, given, w, w, f, f, eps).astype(x.dtype)
    return SelfTransport(f, means + centre, residual, count)


@checked_inputs({"weights": "x"}, ("epsilon",))
@over_devices(_streamed_pairs)
@partial(jax.jit, static_argnames=("max_iterations", "block"))
def self_entropic_score(
    x: Points,
    weights: Weights | None = None,
    *,
    epsilon: float | Scalar | None = None,
    tolerance: float | Scalar = 1e-6,
    max_iterations: int = 100,
    block: int | None = None,
) -> Points:
    """Estimated score ∇log ρ at the particles x_i ∼ ρ: −(2/ε)(x_i − Σ_j π_ij x_j).

    π is the entropic plan of the cloud to itself; arguments as for ``self_transport``. The default
    ε = 0.05 · median‖x_i − x_j‖² suits some hundred particles in low dimension. It is biased for
    many (let ε fall with n), and hopeless in d > 20, where neighbours are too few.
    DLV26; Theory (1.10).

    >>> import jax.numpy as jnp
    >>> x = jnp.linspace(-3.0, 3.0, 201)[:, None]
    >>> w = jnp.exp(-0.5 * x[:, 0] ** 2)
    >>> score = self_entropic_score(x, w / w.sum(), epsilon=0.05)
    >>> bool(abs(score[130, 0] + x[130, 0]) < 0.05)
    True
    """
    eps = default_epsilon(x) if epsilon is None else jnp.asarray(epsilon, x.dtype)
    transport = self_transport(
        x, weights, epsilon=eps, tolerance=tolerance, max_iterations=max_iterations, block=block
    )
    return (-2.0 / eps) * (x - transport.barycentres)


@jax.jit
def default_epsilon(x: Points, ratio: float | Scalar = 0.05) -> Scalar:
    """ε = ratio · median‖x_i − x_j‖² over the pairs i ≠ j, Theory (1.10).

    Where more than half of the pairs coincide, the mean takes the median's place (and 1 that of
    0), so that ε > 0 always.

    >>> import jax.numpy as jnp
    >>> round(float(default_epsilon(jnp.array([[0.0], [2.0]]))), 1)
    0.2
    """
    median = median_squared_distance(x)
    mean = 2.0 * jnp.sum(jnp.var(x, axis=0))
    scale = jnp.where(median > 0, median, jnp.where(mean > 0, mean, 1.0))
    return ratio * jax.lax.stop_gradient(scale)


def _solve(
    transform: Callable[[Array], Array],
    weights: Weights,
    tolerance: float | Scalar,
    max_iterations: int,
) -> tuple[Array, Int[Array, ""]]:
    """u = f/ε with u + transform(u) = 0, and the number of iterations."""
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
    u, _, _, count = jax.lax.while_loop(unfinished, advance, start)
    return u, count
