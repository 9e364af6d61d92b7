"""Mirror flows of other divergences than KL, between densities on grids."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from brenier._checks import check_at_least, check_positive
from brenier._progress import ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Float
from brenier.flows._trajectory import Moment, follow
from brenier.flows.on_grids._problem import (
    check_covered,
    check_epsilon,
    covered,
    initial_values,
    read_problem,
)
from brenier.flows.on_grids._sinkhorn_sweeps import Sweeper, kl_from
from brenier.functionals import PowerDivergence
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
) -> Solution[GradientMap]:
    """∂_tφ = h'(ρ_t/e^{−f}): the mirror flow of ∫h(ρ/e^{−f})e^{−f} with the mirror ½W₂²(·, e^{−g}).

    By ℓ = (Sweep_ε(φ) − φ)/ε, φ ← φ + τ h'(e^ℓ) (4.11), of first order; KL with τ = ε is Sinkhorn.
    h'' (1) = 1 for all: they differ far from the end only. Stable for τ about ε, not for 4ε. For KL
    itself take ``sinkhorn_flow``. Made for a torus: on a box h' may be huge at nodes without mass;
    reverse KL and Hellinger diverge where ρ_t has by far the lighter tail, χ² may leave the grid.
    There take ``MirrorFlow`` with ``functionals.PowerDivergence``, which sees particles only.

    Explicit steps on the nodes: it learns nothing, so it does not run through ``solve`` and keeps
    no checkpoint (``initial`` takes up where an earlier run ended).

    Args:
        source, target, grid, target_grid, initial: as in ``sinkhorn_flow``.
        steps: how many.
        divergence: "kl"; "chi2", h = ½(r − 1)²; "reverse_kl", h = −log r; "hellinger",
            h = 2(√r − 1)².
        epsilon: ε of the sweep.
        step_size: τ; ε where None.
        callback: told a ``Progress`` at each step, its metric KL(ρ_t | e^{−f}).
        throw: raise ``SolveError`` where the potential is no longer finite, or KL grew above 10
            times its start, and ``KeyboardInterrupt`` on Ctrl-C; else the ``Result`` says so.

    Returns:
        A ``Solution``: ``map`` is ∇φ at the end, of a ``GridPotential`` (where KL was least, if the
        flow diverged); ``stats`` holds ``potential`` (φ − ½‖x‖² at the nodes, at the end), ``kl``
        at each step from the start on, ``times``, ``epsilon``, ``seconds``.

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

    Deb25, open questions; Theory (4.11).
    """
    started = time.perf_counter()
    if divergence not in PowerDivergence.powers:
        raise ValueError(
            f"divergence: got {divergence!r}; wants one of {sorted(PowerDivergence.powers)} "
            "(others, such as total variation, have no Wasserstein gradient to follow)."
        )
    rule = PowerDivergence.named(divergence)
    check_at_least("steps", steps, 1)
    check_positive("epsilon", epsilon)
    tau = epsilon if step_size is None else check_positive("step_size", step_size)
    problem = read_problem(source, target, grid, target_grid)
    check_epsilon("epsilon", epsilon, problem)
    sweeper = Sweeper(problem, half_shift=False)
    p = best = initial_values(initial, grid)
    kl: list[float] = []

    def stepping() -> Iterator[Moment]:
        nonlocal p, best
        for done in range(steps + 1):
            ratio: Float[np.ndarray, "*n"] = (sweeper.run(p, epsilon, 1).p - p) / epsilon
            kl.append(kl_from(problem, problem.log_source + ratio))
            # A flow that diverges oscillates and grows: KL falls along all of these.
            if not np.isfinite(kl[-1]) or kl[-1] > 10.0 * kl[0]:
                yield Moment(done, kl[-1], Result.diverged)
                return
            if kl[-1] == min(kl):
                best = p
            yield Moment(done, kl[-1])
            if done < steps:
                # Infinite where the flow diverges: the next KL tells.
                p = p + tau * np.asarray(rule.slope(ratio))

    result = follow(stepping(), steps, stage="flowing", callback=callback, throw=throw)
    stats: dict[str, Any] = {
        "potential": p,
        "kl": kl,
        "times": (tau * np.arange(len(kl))).tolist(),
        "epsilon": epsilon,
        "seconds": time.perf_counter() - started,
    }
    if divergence == "kl" and result is Result.successful:
        check_covered(problem, p)
    elif not result.failed and not covered(problem, p):
        # No fault of the grid: the tails ran away.
        result = Result.diverged
    end = best if result is Result.diverged else p
    transport = GradientMap(GridPotential.from_grid(grid, end))
    return Solution(transport, result, stats).checked(throw)
