"""The parabolic Monge-Ampère flow between densities on grids."""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from brenier._checks import check_positive
from brenier._progress import ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Float
from brenier.flows._trajectory import Moment, follow
from brenier.flows.on_grids._parabolic_line import integrate_line
from brenier.flows.on_grids._problem import (
    GridProblem,
    check_covered,
    check_epsilon,
    check_grid,
    check_times,
    initial_values,
    read_problem,
)
from brenier.flows.on_grids._sinkhorn_sweeps import Sweeper, kl_from
from brenier.grids import (
    AbstractGrid,
    Density,
    GridPotential,
    as_measure,
    density_and_score,
    log_integral,
    log_values,
)
from brenier.maps import GradientMap

# The least ε of the extrapolation, in squared spacings.
_FINEST = 1.5


# Sweeps to a stretch of time, in multiples of the fewest: what is extrapolated.
_REFINEMENTS = (1, 2, 4)


class _Point(NamedTuple):
    """p, log ρ_t and KL(ρ_t | e^{−f}) at a time, an estimate of the map's error, work so far."""

    p: Float[np.ndarray, "*n"]
    log_density: Float[np.ndarray, "*n"]
    kl: float
    error: float
    work: int


@threadpool_limits.wrap(limits=1, user_api="blas")
def parabolic_flow(
    source: Density,
    target: Density,
    grid: AbstractGrid,
    times: Any,
    *,
    tolerance: float = 1e-9,
    epsilon: float | None = None,
    initial: Any = None,
    target_grid: AbstractGrid | None = None,
    callback: ProgressCallback | None = None,
    throw: bool = True,
) -> Solution[GradientMap]:
    """∂_tφ = f − g(∇φ) + log det D²φ: the flow of potentials that Sinkhorn discretises (4.1).

    On the line by the method of lines with the grid's own derivatives and Radau's stiff method, to
    ``tolerance``. On grids of 2 and 3 dimensions by half-shift Sinkhorn, a second-order integrator,
    at ε, 2ε and 4ε, extrapolated to ε = 0: hundreds of times quicker than explicit steps.
    ∇φ_t # e^{−f} is e^{−g} in the limit only; what moves is ρ_t = (∇φ_t*)# e^{−g}, from e^{−g} to
    e^{−f}. For the Monge map alone take ``annealed_sinkhorn`` or ``exact.solve_monge_ampere``;
    in d > 3 the method ``ParabolicMongeAmpere``.

    The integration of an evolution equation, which returns its whole trajectory: it learns nothing,
    so it does not run through ``solve`` and keeps no checkpoint (``initial`` takes up where an
    earlier run ended).

    Args:
        source, target: e^{−f} and e^{−g}, as in ``sinkhorn_flow``; on the line the target is asked
            for between nodes, so it must be a measure or a function.
        grid: of the source; it should hold all but 1e-6 of it.
        times: increasing, above 0.
        tolerance: of the integration in time, on the line.
        epsilon: the least ε, in 2 and 3 dimensions; the least that the grid allows, about, where
            None.
        initial: φ_0 − ½‖x‖² at the nodes, 0 where None.
        target_grid: in 2 and 3 dimensions, as in ``sinkhorn_flow``.
        callback: told a ``Progress`` at each time (on the line, at the end for all of them), its
            metric KL(ρ_t | e^{−f}).
        throw: raise ``SolveError`` where the integration failed and ``KeyboardInterrupt`` on
            Ctrl-C; else the ``Result`` says so, and the times that were reached are returned.

    Returns:
        A ``Solution``: ``map`` is ∇φ at the last time, of a ``GridPotential``; in ``stats`` for
        each of ``times``: ``potentials`` (φ − ½‖x‖² at the nodes), ``log_densities`` of ρ_t,
        ``kl``, KL(ρ_t | e^{−f}), ``map_errors``, L²(e^{−f}) estimates from the extrapolation (NaN
        on the line); and ``work`` (evaluations or sweeps), ``seconds``.

    Raises:
        ValueError: as ``sinkhorn_flow``.
        SolveError: the integration failed: φ lost its convexity, or is not finite.

    >>> from brenier.grids import Box
    >>> from brenier.measures import Gaussian
    >>> f, g = Gaussian.standard(1), Gaussian(np.zeros(1), np.array([[0.25]]))
    >>> solution = parabolic_flow(f, g, Box([-7.0], [7.0], [141]), 1.0)
    >>> round(float(solution.map(np.array([1.0]))[0]), 8)  # (4.7), G1: .5061427155
    0.50614272

    Deb25, "Parabolic Monge-Ampère"; Theory (4.1), (4.6).
    """
    started = time.perf_counter()
    moments = check_times(times)
    check_positive("tolerance", tolerance)
    check_grid("grid", grid)
    start = initial_values(initial, grid)
    if grid.dimension == 1:
        if target_grid is not None or epsilon is not None:
            raise ValueError(
                "target_grid, epsilon: got one on the line, where the equation itself "
                "is integrated; wants None."
            )
        points = _on_the_line(source, target, grid, moments, tolerance, start)
    else:
        problem = read_problem(source, target, grid, target_grid)
        least = problem.smallest_epsilon
        eps = _FINEST * least if epsilon is None else check_positive("epsilon", epsilon)
        check_epsilon("epsilon", eps, problem)
        points = _extrapolated(problem, moments, eps, start)
    path: list[_Point] = []

    def flowing() -> Iterator[Moment]:
        for point in points:
            path.append(point)
            yield Moment(len(path), point.kl)
        if len(path) < moments.size:
            yield Moment(len(path) + 1, result=Result.diverged)

    result = follow(flowing(), moments.size, stage="flowing", callback=callback, throw=throw)
    nothing = np.zeros((0, *grid.shape))
    stats: dict[str, Any] = {
        "times": moments[: len(path)].tolist(),
        "potentials": np.stack([point.p for point in path]) if path else nothing,
        "log_densities": np.stack([point.log_density for point in path]) if path else nothing,
        "kl": [point.kl for point in path],
        "map_errors": [point.error for point in path],
        "work": path[-1].work if path else 0,
        "seconds": time.perf_counter() - started,
    }
    potential = GridPotential.from_grid(grid, path[-1].p if path else start)
    return Solution(GradientMap(potential), result, stats).checked(throw)


