"""Two densities on grids, read and checked for the Sinkhorn and parabolic flows."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from brenier._checks import as_float_array
from brenier._types import Array, Float
from brenier.grids import AbstractGrid, Box, Density, apply_along, log_integral, log_values
from brenier.measures import Gaussian, GaussianMixture
from brenier.numerics import Gaps, squared_gaps

# What a box may miss of a normalised density.
_CUT_OFF = 1e-6
# The largest h²/ε: sums err by 2e-5 there, by ten times that at twice the ratio (Theory (4.12)).
_COARSEST = 1.0
# Standard deviations of a target that its own grid covers where none is given.
_DEVIATIONS = 6.0
# In spacings.
_ROUNDING = 1e-6


class GridProblem(NamedTuple):
    """Normalised log-densities on two grids, squared gaps between nodes, derivative matrices."""

    grid: AbstractGrid
    target_grid: AbstractGrid
    log_source: Float[np.ndarray, "*n"]
    log_target: Float[np.ndarray, "*m"]
    gaps: tuple[Gaps, ...]
    slopes: tuple[Float[np.ndarray, "_ _"], ...]

    @property
    def source_masses(self) -> Float[np.ndarray, "*n"]:
        """The mass of each node."""
        return np.exp(self.log_source) * _cells(self.grid)

    @property
    def smallest_epsilon(self) -> float:
        """The ε below which sums over the nodes no longer stand for integrals."""
        widest = max(*self.grid.spacing, *self.target_grid.spacing)
        return widest**2 / _COARSEST

    def log_masses(self) -> tuple[Float[Array, "*n"], Float[Array, "*m"]]:
        """Logarithms of the masses of the nodes, with sums 1."""
        return (
            jnp.asarray(self.log_source + np.log(_cells(self.grid))),
            jnp.asarray(self.log_target + np.log(_cells(self.target_grid))),
        )

    def gradient(self, p: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n d"]:
        """x + ∇p at the nodes."""
        parts = [apply_along(matrix, p, axis) for axis, matrix in enumerate(self.slopes)]
        return self.grid.points() + np.stack(parts, axis=-1)


def read_problem(
    source: Density, target: Density, grid: AbstractGrid, target_grid: AbstractGrid | None
) -> GridProblem:
    """Both densities at their nodes, normalised and checked."""
    check_grid("grid", grid)
    if target_grid is not None:
        check_grid("target_grid", target_grid)
    there = _target_grid(target, grid) if target_grid is None else target_grid
    if there.dimension != grid.dimension or there.periodic != grid.periodic:
        raise ValueError(
            f"target_grid: got a {type(there).__name__} of dimension "
            f"{there.dimension}; wants a {type(grid).__name__} of dimension "
            f"{grid.dimension}, like the source's."
        )
    if grid.periodic and (grid.lower, grid.upper) != (there.lower, there.upper):
        raise ValueError("target_grid: got another torus than the source's; wants the same.")
    if not grid.periodic and any(
        b > a or c < d
        for a, b, c, d in zip(grid.lower, there.lower, there.upper, grid.upper, strict=True)
    ):
        raise ValueError(
            f"target_grid: got the box from {list(there.lower)} to {list(there.upper)}; wants one "
            f"that covers the images of the source's, which at time 0 is all of "
            f"{list(grid.lower)} to {list(grid.upper)}."
        )
    values = []
    for name, density, nodes in (("source", source, grid), ("target", target, there)):
        log_density = log_values(name, density, nodes)
        log_mass = log_integral(nodes, log_density)
        if isinstance(density, Gaussian | GaussianMixture) and log_mass < math.log1p(-_CUT_OFF):
            raise ValueError(
                f"{'grid' if name == 'source' else 'target_grid'}: got a box that cuts off "
                f"{-math.expm1(log_mass):.3g} of the mass of {name}; wants at most {_CUT_OFF:g}, "
                "so a larger box."
            )
        values.append(log_density - log_mass)
    gaps = tuple(
        squared_gaps(
            grid.nodes(axis),
            there.nodes(axis),
            grid.upper[axis] - grid.lower[axis] if grid.periodic else None,
        )
        for axis in range(grid.dimension)
    )
    slopes = tuple(grid.derivatives(axis).first for axis in range(grid.dimension))
    return GridProblem(grid, there, values[0], values[1], gaps, slopes)


def check_epsilon(name: str, epsilon: float, problem: GridProblem) -> None:
    """A ``ValueError`` where the grid is too coarse for ε, with the ε that would do."""
    least = problem.smallest_epsilon
    if not (math.isfinite(epsilon) and epsilon >= least * (1.0 - 1e-9)):
        finer = math.inf if not epsilon > 0 else math.sqrt(least / epsilon)
        wish = "" if finer == math.inf else f", or a grid {finer:.2g} times as fine"
        raise ValueError(
            f"{name}: got {epsilon:g}, too small for the grid, whose squared spacing "
            f"is {least:.4g}; wants at least that{wish}."
        )


def covered(problem: GridProblem, p: Float[np.ndarray, "*n"]) -> bool:
    """Whether ∇φ stays in the grid of the target."""
    if problem.grid.periodic:
        return True
    low, high = _image_box(problem, p)
    # Nodes that do not move stay on the border but for rounding.
    slack = _ROUNDING * np.array(problem.target_grid.spacing)
    lower, upper = problem.target_grid.lower, problem.target_grid.upper
    return bool((low >= lower - slack).all() and (high <= upper + slack).all())


def check_covered(problem: GridProblem, p: Float[np.ndarray, "*n"]) -> None:
    """A ``ValueError`` where ∇φ leaves the grid of the target."""
    if not covered(problem, p):
        low, high = _image_box(problem, p)
        raise ValueError(
            f"target_grid: got the box from {list(problem.target_grid.lower)} to "
            f"{list(problem.target_grid.upper)}; wants one that covers the images of the source's "
            f"nodes, from {low.tolist()} to {high.tolist()}."
        )


def _image_box(
    problem: GridProblem, p: Float[np.ndarray, "*n"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    image = problem.gradient(p).reshape(-1, problem.grid.dimension)
    return image.min(axis=0), image.max(axis=0)


def initial_values(initial: Any, grid: AbstractGrid) -> Float[np.ndarray, "*n"]:
    """p of the start at the nodes; 0, the identity, where none is given."""
    if initial is None:
        return np.zeros(grid.shape)
    values = np.asarray(initial, np.float64)
    if values.shape != grid.shape or not np.isfinite(values).all():
        raise ValueError(
            f"initial: got shape {values.shape}; wants finite values of φ − ½‖x‖² at "
            f"the nodes, {grid.shape}."
        )
    return values


def check_grid(name: str, grid: Any) -> None:
    """A ``ValueError`` of what is no grid."""
    if not isinstance(grid, AbstractGrid):
        raise ValueError(f"{name}: got {type(grid).__name__}; wants a grids.Box or grids.Torus.")


def check_times(times: Any) -> Float[np.ndarray, " k"]:
    """Finite times in increasing order, above 0; one number is one time."""
    moments = np.atleast_1d(as_float_array("times", times))
    increasing = moments.ndim == 1 and moments.size and (np.diff(moments, prepend=0.0) > 0).all()
    if not increasing or not np.isfinite(moments).all():
        raise ValueError(
            f"times: got {np.asarray(times).tolist()}; wants finite times above 0, in "
            "increasing order."
        )
    return moments


def _cells(grid: AbstractGrid) -> Float[np.ndarray, "*n"]:
    """The quadrature weight of each node."""
    weights = np.ones(())
    for axis in range(grid.dimension):
        weights = weights[..., None] * grid.weights(axis)
    return weights


def _target_grid(target: Density, grid: AbstractGrid) -> AbstractGrid:
    """The source's grid, on a box enlarged to hold a Gaussian (mixture) target, as fine."""
    if grid.periodic or not isinstance(target, Gaussian | GaussianMixture):
        return grid
    own = Box.around(target, grid.shape, deviations=_DEVIATIONS)
    lower = [min(a, b) for a, b in zip(grid.lower, own.lower, strict=True)]
    upper = [max(a, b) for a, b in zip(grid.upper, own.upper, strict=True)]
    shape = [
        n if (a, b) == (low, high) else math.ceil((b - a) / h) + 1
        for n, a, b, low, high, h in zip(
            grid.shape, lower, upper, grid.lower, grid.upper, grid.spacing, strict=True
        )
    ]
    return Box(lower, upper, shape)
