"""The convex potential of a map that adds one of few vectors to a multiple of the point."""

from dataclasses import dataclass

import numpy as np

# Vectors that are equal to this part of the spread are one; more than so many are not few.
_SAME, _MOST = 1e-9, 200
# Pairs of rows that tell the multiple, and the share of them that must agree on it.
_PAIRS, _AGREE = 2000, 0.02


@dataclass(frozen=True)
class StepPotential:
    """φ(x) = max_j(⟨x, y_j⟩ − ψ_j) + (s/2)‖x‖², of T(x) = y_j + s x. Theory (6.15).

    Args:
        images: y_j, (k, d).
        heights: ψ_j, (k,).
        multiple: s ≥ 0.
    """

    images: np.ndarray
    heights: np.ndarray
    multiple: float

    @classmethod
    def fitted(cls, x: np.ndarray, y: np.ndarray) -> "StepPotential | None":
        """Of pairs (n, d), (n, d); None where they are no such map, or no optimal one.

        ψ_a − ψ_l ≤ min over the points of a of ⟨x, y_a − y_l⟩: the extreme solutions are shortest
        paths, and their mean keeps away from both. A negative cycle is a cheaper permutation.
        """
        multiple = _multiple(x, y)
        rest = y - multiple * x
        images, labels = _few(rest, _SAME * float(np.sqrt(np.mean(y * y) + np.mean(x * x))))
        k = len(images)
        if not 1 < k <= min(_MOST, len(x) // 4):
            return None
        scores = x @ images.T
        own = scores[np.arange(len(x)), labels]
        lengths = np.full((k, k), np.inf)
        for a in range(k):
            rows = labels == a
            lengths[:, a] = np.min(own[rows, None] - scores[rows], axis=0)  # ψ_a ≤ ψ_l + length
        np.fill_diagonal(lengths, 0.0)
        for middle in range(k):
            np.minimum(lengths, lengths[:, middle, None] + lengths[middle], out=lengths)
        if np.diag(lengths).min() < -_SAME * float(np.abs(scores).max()):
            return None
        heights = 0.5 * (lengths[0] - lengths[:, 0])
        return cls(images, heights, multiple)

    def gaps(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """φ(x) + φ*(y) − ⟨x, y⟩ (n,), from above; infinite at an image of no known y_j."""
        rest = y - self.multiple * x
        limit = _SAME * (1.0 + float(np.abs(self.images).max()))
        nearest = np.argmin(np.sum(self.images**2, axis=1) - 2.0 * (rest @ self.images.T), axis=1)
        known = np.abs(rest - self.images[nearest]).max(axis=1) <= limit
        scores = x @ self.images.T - self.heights
        gaps = scores.max(axis=1) - scores[np.arange(len(x)), nearest]
        return np.where(known, gaps, np.inf)


def _multiple(x: np.ndarray, y: np.ndarray) -> float:
    """s of T(x) = y_j + s x: what pairs of rows of one j agree on; 0 where few do."""
    rows = np.arange(_PAIRS) % len(x)
    others = (rows + 1 + np.arange(_PAIRS) // len(x) * 7 % (len(x) - 1)) % len(x)
    apart, moved = x[rows] - x[others], y[rows] - y[others]
    squares = np.sum(apart * apart, axis=1)
    slopes = np.divide(
        np.sum(apart * moved, axis=1), squares, out=np.full(_PAIRS, -1.0), where=squares > 0
    )
    off = np.sum((moved - slopes[:, None] * apart) ** 2, axis=1)
    good = slopes[(off <= _SAME**2 * (1.0 + squares)) & (slopes >= 0)]
    if len(good) < _AGREE * _PAIRS:
        return 0.0
    middle = float(np.median(good))
    agreed = np.mean(np.abs(good - middle) <= 1e-6 * (1.0 + middle)) >= 0.5
    return middle if agreed else 0.0


def _few(points: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """The different points (k, d) among (n, d), up to a width, and which one each is (n,)."""
    scaled = np.round(points / max(width, 1e-300))
    _, first, labels = np.unique(scaled, axis=0, return_index=True, return_inverse=True)
    return points[first], labels.ravel()
