"""Sinkhorn's iteration as a flow in time k ε, between densities on grids."""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from brenier._checks import check_at_least, check_positive
from brenier._progress import ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Float
from brenier.flows._trajectory import Moment, follow
from brenier.flows.on_grids._coupling import GridCoupling
from brenier.flows.on_grids._problem import (
    check_covered,
    check_epsilon,
    check_times,
    initial_values,
    read_problem,
)
from brenier.flows.on_grids._sinkhorn_sweeps import Run, Sweeper, kl_from, whole_sweeps
from brenier.grids import AbstractGrid, Density, GridPotential
from brenier.maps import GradientMap
from brenier.potentials import EntropicGridPotential

# The last ε, in squared spacings: below, the grid's own error shows.
_FINEST = 1.5


class _Point(NamedTuple):
    """The flow at one of its times: the sweeps that led there, log ρ_t, KL(ρ_t | e^{−f})."""

    run: Run
    log_density: Float[np.ndarray, "*n"]
    kl: float


class _Level(NamedTuple):
    """The fixed point at one ε, the marginal's L1 error over ε, and the sweeps it took."""

    p: Float[np.ndarray, "*n"]
    error: float
    sweeps: int


# The matrices are small: threads of BLAS cost more than they bring, and much more when busy.
@threadpool_limits.wrap(limits=1, user_api="blas")
def sinkhorn_flow(
    source: Density,
    target: Density,
    grid: AbstractGrid,
    times: Any,
    *,
    epsilon: float,
    half_shift: bool = True,
    initial: Any = None,
    target_grid: AbstractGrid | None = None,
    callback: ProgressCallback | None = None,
    throw: bool = True,
) -> Solution[GradientMap]:
    """Sinkhorn's potentials φ_k at times t = k ε, from φ_0: (4.3) and its scaling limit (4.1).

    The sweeps are separable (O(N^{d+1}) for N^d nodes) and safe for any ε that the grid resolves:
    sums are taken in as many blocks as their exponents ask for. With ``half_shift`` the iteration
    starts at φ_0 − (ε/2) f and φ_k + (ε/2) f is read off, equal to the parabolic Monge-Ampère flow
    up to O(ε²) (4.6); without, it is Sinkhorn's own, equal up to O(ε) (4.5). For the limit itself
    take ``parabolic_flow``, for the Monge map alone ``exact.solve_monge_ampere``.

    A recursion on the nodes that returns its whole trajectory: it learns nothing, so it does not
    run through ``solve`` and keeps no checkpoint (``initial`` takes up where an earlier run ended).

    Args:
        source, target: e^{−f} and e^{−g}: measures with a density, log-densities as JAX functions
            of one point, or values at the nodes; normalised or not.
        grid: ``grids.Torus`` or ``grids.Box``, of the source.
        times: increasing, above 0.
        epsilon: ε, of the cost ½‖x − y‖²; with ``half_shift`` the largest one: each stretch of time
            is filled by equal sweeps.
        half_shift: second order instead of first.
        initial: φ_0 − ½‖x‖² at the nodes; 0 where None.
        target_grid: of the target; the source's, enlarged on a box to hold a Gaussian (mixture).
        callback: told a ``Progress`` after each time, its metric KL(ρ_t | e^{−f}).
        throw: raise ``SolveError`` where the potentials are not finite and ``KeyboardInterrupt`` on
            Ctrl-C; else the ``Result`` says so, and the times that were reached are returned.

    Returns:
        A ``Solution``: ``map`` is ∇φ at the last time, the ``GradientMap`` of an
        ``EntropicGridPotential`` (E[y|x] under the plan, at any x) or, with ``half_shift``, of a
        ``GridPotential``. In ``stats``, one entry for each time:

        - ``potentials``, φ − ½‖x‖² at the nodes, as read off;
        - ``log_densities`` of ρ_t: with ``half_shift`` of second order, else log p_Xγ_k (4.4);
        - ``masses``, of p_Xγ_k: 1 but for rounding; ``marginal_errors``, its L1 distance from
          e^{−f}; ``kl``, KL(ρ_t | e^{−f});

        and ``times``, ``epsilons``, ``coupling`` (the last plan, a ``GridCoupling``), ``sweeps``,
        ``blocks`` of the sums, ``seconds``.

    Raises:
        ValueError: densities that vanish, are too rough for the grid or cut off by it; ε too small
            for the grid (the message says which would do); times that are no multiples of ε without
            ``half_shift``; a target grid that the map leaves.
        SolveError: potentials that are not finite.

    >>> from brenier.grids import Box
    >>> from brenier.measures import Gaussian
    >>> f, g = Gaussian.standard(1), Gaussian(np.zeros(1), np.array([[0.25]]))
    >>> solution = sinkhorn_flow(f, g, Box([-7.0], [7.0], [141]), 1.0, epsilon=0.02)
    >>> round(float(solution.map(np.array([1.0]))[0]), 4)  # .5061 + O(ε²), see (4.7), G1
    0.5062

    Deb25, scaling limit; Theory (4.3)-(4.6).
    """
    started = time.perf_counter()
    moments = check_times(times)
    check_positive("epsilon", epsilon)
    problem = read_problem(source, target, grid, target_grid)
    check_epsilon("epsilon", epsilon, problem)
    stretches = [whole_sweeps(t, epsilon) for t in np.diff(moments, prepend=0.0)]
    if not half_shift and any(abs(step - epsilon) > 1e-9 * epsilon for _, step in stretches):
        raise ValueError(
            f"times: got {moments.tolist()}, which are not all multiples of epsilon = "
            f"{epsilon:g}; wants multiples (or half_shift=True, which adapts ε)."
        )
    for _, step in stretches:
        check_epsilon("times", step, problem)
    sweeper = Sweeper(problem, half_shift)
    start = initial_values(initial, grid)
    path: list[_Point] = []

    def sweeping() -> Iterator[Moment]:
        p = start
        for done, (count, step) in enumerate(stretches, start=1):
            run = sweeper.run(p, step, count)
            if not run.finite:
                yield Moment(done, result=Result.diverged)
                return
            p = run.p
            log_density = sweeper.log_density(run) if half_shift else sweeper.log_marginal(run)
            path.append(_Point(run, log_density, kl_from(problem, log_density)))
            yield Moment(done, path[-1].kl)

    result = follow(sweeping(), len(stretches), stage="sweeping", callback=callback, throw=throw)
    runs = [point.run for point in path]
    nothing = np.zeros((0, *grid.shape))
    stats: dict[str, Any] = {
        "times": moments[: len(runs)].tolist(),
        "epsilons": [run.epsilon for run in runs],
        "potentials": np.stack([run.p for run in runs]) if runs else nothing,
        "log_densities": np.stack([point.log_density for point in path]) if path else nothing,
        "masses": [
            float(
                np.sum(
                    problem.source_masses
                    / problem.source_masses.sum()
                    * np.exp(sweeper.log_marginal(run) - problem.log_source)
                )
            )
            for run in runs
        ],
        "marginal_errors": [float(run.end.error) for run in runs],
        "kl": [point.kl for point in path],
        "sweeps": sweeper.sweeps,
        "blocks": sweeper.blocks,
        "seconds": time.perf_counter() - started,
    }
    if not runs:
        still = GradientMap(GridPotential.from_grid(grid, start))
        return Solution(still, result, stats).checked(throw)
    check_covered(problem, runs[-1].p)
    stats["coupling"] = _coupling(sweeper, runs[-1])
    potential = (
        GridPotential.from_grid(grid, runs[-1].p) if half_shift else _entropic(sweeper, runs[-1])
    )
    return Solution(GradientMap(potential), result, stats).checked(throw)