def exponential_rate(times: Any, values: Any) -> tuple[float, float]:
    """λ of values ∼ C e^{−λt} by least squares on logarithms, and its standard error.

    Give the late part of a flow only: the rate is asymptotic, the spectral gap of (4.2).

    Raises:
        ValueError: fewer than three values, or values that are not positive.

    >>> rate, error = exponential_rate([1.0, 2.0, 3.0], [3.0, 1.5, 0.75])
    >>> round(rate, 6), round(error, 6)  # log 2
    (0.693147, 0.0)
    """
    moments, heights = np.asarray(times, np.float64), np.asarray(values, np.float64)
    if moments.ndim != 1 or moments.shape != heights.shape or moments.size < 3:
        raise ValueError(
            f"values: got shapes {moments.shape} and {heights.shape}; wants at least "
            "three values, one for each time."
        )
    if not (np.isfinite(heights).all() and (heights > 0).all()):
        raise ValueError("values: got values that are not all finite and above 0.")
    centred, logs = moments - moments.mean(), np.log(heights)
    spread = float(centred @ centred)
    slope = float(centred @ logs) / spread
    rest = logs - logs.mean() - slope * centred
    return -slope, float(np.sqrt(rest @ rest / (moments.size - 2) / spread))


def _on_the_line(
    source: Density,
    target: Density,
    grid: AbstractGrid,
    times: Float[np.ndarray, " k"],
    tolerance: float,
    start: Float[np.ndarray, " n"],
) -> Iterator[_Point]:
    if isinstance(target, np.ndarray | jax.Array):
        raise ValueError(
            "target: got values at nodes, on the line, where the target is asked for "
            "between them; wants a measure or a log-density as a function."
        )
    measure = as_measure("target", target, 1)
    # Where the flow starts, at the identity, the target is asked for on the source's grid.
    values = density_and_score(measure, grid.points())[0]
    if not np.isfinite(values).all():
        raise ValueError(
            "target: got a log-density that is not finite on the grid, all of which "
            "the flow visits; wants a positive density there."
        )
    log_source = log_values("source", source, grid)
    normalised = log_source - log_integral(grid, log_source)
    mass = log_integral(grid, log_values("target", target, grid))
    flow = integrate_line(grid, normalised, measure, mass, start, times, tolerance)
    slopes = (grid.derivatives(0).first,)
    problem = GridProblem(grid, grid, normalised, values - mass, (), slopes)
    for p, rate in zip(flow.potentials, flow.rates, strict=True):
        log_density = normalised + rate
        yield _Point(p, log_density, kl_from(problem, log_density), math.nan, flow.evaluations)


def _extrapolated(
    problem: GridProblem,
    times: Float[np.ndarray, " k"],
    epsilon: float,
    start: Float[np.ndarray, "*n"],
) -> Iterator[_Point]:
    """Half-shift Sinkhorn with 4ε, 2ε and ε, each stretch of time an integer number of sweeps."""
    lengths = np.diff(times, prepend=0.0)
    # Rounded down: no step is below ε, but where a stretch of time is itself below 4ε.
    fewest = [max(1, int(t / (4.0 * epsilon) * (1.0 + 1e-9))) for t in lengths]
    for length, count in zip(lengths, fewest, strict=True):
        check_epsilon("times", length / (_REFINEMENTS[-1] * count), problem)
    sweepers = [Sweeper(problem, half_shift=True) for _ in _REFINEMENTS]
    potentials = [start for _ in _REFINEMENTS]
    for length, count in zip(lengths, fewest, strict=True):
        sweeps = [refinement * count for refinement in _REFINEMENTS]
        runs = [
            sweeper.run(p, length / n, n)
            for sweeper, p, n in zip(sweepers, potentials, sweeps, strict=True)
        ]
        if not all(run.finite for run in runs):
            return
        potentials = [run.p for run in runs]
        logs = [sweeper.log_density(run) for sweeper, run in zip(sweepers, runs, strict=True)]
        p, change = _richardson(*potentials)
        log_density, _ = _richardson(*logs)
        gap = problem.gradient(p) - problem.gradient(p - change)
        error = float(np.sqrt(np.sum(problem.source_masses[..., None] * gap**2)))
        work = sum(sweeper.sweeps for sweeper in sweepers)
        yield _Point(p, log_density, kl_from(problem, log_density), error, work)
    check_covered(problem, p)


def _richardson(
    coarse: np.ndarray, middle: np.ndarray, fine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The limit of errors in ε² and ε⁴, and how far it is from that of ε² alone."""
    first, second = (4.0 * middle - coarse) / 3.0, (4.0 * fine - middle) / 3.0
    best = (16.0 * second - first) / 15.0
    return best, best - second
