"""Densities as measures, functions or values: evaluated at the nodes of a grid, and checked."""

import functools
import math
from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import as_float_array
from brenier._types import Array, Float, Point, Points, Scalar
from brenier.grids._grids import AbstractGrid
from brenier.measures import AbstractMeasure, Gibbs, require_density
from brenier.numerics import in_blocks

# Largest second difference of log f between nodes: a Gaussian then has a deviation of half a node.
_ROUGHEST = 4.0
# Largest density at the border of a box, relative to its maximum.
_BORDER = 1e-3
# Largest difference of a log-density between opposite sides of a torus.
_PERIODIC = 1e-8
# Points whose log-density is taken at once.
_BLOCK = 4096

Density: TypeAlias = AbstractMeasure | Callable[[Point], Scalar] | np.ndarray | Array
"""What says a density: a measure, a log-density of one point, or values at the nodes."""


def log_integral(grid: AbstractGrid, values: Float[np.ndarray, "*shape"]) -> float:
    """log ∫ e^v over the grid, v given at the nodes; no overflow, and no underflow.

    >>> import numpy as np
    >>> from brenier.grids import Torus
    >>> round(log_integral(Torus([0.0], [2.0], [12]), np.full(12, 1000.0)), 6)
    1000.693147
    """
    top = float(values.max())
    return top + math.log(grid.integral(np.exp(values - top)))


def density_and_score(measure: AbstractMeasure, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log g and ∇log g of a measure at y (..., d): shapes (...) and (..., d).

    In blocks of one size, so that it is compiled once for all grids.

    >>> from brenier.measures import Gaussian
    >>> value, score = density_and_score(Gaussian.standard(1), np.array([[1.0], [2.0]]))
    >>> round(float(value[0] - value[1]), 9), score.tolist()
    (1.5, [[-1.0], [-2.0]])
    """
    flat = y.reshape(-1, y.shape[-1])
    values = in_blocks(functools.partial(_density_of_block, measure), flat, _BLOCK)
    return values[:, 0].reshape(y.shape[:-1]), values[:, 1:].reshape(y.shape)


@eqx.filter_jit
def _density_of_block(measure: AbstractMeasure, y: Points) -> Float[Array, "n _"]:
    def one(point):
        value, score = jax.value_and_grad(measure.point_log_density)(point)
        return jnp.concatenate([value[None], score])

    return jax.vmap(one)(y)


def as_measure(
    name: str, density: AbstractMeasure | Callable[[Point], Scalar], dimension: int
) -> AbstractMeasure:
    """A log-density as a ``Gibbs`` measure; a measure as it is, after a check.

    Args:
        name: of the argument, for the messages.
        density: a measure with a log-density, or a log-density, a JAX function of one point.
        dimension: that it must have.

    Raises:
        ValueError: a measure without density or of another dimension; a function whose value is no
            single number.

    >>> as_measure("density", lambda x: -x @ x, 2).score(np.ones(2)).tolist()
    [-2.0, -2.0]
    """
    if isinstance(density, AbstractMeasure):
        require_density(name, density)
        if density.dimension != dimension:
            raise ValueError(
                f"{name}: got dimension {density.dimension}; wants that of the grid, {dimension}."
            )
        return density
    shape = jax.eval_shape(density, jax.ShapeDtypeStruct((dimension,), float)).shape
    if shape != ():
        raise ValueError(
            f"{name}: got a function with values of shape {shape}; wants a "
            "log-density, one number at one point."
        )
    return Gibbs(eqx.Partial(_negative, density), dimension)


def _negative(function: Callable[[Point], Scalar], x: Point) -> Scalar:
    return -function(x)


def log_values(name: str, density: Density, grid: AbstractGrid) -> Float[np.ndarray, "*shape"]:
    """The logarithm of a density at the nodes of a grid, after checks.

    Args:
        name: of the argument, for the messages.
        density: a measure, a log-density as a JAX function of one point, or the density's values at
            the nodes.
        grid: the nodes.

    Raises:
        ValueError: a density that is 0 or not finite at a node, that the grid does not resolve,
            that is not periodic on a ``Torus``, or has not decayed at the border of a ``Box``.

    >>> from brenier.grids import Torus
    >>> circle = Torus([0.0], [2 * np.pi], [32])
    >>> log_values("density", lambda x: jnp.cos(x[0]), circle)[:17:8].round(9).tolist()
    [1.0, 0.0, -1.0]
    """
    if isinstance(density, AbstractMeasure) or callable(density):
        measure = as_measure(name, density, grid.dimension)
        if grid.periodic:
            _check_periodic(name, measure, grid)
        values = density_and_score(measure, grid.points())[0]
    else:
        array = as_float_array(name, density).astype(np.float64)
        if array.shape != grid.shape:
            raise ValueError(
                f"{name}: got shape {array.shape}; wants that of the grid, {grid.shape}."
            )
        if not (np.isfinite(array).all() and (array > 0).all()):
            raise ValueError(
                f"{name}: got values that are not all finite and above 0; wants a "
                "positive density at every node."
            )
        values = np.log(array)
    if not np.isfinite(values).all():
        node = grid.points()[tuple(np.argwhere(~np.isfinite(values))[0])].tolist()
        raise ValueError(
            f"{name}: got a log-density that is not finite, first at {node}; wants a "
            "positive density on the whole grid."
        )
    _check_resolved(name, values, grid)
    return values


def _check_periodic(name: str, density: AbstractMeasure, grid: AbstractGrid) -> None:
    for axis in range(grid.dimension):
        face = np.take(grid.points(), 0, axis=axis)
        period = np.zeros(grid.dimension)
        period[axis] = grid.upper[axis] - grid.lower[axis]
        here, there = (density_and_score(density, x)[0] for x in (face, face + period))
        gap = float(np.abs(there - here).max())
        if not gap <= _PERIODIC:
            raise ValueError(
                f"{name}: got a log-density that differs by {gap:.3g} across the "
                f"period of axis {axis}; wants a periodic one."
            )


def _check_resolved(name: str, values: Float[np.ndarray, "*shape"], grid: AbstractGrid) -> None:
    for axis in range(grid.dimension):
        lines = np.moveaxis(values, axis, 0)
        if grid.periodic:
            lines = np.concatenate([lines, lines[:2]])
        elif max(lines[0].max(), lines[-1].max()) > values.max() + math.log(_BORDER):
            raise ValueError(
                f"grid: got a box at whose border along axis {axis} the density of "
                f"{name} is above {_BORDER} of its maximum; wants a larger box."
            )
        bend = float(np.abs(np.diff(lines, 2, axis=0)).max())
        if bend > _ROUGHEST:
            wish = math.ceil(grid.shape[axis] * math.sqrt(bend / _ROUGHEST))
            raise ValueError(
                f"grid: got {grid.shape[axis]} nodes along axis {axis}, between which the "
                f"log-density of {name} bends by {bend:.3g}; wants at most {_ROUGHEST:g}, so about "
                f"{wish} nodes (or a smoother density)."
            )