@threadpool_limits.wrap(limits=1, user_api="blas")
def annealed_sinkhorn(
    source: Density,
    target: Density,
    grid: AbstractGrid,
    *,
    epsilon: float | None = None,
    levels: int = 4,
    tolerance: float = 1e-6,
    max_sweeps: int = 20_000,
    target_grid: AbstractGrid | None = None,
    callback: ProgressCallback | None = None,
    throw: bool = True,
) -> Solution[GradientMap]:
    """The Monge map as the limit t → ∞ of the half-shift flow, ε halved level by level.

    The fixed point of each level errs by O(ε²) (4.6); the start of the next is predicted from the
    last two, and those of the last three are extrapolated to ε = 0 (Richardson). For rough
    densities or many digits take ``exact.solve_monge_ampere``.

    A fixed-point iteration on the nodes, from one ε to the next: it learns nothing, so it does not
    run through ``solve`` and keeps no checkpoint.

    Args:
        source, target, grid, target_grid: as in ``sinkhorn_flow``.
        epsilon: of the last level; 1.5 times the smallest that the grid allows where None.
        levels: how many, each with twice the ε of the next.
        tolerance: on the L1 error of the first marginal over ε, which is ‖∂_tφ‖ in L¹(e^{−f}).
        max_sweeps: over all levels.
        callback: told a ``Progress`` after each level, its metric that error.
        throw: raise ``SolveError`` where the tolerance was not reached and ``KeyboardInterrupt`` on
            Ctrl-C; else the ``Result`` says so, and the levels that were finished are returned.

    Returns:
        A ``Solution``: ``map`` is the ``GradientMap`` of a ``GridPotential``; ``stats`` holds
        ``epsilons``, ``marginal_errors`` and ``sweeps`` of each level, ``error``, the last of the
        marginals', ``potential`` (p at the nodes), ``map_change`` (the L² distance of the map from
        the one extrapolated without the first level used: an estimate of its error), ``cost`` W₂²,
        ``blocks``, ``seconds``.

    Raises:
        ValueError: as ``sinkhorn_flow``.
        SolveError: not converged after ``max_sweeps``, or not finite.

    >>> from brenier.grids import Box
    >>> from brenier.measures import Gaussian
    >>> f, g = Gaussian.standard(1), Gaussian(np.zeros(1), np.array([[0.25]]))
    >>> solution = annealed_sinkhorn(f, g, Box([-7.0], [7.0], [141]))
    >>> round(float(solution.map(np.array([1.0]))[0]), 5)
    0.5
    """
    started = time.perf_counter()
    check_positive("tolerance", tolerance)
    check_at_least("levels", levels, 1)
    check_at_least("max_sweeps", max_sweeps, 1)
    problem = read_problem(source, target, grid, target_grid)
    last = _FINEST * problem.smallest_epsilon
    if epsilon is not None:
        last = check_positive("epsilon", epsilon)
    check_epsilon("epsilon", last, problem)
    sweeper = Sweeper(problem, half_shift=True)
    epsilons = [last * 2.0 ** (levels - 1 - level) for level in range(levels)]
    found: list[_Level] = []

    def annealing() -> Iterator[Moment]:
        guess = np.zeros(grid.shape)
        for level, eps in enumerate(epsilons, start=1):
            before = sweeper.sweeps
            run = sweeper.run(guess, eps, max_sweeps - before, tolerance * eps)
            # p_ε is about p_0 + c ε²: a quarter of the last change is left to the next level.
            guess = run.p + 0.25 * (run.p - found[-1].p) if found else run.p
            error = float(run.end.error) / eps
            found.append(_Level(run.p, error, sweeper.sweeps - before))
            result = Result.successful if error <= tolerance else Result.not_converged
            yield Moment(level, error, result if run.finite else Result.diverged)

    result = follow(annealing(), levels, stage="annealing", callback=callback, throw=throw)
    errors = [level.error for level in found]
    best, coarser = _extrapolated([level.p for level in found] or [np.zeros(grid.shape)])
    check_covered(problem, best)
    change = problem.gradient(best) - problem.gradient(coarser)
    away = problem.gradient(best) - grid.points()
    masses = problem.source_masses[..., None]
    stats: dict[str, Any] = {
        "epsilons": epsilons[: len(found)],
        "marginal_errors": errors,
        "error": errors[-1] if errors else math.inf,
        "sweeps": [level.sweeps for level in found],
        "potential": best,
        "map_change": float(np.sqrt(np.sum(masses * change**2))),
        "cost": float(np.sum(masses * away**2)),
        "blocks": sweeper.blocks,
        "seconds": time.perf_counter() - started,
    }
    solution = Solution(GradientMap(GridPotential.from_grid(grid, best)), result, stats)
    return solution.checked(throw)


def _extrapolated(found: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Richardson in ε², from up to three levels; and the same from one level fewer."""
    if len(found) == 1:
        return found[0], found[0]
    first = (4.0 * found[-1] - found[-2]) / 3.0
    if len(found) == 2:
        return first, found[-1]
    before = (4.0 * found[-2] - found[-3]) / 3.0
    return (16.0 * first - before) / 15.0, first


def _coupling(sweeper: Sweeper, run: Run) -> GridCoupling:
    return GridCoupling(
        sweeper.log_source - run.end.before / run.epsilon,
        sweeper.log_target - run.end.w / run.epsilon,
        sweeper.problem.gaps,
        jnp.asarray(run.epsilon),
    )


def _entropic(sweeper: Sweeper, run: Run) -> EntropicGridPotential:
    there = sweeper.problem.target_grid
    sides = tuple(jnp.asarray(there.nodes(axis)) for axis in range(there.dimension))
    periods = tuple(b - a for a, b in zip(there.lower, there.upper, strict=True))
    return EntropicGridPotential(
        sweeper.log_target - run.end.w / run.epsilon,
        sides,
        jnp.asarray(run.epsilon),
        periods if there.periodic else None,
    )
