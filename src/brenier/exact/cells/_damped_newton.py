"""Newton's method for the masses of Laguerre cells, damped so that no cell becomes empty."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from brenier.exact.cells._cell_integrals import CellIntegrals

_SMALLEST_STEP = 2.0**-40
# The share of entries past which a Laplacian is factored as a full matrix.
_DENSE = 0.2


class NewtonState(NamedTuple):
    """The offsets, the integrals over their cells, Σ|mass − weight|, and the iterations so far.

    ``stalled`` says that no step, however short, was accepted.
    """

    offsets: np.ndarray
    cells: CellIntegrals
    error: float
    iterations: int
    stalled: bool


def damped_newton(
    evaluate: Callable[[np.ndarray], CellIntegrals],
    weights: np.ndarray,
    offsets: np.ndarray,
    *,
    tolerance: float,
    max_iterations: int,
) -> NewtonState:
    """Offsets b whose cells have the given masses: the minimum of E max_j(⟨X, y_j⟩ + b_j) − ⟨w, b⟩.

    Its Hessian is the Laplacian of the graph of neighbours, with the conductances of the edges.
    The step is halved until every mass stays above half of the smallest mass at the start and of
    the smallest weight, and the residual decreases enough for the length of the step. The method
    then converges from any start whose cells all have mass, quadratically in the end (Kitagawa,
    Mérigot & Thibert 2019, algorithm 1).
    """
    cells = evaluate(offsets)
    floor = 0.5 * min(cells.masses.min(), weights.min())
    gradient = cells.masses - weights
    iterations, stalled = 0, not floor > 0
    while np.abs(gradient).sum() > tolerance and iterations < max_iterations and not stalled:
        step = newton_step(cells, gradient)
        length, before = 1.0, np.linalg.norm(gradient)
        stalled = True
        while np.isfinite(step).all() and length >= _SMALLEST_STEP:
            trial = offsets - length * step
            trial_cells = evaluate(trial)
            trial_gradient = trial_cells.masses - weights
            alive = trial_cells.masses.min() >= floor
            if alive and np.linalg.norm(trial_gradient) <= (1.0 - 0.5 * length) * before:
                offsets, cells, gradient = trial, trial_cells, trial_gradient
                stalled = False
                break
            length *= 0.5
        iterations += 1
    return NewtonState(offsets, cells, float(np.abs(gradient).sum()), iterations, stalled)


def newton_step(cells: CellIntegrals, gradient: np.ndarray) -> np.ndarray:
    """Solve the graph's Laplacian, the first entry fixed at 0; NaN where it is not connected."""
    n = len(gradient)
    rows = np.concatenate([cells.near, cells.far])
    columns = np.concatenate([cells.far, cells.near])
    values = np.tile(cells.conductance, 2)
    degrees = np.bincount(rows, values, minlength=n)
    everyone = np.arange(n)
    laplacian = coo_array(
        (
            np.concatenate([degrees, -values]),
            (np.concatenate([everyone, rows]), np.concatenate([everyone, columns])),
        ),
        shape=(n, n),
    ).tocsc()[1:, 1:]
    try:
        if laplacian.nnz > _DENSE * n * n:
            solution = cho_solve(cho_factor(laplacian.toarray()), gradient[1:])
        else:
            factors = splu(laplacian, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
            solution = factors.solve(gradient[1:])
    except (RuntimeError, LinAlgError):  # singular: a cell cut off from the others
        return np.full(n, np.nan)
    return np.concatenate([[0.0], solution])
