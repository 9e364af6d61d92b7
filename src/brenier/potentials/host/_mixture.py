"""Sums of potentials with weights, on the host."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brenier._types import RowWeights
from brenier.numerics import row_mean
from brenier.potentials.host._conjugates import host_conjugates
from brenier.potentials.host._potentials import HostExpansion, HostPotential

# Newton steps over the weights, and over the quadratic model in each of them.
_STEPS, _MODEL_STEPS = 8, 300
# Weights below this are left out.
_LEAST_WEIGHT = 0.02


@dataclass(frozen=True, eq=False)
class HostMixture(HostPotential):
    """φ = Σ_i w_i φ_i, w ≥ 0: convex where all φ_i are."""

    potentials: tuple[HostPotential, ...]
    weights: np.ndarray

    @classmethod
    def of(cls, potentials: Sequence[HostPotential], weights: np.ndarray) -> "HostMixture":
        """The mixture of those whose weight is not 0."""
        used = np.flatnonzero(weights)
        return cls(tuple(potentials[int(i)] for i in used), weights[used])

    @property
    def dimension(self) -> int:
        return self.potentials[0].dimension

    def value(self, x: np.ndarray) -> np.ndarray:
        return sum(w * phi.value(x) for w, phi in zip(self.weights, self.potentials, strict=True))

    def expand(self, x: np.ndarray) -> HostExpansion:
        parts = [phi.expand(x) for phi in self.potentials]
        return HostExpansion(
            *(
                sum(w * part for w, part in zip(self.weights, same, strict=True))
                for same in zip(*parts, strict=True)
            )
        )


def stacking_weights(
    potentials: Sequence[Sequence[HostPotential]],
    held: Sequence[tuple[np.ndarray, np.ndarray]],
    masses: Sequence[tuple[RowWeights, RowWeights]] | None = None,
) -> np.ndarray:
    """The weights w on the simplex of least mean held-out J(Σ_i w_i φ_i), (k,).

    J is convex in w. Its slope is E φ_i(X) − E φ_i(x̂(Y)) and its curvature E⟨∇φ_i, D²φ⁻¹∇φ_j⟩ at
    x̂ = ∇φ*(Y): Newton's method, with a quadratic program over the simplex in each step.

    Args:
        potentials: for each fold, the k potentials that were fitted without it.
        held: for each fold, the points (n, d), (m, d) held out.
        masses: for each fold, the weights (n,), (m,) of those points; equal where None.

    Breiman (1996), Stacked regressions.
    """
    k = len(potentials[0])
    masses = [(None, None)] * len(held) if masses is None else masses
    weights, starts = np.full(k, 1.0 / k), [y for _, y in held]
    dual, slope, curvature, starts = _model(potentials, held, masses, weights, starts)
    for _ in range(_STEPS):
        if not (np.isfinite(slope).all() and np.isfinite(curvature).all()):
            break  # what overflows has no best weights
        target = _least_on_simplex(slope - curvature @ weights, curvature, weights)
        length, foreseen = 1.0, -float(slope @ (target - weights))
        if foreseen < 1e-7:
            break
        while length > 1e-2:
            trial = weights + length * (target - weights)
            new = _model(potentials, held, masses, trial, starts)
            if new[0] < dual:
                break
            length *= 0.3
        else:
            break
        weights, (dual, slope, curvature, starts) = trial, new
    weights = np.where(weights < _LEAST_WEIGHT, 0.0, weights)
    return weights / weights.sum()


def _model(
    potentials: Sequence[Sequence[HostPotential]],
    held: Sequence[tuple[np.ndarray, np.ndarray]],
    masses: Sequence[tuple[RowWeights, RowWeights]],
    weights: np.ndarray,
    starts: Sequence[np.ndarray],
) -> tuple[float, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Mean J over the folds, its slope and curvature in the weights, and the conjugate points."""
    k = len(weights)
    dual, slope, curvature, points = 0.0, np.zeros(k), np.zeros((k, k)), []
    for own, (x, y), (a, b), start in zip(potentials, held, masses, starts, strict=True):
        mixture = HostMixture.of(own, weights)
        conjugates = host_conjugates(mixture, y, start, tolerance=3e-3, steps=12)
        points.append(conjugates.points)
        parts = [phi.expand(conjugates.points) for phi in own]
        hessian = sum(w * part.hessian for w, part in zip(weights, parts, strict=True))
        images = np.stack([part.gradient for part in parts], axis=2)
        heights = np.array([row_mean(phi.value(x), a) for phi in own])
        dual += float(heights @ weights + row_mean(conjugates.values, b))
        slope = slope + heights - np.array([row_mean(part.value, b) for part in parts])
        ridge = 1e-9 * np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.eye(x.shape[1])
        curvature = curvature + row_mean(
            np.swapaxes(images, 1, 2) @ np.linalg.solve(hessian + ridge, images), b
        )
    folds = len(held)
    return dual / folds, slope / folds, curvature / folds, points


def _least_on_simplex(linear: np.ndarray, matrix: np.ndarray, start: np.ndarray) -> np.ndarray:
    """argmin over the simplex of ⟨linear, w⟩ + ½⟨w, matrix w⟩, by projected gradients."""
    rate = 1.0 / max(np.linalg.eigvalsh(matrix)[-1], 1e-12)
    w, ahead, t = start, start, 1.0
    for _ in range(_MODEL_STEPS):
        new = _projected(ahead - rate * (linear + matrix @ ahead))
        t_new = 0.5 + np.sqrt(0.25 + t * t)
        ahead = new + (t - 1.0) / t_new * (new - w)
        w, t = new, t_new
    return w


def _projected(w: np.ndarray) -> np.ndarray:
    """The nearest point of the simplex."""
    ordered = np.sort(w)[::-1]
    excess = (np.cumsum(ordered) - 1.0) / np.arange(1, len(w) + 1)
    return np.maximum(w - excess[np.flatnonzero(ordered > excess)[-1]], 0.0)
