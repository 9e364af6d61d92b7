"""The Monge map between two smooth densities, by the Monge-Ampere equation on a grid."""

import math
import time
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from brenier._checks import check_at_least, check_positive
from brenier._solution import Result, Solution
from brenier.exact.monge_ampere._newton import MongeAmpere, Run
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
from brenier.measures import AbstractMeasure, Gaussian, GaussianMixture
from brenier.numerics import gaussian_map_matrix

# Coarser grids than this along some axis are not worth a solve of their own.
_COARSEST = 16
# The difference of costs from a grid of half the nodes is divided by this: second order at least.
_REFINED = 4.0


class _Level(NamedTuple):
    """The solve on one grid, and what the map costs."""

    grid: AbstractGrid
    equation: MongeAmpere
    run: Run
    cost: float


def solve_monge_ampere(
    source: Density,
    target: Density,
    grid: AbstractGrid,
    *,
    tolerance: float = 1e-9,
    max_iterations: int = 100,
    throw: bool = True,
) -> Solution[GradientMap]:
    """T = ∇φ, φ = ½‖x‖² + p, of log det D²φ + log g(∇φ) = log f + c: from density f to density g.

    Damped Newton steps that keep D²φ positive definite at every node; first on a grid of half the
    nodes, where that is fine enough; by continuation through easier sources where they fail.
    Linear systems by GMRES, preconditioned by the operator whose coefficients are averaged to
    functions of one coordinate each, or by sparse factors in the plane where that is not enough.
    c absorbs the normalisation constants, so neither density need be normalised.

    On a ``Torus`` the map is the optimal one for the periodic distance. On a ``Box`` the source
    must have decayed at the border, and nothing is asked of the target there but a log-density.
    Between a mixture and a Gaussian, take the mixture as the source and invert the map: it is
    smoother in that direction, and converges much faster. Not for densities that vanish or jump,
    nor for d > 3. Modes with almost no mass between them need a grid that resolves how fast the map
    changes there; where ``smallest_eigenvalue`` is below 1e-4, expect errors, and look at ``kl``.

    Args:
        source, target: a measure with a log-density, or a log-density as a JAX function of one
            point, or values of a density at the nodes (the target's on a ``Torus`` only, since it
            is asked for between them); normalised or not.
        grid: ``Torus`` or ``Box``.
        tolerance: on the largest residual of the equation over the nodes; no lower than rounding
            allows.
        max_iterations: Newton steps on each grid, failed attempts included.
        throw: whether to raise where the solve failed.

    Returns:
        A ``Solution``: ``map`` is the ``GradientMap`` of a ``GridPotential`` (∇φ anywhere, with
        inverse; φ at the nodes is ``map.potential(grid.points())``), and ``stats`` holds

        - ``cost``, W₂² = E‖x − T(x)‖² under the source, and ``cost_error``, an estimate from above:
          a quarter of the difference from the grid of half the nodes (NaN where there is none),
          without the mass outside of the box;
        - ``kl``, KL(T#f ‖ g) measured between the nodes, where the equation was not solved (∞ where
          T is not the gradient of a convex function there);
        - ``residual``, the largest over the nodes, and ``history``, its value after each step (of
          an easier source's equation where Newton's method went by way of those);
        - ``constant``, c: where both densities are normalised, as they always are on a torus, it is
          the discretisation error;
        - ``log_source_mass``, the logarithm of the source's integral over the grid, as given: for a
          normalised density it shows the mass outside of the box;
        - ``smallest_eigenvalue`` of D²φ over the nodes, ``iterations``, ``linear_iterations``,
          ``seconds``, and ``levels``, (nodes, cost, residual) of each grid.

    Raises:
        ValueError: a density that vanishes or is not finite at a node, is too rough for the grid,
            or has not decayed at the border of a box; dimensions or shapes that do not match.
        SolveError: the residual did not reach ``tolerance``, or ``kl`` is infinite; its
            ``solution`` holds the last map.

    Loeper & Rapetti (2005) for Newton's method on the torus.

    >>> from brenier.grids import Box
    >>> from brenier.measures import Gaussian
    >>> f, g = Gaussian.standard(1), Gaussian(np.ones(1), np.array([[4.0]]))
    >>> solution = solve_monge_ampere(f, g, Box.around(f, [48]))
    >>> round(solution.stats["cost"], 6), solution.map(np.array([1.0])).round(6).tolist()
    (2.0, [3.0])
    """
    started = time.perf_counter()
    check_positive("tolerance", tolerance)
    check_at_least("max_iterations", max_iterations, 1)
    log_source = log_values("source", source, grid)
    goal = _target(target, grid)
    grids = [grid]
    while min(grids[0].shape) >= 2 * _COARSEST:
        grids.insert(0, grids[0].resized(tuple(n // 2 for n in grids[0].shape)))
    levels: list[_Level] = []
    # The matrices are small: threads of BLAS cost more than they bring, and much more when busy.
    with threadpool_limits(1, user_api="blas"):
        for now in grids:
            start = levels[-1] if levels and levels[-1].run.converged else None
            log_f = grid.carried(log_source, now) if now is not grid else log_source
            levels.append(_solve(now, log_f, goal, start, tolerance, max_iterations))
        end, cost = levels[-1].run.end, levels[-1].cost
        potential = GridPotential.from_grid(grid, end.potential)
        kl = levels[-1].equation.divergence(end)
    coarse = levels[-2] if len(levels) > 1 and levels[-2].run.converged else None
    stats: dict[str, Any] = {
        "cost": cost,
        "cost_error": math.nan if coarse is None else abs(cost - coarse.cost) / _REFINED,
        "kl": kl,
        "residual": end.error,
        "constant": end.constant,
        "log_source_mass": log_integral(grid, log_source),
        "smallest_eigenvalue": end.smallest,
        "iterations": sum(len(level.run.history) - 1 for level in levels),
        "linear_iterations": sum(level.run.linear_iterations for level in levels),
        "history": levels[-1].run.history,
        "levels": [(level.grid.shape, level.cost, level.run.end.error) for level in levels],
        "seconds": time.perf_counter() - started,
    }
    result = Result.successful if math.isfinite(kl) else Result.unresolved
    if not levels[-1].run.converged:
        result = Result.not_converged
    return Solution(GradientMap(potential), result, stats).checked(throw)


def _solve(
    grid: AbstractGrid,
    log_f: np.ndarray,
    target: AbstractMeasure,
    start: _Level | None,
    tolerance: float,
    max_iterations: int,
) -> _Level:
    log_f = log_f - log_integral(grid, log_f)
    shift = 0.0
    if grid.periodic:
        shift = log_integral(grid, density_and_score(target, grid.points())[0])

    def log_target(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_g, score = density_and_score(target, y)
        return log_g - shift, score

    equation = MongeAmpere(grid, log_f, log_target)
    now = None
    if start is not None:
        now = equation.evaluate(start.grid.carried(start.run.end.potential, grid))
    if now is None and not grid.periodic:
        now = equation.evaluate(_affine(grid, log_f, target))
    if now is None:
        now = equation.evaluate(np.zeros(grid.shape))
    if now is None:
        raise ValueError(
            "target: got a log-density that is not finite at the nodes of the grid; "
            "wants a positive density there."
        )
    run = equation.solve(now, tolerance, max_iterations)
    cost = float(np.sum(equation.weights * np.sum(run.end.displacement**2, axis=-1)))
    return _Level(grid, equation, run, cost)


def _affine(grid: AbstractGrid, log_f: np.ndarray, target: AbstractMeasure) -> np.ndarray:
    """p of the map between the Gaussians of the same moments: a start."""
    points = grid.points().reshape(-1, grid.dimension)
    mean, covariance = _moments(grid, points, log_f)
    if isinstance(target, Gaussian | GaussianMixture):
        there, spread = np.asarray(target.mean), np.asarray(target.covariance)
    else:
        # Of the part that lies on the grid: enough for a start.
        there, spread = _moments(grid, points, density_and_score(target, points)[0])
    matrix = np.asarray(gaussian_map_matrix(jnp.asarray(covariance), jnp.asarray(spread)))
    shear = points @ (matrix - np.eye(grid.dimension))
    offset = there - matrix @ mean
    return (0.5 * np.sum(shear * points, axis=1) + points @ offset).reshape(grid.shape)


def _moments(
    grid: AbstractGrid, points: np.ndarray, log_density: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance; at least those of one cell."""
    weights = np.exp(log_density.ravel() - log_density.max())
    weights = weights / weights.sum()
    mean = weights @ points
    centred = points - mean
    cell = np.diag(np.square(grid.spacing)) / 12.0
    return mean, centred.T @ (weights[:, None] * centred) + cell


def _target(target: Density, grid: AbstractGrid) -> AbstractMeasure:
    if isinstance(target, AbstractMeasure) or callable(target):
        if grid.periodic:
            log_values("target", target, grid)
        return as_measure("target", target, grid.dimension)
    if not grid.periodic:
        raise ValueError(
            "target: got an array of values on a Box, where the map may leave the "
            "grid; wants a measure or a log-density as a function."
        )
    spline = GridPotential.from_grid(grid, log_values("target", target, grid))
    return as_measure("target", spline.displacement_potential, grid.dimension)
