"""The convex potential of the monotone rearrangement, on the line."""

from typing import NamedTuple

import numpy as np

# The slope of φ' beyond the outer knots is that of the chord over so many of the last ones.
_END = 4


class LinePotential(NamedTuple):
    """φ on the line whose derivative is piecewise linear through the knots (x_i, y_i).

    Knots with the same x are a kink of φ, knots with the same y an affine piece of it; beyond the
    outer knots φ' has the two ``slopes``. φ and φ* are sums of trapezoids, so that the
    Fenchel-Young gap is exact whatever the tails of the points are.
    """

    x: np.ndarray
    y: np.ndarray
    slopes: tuple[float, float]

    @classmethod
    def rearranging(cls, x: np.ndarray, y: np.ndarray, slope: float) -> "LinePotential":
        """The optimal pairing of two samples (n,) and (n,): sorted against sorted.

        Beyond the points φ' keeps the slope of the chord of the last knots; ``slope`` where that
        chord is level or upright.
        """
        x, y = np.sort(x), np.sort(y)
        last = min(_END, len(x)) - 1
        rises = [(x[k + last] - x[k], y[k + last] - y[k]) for k in (0, len(x) - 1 - last)]
        first, second = (b / a if a > 0 and b > 0 else slope for a, b in rises)
        return cls(x, y, (first, second))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """φ'(x), (n, 1)."""
        return self._along(x[:, 0], self.x, self.y, self.slopes)[0][:, None]

    def gaps(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """φ(x_i) + φ*(y_i) − x_i y_i ≥ 0, the area between the point and the curve; (n,)."""
        # φ is integrated from the first x, φ* from the first y: φ + φ* lacks x_1 y_1.
        value = self._along(x, self.x, self.y, self.slopes)[1]
        inverse = 1.0 / self.slopes[0], 1.0 / self.slopes[1]
        conjugate = self._along(y, self.y, self.x, inverse)[1]
        return np.maximum(value + conjugate + self.x[0] * self.y[0] - x * y, 0.0)

    @staticmethod
    def _along(
        at: np.ndarray, knots: np.ndarray, values: np.ndarray, slopes: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The curve's height at points (n,), and its integral from the first knot to them."""
        widths = np.diff(knots)
        areas = np.concatenate([[0.0], np.cumsum(0.5 * (values[1:] + values[:-1]) * widths)])
        right = np.searchsorted(knots, at)
        inside = (right > 0) & (right < len(knots))
        left = np.clip(right - 1, 0, len(knots) - 1)
        step = at - knots[left]
        piece = np.clip(left, 0, len(knots) - 2)
        outside = np.where(right > 0, slopes[1], slopes[0])
        chord = np.diff(values)[piece] / np.where(inside, widths[piece], 1.0)
        rise = np.where(inside, chord, outside)
        height = values[left] + rise * step
        return height, areas[left] + 0.5 * (values[left] + height) * step
