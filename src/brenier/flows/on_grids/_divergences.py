"""Mirror flows of other divergences than KL, between densities on grids."""

import time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from brenier._checks import check_at_least, check_positive
from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Float
from brenier.flows.on_grids._problem import (
    check_covered,
    check_epsilon,
    covered,
    initial_values,
    read_problem,
)
from brenier.flows.on_grids._sinkhorn_sweeps import Sweeper, kl_from
from brenier.functionals import POWERS
from brenier.grids import AbstractGrid, Density, GridPotential
from brenier.maps import GradientMap


@threadpool_limits.wrap(limits=1, user_api="blas")
def divergence_flow(
    source: Density,
    target: Density,
    grid: AbstractGrid,
    steps: int,
    *,
    divergence: str,
    epsilon: float,
    step_size: float | None = None,
    initial: Any = None,
    target_grid: AbstractGrid | None = None,
    callback: ProgressCallback | None = None,
    throw: bool = True,
) -> Solution:
    """∂_tφ = h'(ρ_t/e^{−f}): the mirror flow of ∫h(ρ/e^{−f})e^{−f} with the mirror ½W₂²(·, e^{−g}).

    By ℓ = (Sweep_ε(φ) − φ)/ε, φ ← φ + τ h'(e^ℓ) (4.11), of first order; KL with τ = ε is Sinkhorn.
    h'' (1) = 1 for all: they differ far from the end only. Stable for τ about ε, not for 4ε. For KL
    itself take ``sinkhorn_flow``. Made for a torus: on a box h' may be huge at nodes without mass;
    reverse KL and Hellinger diverge where ρ_t has by far the lighter tail, χ² may leave the grid.
    There take ``MirrorFlow`` with ``functionals.PowerDivergence``, which sees particles only.

    Args:
        source, target, grid, target_grid, initial: as in ``sinkhorn_flow``.
        steps: how many.
        divergence: "kl"; "chi2", h = ½(r − 1)²; "reverse_kl", h = −log r; "hellinger",
            h = 2(√r − 1)².
        epsilon: ε of the sweep.
        step_size: τ; ε where None.
        callback: told a ``Progress`` now and then, its metric KL(ρ_t | e^{−f}).
        throw: raise where the flow left the numbers, or KL grew above 10 times its start.

    Returns:
        A ``Solution``: ``map`` is ∇φ at the end, of a ``GridPotential``; ``stats`` holds
        ``potential`` (φ − ½‖x‖² at the nodes), ``kl`` at each step from the start on, ``times``,
        ``epsilon``, ``seconds``.

    Raises:
        ValueError: as ``sinkhorn_flow``, and a divergence that is not known: one whose h is not
            differentiable (total variation) has no Wasserstein gradient to follow.
        SolveError: the flow diverged: τ is too large, or in some tail ρ_t and e^{−f} differ by
            orders of magnitude.

    >>> import jax.numpy as jnp
    >>> from brenier.grids import Torus
    >>> circle = Torus([0.0], [2 * np.pi], [32])
    >>> solution = divergence_flow(lambda x: 0.5 * jnp.cos(x[0]), lambda y: 0.5 * jnp.sin(y[0]),
    ...                            circle, 40, divergence="chi2", epsilon=0.1)
    >>> solution.stats["kl"][-1] < 0.01 * solution.stats["kl"][0]
    True

    Deb25, open questions; MATH_4 (4.11).
    """
    started = time.perf_counter()
    if divergence not in POWERS:
        raise ValueError(
            f"divergence: got {divergence!r}; wants one of {sorted(POWERS)} (others, "
            "such as total variation, have no Wasserstein gradient to follow)."
        )
    check_at_least("steps", steps, 1)
    check_positive("epsilon", epsilon)
    tau = epsilon if step_size is None else check_positive("step_size", step_size)
    problem = read_problem(source, target, grid, target_grid)
    check_epsilon("epsilon", epsilon, problem)
    sweeper = Sweeper(problem, half_shift=False)
    p, kl = initial_values(initial, grid), []
    result = Result.successful
    for done in range(steps + 1):
        run = sweeper.run(p, epsilon, 1)
        ratio: Float[np.ndarray, "*n"] = (run.p - p) / epsilon
        kl.append(kl_from(problem, problem.log_source + ratio))
        # A flow that diverges oscillates and grows: KL falls along all of these.
        if not np.isfinite(kl[-1]) or kl[-1] > 10.0 * kl[0]:
            result = Result.diverged
            break
        if callback is not None and done % max(1, steps // 20) == 0:
            callback(
                Progress(done, steps, "flowing", kl[-1], min(kl), time.perf_counter() - started)
            )
        if done < steps:
            with np.errstate(over="ignore"):
                # Infinite where the flow diverges: the next KL tells.
                p = p + tau * _slope(POWERS[divergence], ratio)
    stats: dict[str, Any] = {
        "potential": p,
        "kl": kl,
        "times": (tau * np.arange(len(kl))).tolist(),
        "epsilon": epsilon,
        "seconds": time.perf_counter() - started,
    }
    if result.failed:
        return Solution(None, result, stats).checked(throw)
    if divergence == "kl":
        check_covered(problem, p)
    elif not covered(problem, p):
        # No fault of the grid: the tails ran away.
        return Solution(None, Result.diverged, stats).checked(throw)
    return Solution(GradientMap(GridPotential.from_grid(grid, p)), result, stats)


def _slope(power: float, log_ratio: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """h'(e^ℓ) = (e^{aℓ} − 1)/a: all have h''(1) = 1, so one rate near the end."""
    return log_ratio if power == 0.0 else np.expm1(power * log_ratio) / power
