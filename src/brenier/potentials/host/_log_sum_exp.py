"""The entropic potential of a cloud, on the host."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from brenier.potentials.host._potentials import HostExpansion, HostPotential


@dataclass(frozen=True, eq=False)
class HostLogSumExp(HostPotential):
    """φ(x) = ε log Σ_j exp((⟨a_j, x⟩ + b_j)/ε) + (m/2)‖x‖², as ``potentials.LogSumExp``.

    Args:
        slopes: a, (k, d).
        offsets: b, (k,).
        epsilon: ε > 0.
        modulus: m ≥ 0.
    """

    slopes: np.ndarray
    offsets: np.ndarray
    epsilon: float
    modulus: float

    @property
    def dimension(self) -> int:
        return self.slopes.shape[1]

    @property
    def precision(self) -> np.dtype:
        return self.slopes.dtype

    def astype(self, dtype: type[np.floating]) -> "HostLogSumExp":
        """The same potential, its numbers of this precision."""
        slopes, offsets = (part.astype(dtype) for part in (self.slopes, self.offsets))
        return HostLogSumExp(slopes, offsets, float(self.epsilon), float(self.modulus))

    def value(self, x: np.ndarray) -> np.ndarray:
        return self._softmax(x)[0]

    def expand(self, x: np.ndarray) -> HostExpansion:
        value, chances = self._softmax(x)
        mean, d = chances @ self.slopes, self.dimension
        second = (chances @ self._squares).reshape(-1, d, d)
        covariance = second - mean[:, :, None] * mean[:, None, :]
        hessian = covariance / self.epsilon + self.modulus * np.eye(d, dtype=x.dtype)
        return HostExpansion(value, mean + self.modulus * x, hessian)

    @cached_property
    def _squares(self) -> np.ndarray:
        """a_j a_jᵀ, (k, d²)."""
        outer = self.slopes[:, :, None] * self.slopes[:, None, :]
        return outer.reshape(len(self.slopes), -1)

    def _softmax(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = x @ (self.slopes.T / self.epsilon)
        scores += self.offsets / self.epsilon
        top = scores.max(axis=1)
        scores -= top[:, None]
        np.exp(scores, out=scores)
        total = scores.sum(axis=1)
        scores /= total[:, None]
        quadratic = 0.5 * self.modulus * np.sum(x * x, axis=1)
        return self.epsilon * (top + np.log(total)) + quadratic, scores
