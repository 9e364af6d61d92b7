"""Gauss-Newton on the semi-dual, on the host."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from brenier._types import RowWeights
from brenier.potentials.host._conjugates import host_conjugates
from brenier.potentials.host._soft_pieces import SoftPieces

# Conjugates start from those of the step before.
_CONJUGATE_STEPS, _CONJUGATE_TOLERANCE = 10, 3e-3
# The fit ends after so many steps in a row that gain less than this share of the variance.
_PATIENCE, _LEAST_GAIN = 2, 3e-5
# Directions that the points hardly tell are held to the scale of the others, or rounding would
# decide about them.
_LEAST_SCALE, _LEAST_DAMPING, _MOST_DAMPING = 1e-2, 1e-4, 1e8
# Rows of the curvature for each parameter, and points that they come from, at least.
_ROWS_A_PARAMETER, _CURVATURE_POINTS = 3, 150


def fit_soft_pieces(
    initial: SoftPieces,
    x: np.ndarray,
    y: np.ndarray,
    *,
    steps: int,
    weights: tuple[RowWeights, RowWeights] = (None, None),
) -> SoftPieces:
    """min over the parameters of J(φ) = mean φ(x_i) + mean φ*(y_j), in at most so many steps.

    As ``potentials.minimise_semi_dual`` (Newton with the leading part of the Hessian, damped after
    Marquardt by the gain ratio), without its compilation of some seconds, which is more than the
    work for the few parameters that a few thousand points can tell. In single precision: what it
    rounds is far below what so few points can tell. Points of other ``weights`` (n,), (m,) count
    so many times.
    """
    a, b = (_mean_one(own) for own in weights)
    initial, (x, y) = initial.astype(np.float32), (part.astype(np.float32) for part in (x, y))
    parameters, best, idle = initial.parameters, np.inf, 0
    points, candidate, foreseen = y, parameters, np.inf
    damping, growth = 1.0, 2.0
    model: _Model | None = None
    for _ in range(steps + 1):
        potential = initial.at(candidate)
        with np.errstate(all="ignore"):  # a step too far overflows, and is refused
            conjugates = host_conjugates(
                potential, y, points, tolerance=_CONJUGATE_TOLERANCE, steps=_CONJUGATE_STEPS
            )
            heights = np.concatenate(
                [_shared(potential.value(x), a), _shared(conjugates.values, b)]
            )
            dual = float(heights.sum(dtype=np.float64))
        if np.isfinite(dual) and np.isfinite(conjugates.points).all() and dual < best:
            gained = best - dual
            ratio = gained / foreseen if model is not None else 0.5
            idle = idle + 1 if gained < _LEAST_GAIN * len(y[0]) else 0
            damping = max(damping * max(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3), _LEAST_DAMPING)
            growth = 2.0
            parameters, best, points = potential.parameters, dual, conjugates.points
            model = _Model.at(potential, x, points, a, b)
        else:
            damping, growth = damping * growth, 2.0 * growth
        if model is None or idle >= _PATIENCE or damping > _MOST_DAMPING:
            break
        delta, foreseen = model.step(damping)
        candidate = parameters + delta.astype(parameters.dtype)
    return initial.at(parameters).astype(np.float64)


class _Model(NamedTuple):
    """J near the present parameters: its slope, and the leading part of its curvature."""

    slope: np.ndarray
    curvature: np.ndarray
    scale: np.ndarray

    @classmethod
    def at(
        cls, potential: SoftPieces, x: np.ndarray, points: np.ndarray, a: RowWeights, b: RowWeights
    ) -> "_Model":
        slope = potential.mean_slope(x, a) - potential.mean_slope(points, b)
        most = max(_CURVATURE_POINTS, _ROWS_A_PARAMETER * len(slope) // points.shape[1])
        every = -(-len(points) // most)
        some = points[::every]
        hessian = potential.expand(some).hessian
        # D²φ⁻¹ = LLᵀ by its eigenvectors: singular only up to rounding.
        values, vectors = np.linalg.eigh(hessian)
        least = np.finfo(values.dtype).eps * values[:, -1:]
        roots = vectors / np.sqrt(np.maximum(values, least))[:, None, :]
        if b is not None:
            roots = roots * np.sqrt(b[::every])[:, None, None]
        rows = np.swapaxes(roots, 1, 2) @ potential.slopes_of_gradient(some)
        rows = rows.reshape(-1, len(slope))
        total = len(some) if b is None else float(b[::every].sum())
        curvature = (rows.T @ rows).astype(np.float64) / total
        diagonal = np.diag(curvature)
        return cls(slope, curvature, np.maximum(diagonal, _LEAST_SCALE * diagonal.max()))

    def step(self, damping: float) -> tuple[np.ndarray, float]:
        """δ = −(G + λD)⁻¹g, and the fall of J that the model foresees."""
        damped = self.curvature + damping * np.diag(self.scale)
        delta = -cho_solve(cho_factor(damped, overwrite_a=True), self.slope)
        return delta, -float(self.slope @ delta + 0.5 * delta @ self.curvature @ delta)


def _mean_one(weights: RowWeights) -> RowWeights:
    """Weights (n,) of mean 1, in single precision."""
    return None if weights is None else (weights / weights.mean()).astype(np.float32)


def _shared(terms: np.ndarray, weights: RowWeights) -> np.ndarray:
    """The terms (n,) of a mean, which is their sum."""
    return terms / len(terms) if weights is None else weights * terms / len(terms)
