"""Masses of Laguerre cells in any dimension, as averages over quasi-random points."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from brenier._types import Array, Key
from brenier.exact.cells._cell_integrals import CellIntegrals
from brenier.exact.cells._damped_newton import NewtonState, damped_newton, newton_step
from brenier.measures import GaussianMixture, Uniform, quasi_sample

_BLOCK_FLOATS = 2**21
# ε falls by this factor, from the scale of ⟨x, y⟩ to this share of its variation in one cell.
_COOLING, _COLDEST = 0.25, 0.02
_REPLICATES = 8


class QuasiCells(NamedTuple):
    """The answer of Newton's method on one set of points, measured on independent sets.

    ``masses`` and ``moments`` of the hard cells, averaged over the replicates; ``duals``, the dual
    value Σ⟨∫x, y⟩ + ⟨b, mass − weight⟩ on each; ``gap``, an estimate of how far the dual value is
    from its optimum because the masses are not exact.
    """

    state: NewtonState
    masses: np.ndarray
    moments: np.ndarray
    duals: np.ndarray
    gap: float


def solve_quasi(
    source: GaussianMixture | Uniform,
    points: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
    *,
    samples: int,
    key: Key,
    tolerance: float,
    max_iterations: int,
) -> QuasiCells:
    """Offsets for centred points (n, r), annealed, on ``samples`` points of a centred source.

    Cells are softened to p_j(x) ∝ exp((⟨x, y_j⟩ + b_j)/ε), with an error of O(ε²): the objective
    is then smooth and convex. One last Newton step corrects the masses of the hard cells, measured
    on half of the replicates; the other half then measures the error that is left.
    """
    keys = jax.random.split(key, 1 + 2 * _REPLICATES)
    x = np.asarray(quasi_sample(source, samples, key=keys[0]))
    n, r = points.shape
    scale = np.sqrt(np.mean(x**2) * np.mean(points**2))
    coldest = _COLDEST * scale * n ** (-2.0 / r)
    epsilon, iterations, arrived = scale, 0, False
    while not arrived:
        epsilon = max(_COOLING * epsilon, coldest)
        arrived = epsilon <= coldest
        state = damped_newton(
            partial(_soft_cells, x, points, epsilon),
            weights,
            offsets,
            tolerance=tolerance if arrived else 0.1 * float(weights.min()),
            max_iterations=max_iterations - iterations,
        )
        offsets, iterations = state.offsets, iterations + state.iterations
    masses, _ = _hard_cells(source, points, offsets, samples, keys[1 : 1 + _REPLICATES])
    step = newton_step(state.cells, masses.mean(axis=0) - weights)
    offsets = offsets - step if np.isfinite(step).all() else offsets
    masses, moments = _hard_cells(source, points, offsets, samples, keys[1 + _REPLICATES :])
    gradient = masses.mean(axis=0) - weights
    duals = np.sum(moments * points, axis=(1, 2)) + (masses - weights) @ offsets
    gap = float(abs(gradient @ newton_step(state.cells, gradient)))
    state = state._replace(offsets=offsets, iterations=iterations)
    return QuasiCells(state, masses.mean(axis=0), moments.mean(axis=0), duals, gap)


def _soft_cells(
    x: np.ndarray, points: np.ndarray, epsilon: float, offsets: np.ndarray
) -> CellIntegrals:
    n = len(points)
    masses, moments, pairs = np.zeros(n), np.zeros_like(points), np.zeros((n, n))
    for rows in np.array_split(x, -(-x.shape[0] * n // _BLOCK_FLOATS)):
        scores = (rows @ points.T + offsets) / epsilon
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        masses += share.sum(axis=0)
        moments += share.T @ rows
        pairs += share.T @ share
    near, far = np.triu_indices(n, 1)
    conductance = pairs[near, far] / (len(x) * epsilon)
    kept = conductance > 0
    return CellIntegrals(
        masses / len(x), moments / len(x), near[kept], far[kept], conductance[kept]
    )


def _hard_cells(
    source: GaussianMixture | Uniform,
    points: np.ndarray,
    offsets: np.ndarray,
    samples: int,
    keys: Array,
) -> tuple[np.ndarray, np.ndarray]:
    """Masses (k, n) and moments (k, n, r) on an independent set of points for each of k keys."""
    n, r = points.shape
    masses, moments = np.zeros((len(keys), n)), np.zeros((len(keys), n, r))
    for k, key in enumerate(keys):
        x = np.asarray(quasi_sample(source, samples, key=key))
        for rows in np.array_split(x, -(-x.shape[0] * n // _BLOCK_FLOATS)):
            owner = np.argmax(rows @ points.T + offsets, axis=1)
            masses[k] += np.bincount(owner, minlength=n)
            np.add.at(moments[k], owner, rows)
        masses[k] /= len(x)
        moments[k] /= len(x)
    return masses, moments
