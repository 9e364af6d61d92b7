"""Sums of soft maxima of affine pieces: what Gauss-Newton fits on the host."""

import math
from dataclasses import dataclass, replace

import numpy as np

from brenier._types import RowWeights
from brenier.numerics import row_count, row_sum
from brenier.potentials.host._potentials import HostExpansion, HostPotential

# Bounds of what is learned as a logarithm: kinks no sharper than the points can tell.
_LOG_EPSILON = _LOG_MODULUS = (math.log(3e-3), math.log(30.0))
# How far the halves of a split piece start apart, in parts of its slope.
_APART = 0.2


@dataclass(frozen=True, eq=False)
class SoftPieces(HostPotential):
    """φ(x) = Σ_h ε_h log([1 +] Σ_p exp((⟨s_hp, x⟩ + o_hp)/ε_h)) + ½‖Fx‖² + (m/2)‖x‖² + ⟨c, x⟩.

    One group h of many pieces is a ``LogSumExp``; groups of one piece beside the constant 1 are
    the ridges of an ``ICNN`` with one layer.

    Args:
        slopes: s, (h, p, d).
        offsets: o, (h, p).
        log_epsilon: log ε, (h,).
        factor: F, (r, d); r = 0 for none.
        linear: c, (d,).
        log_modulus: log m, (1,).
        anchored: whether the 1 is there.
        steepest: bounds of |s|, (d,): no slope leaves what the target spans.
    """

    slopes: np.ndarray
    offsets: np.ndarray
    log_epsilon: np.ndarray
    factor: np.ndarray
    linear: np.ndarray
    log_modulus: np.ndarray
    anchored: bool
    steepest: np.ndarray

    @property
    def dimension(self) -> int:
        return self.slopes.shape[2]

    @property
    def parameters(self) -> np.ndarray:
        """All of them in one vector."""
        return np.concatenate([part.ravel() for part in self._parts])

    def astype(self, dtype: type[np.floating]) -> "SoftPieces":
        """The same potential, its numbers of this precision."""
        bounded = replace(self, steepest=self.steepest.astype(dtype))
        return bounded.at(self.parameters.astype(dtype))

    def at(self, parameters: np.ndarray) -> "SoftPieces":
        """The potential of the same form with these parameters, within their bounds."""
        ends = np.cumsum([part.size for part in self._parts])
        slopes, offsets, log_epsilon, factor, linear, log_modulus = (
            own.reshape(part.shape)
            for own, part in zip(np.split(parameters, ends[:-1]), self._parts, strict=True)
        )
        return replace(
            self,
            slopes=np.clip(slopes, -self.steepest, self.steepest),
            offsets=offsets,
            log_epsilon=np.clip(log_epsilon, *_LOG_EPSILON),
            factor=factor,
            linear=linear,
            log_modulus=np.clip(log_modulus, *_LOG_MODULUS),
        )

    def split(self, random: np.random.Generator) -> "SoftPieces":
        """About the same potential with twice as many pieces, from which more can be learned."""
        apart = _APART * random.normal(size=self.slopes.shape)
        axis = 0 if self.anchored else 1
        if self.anchored:  # two ridges of half the size
            slopes, log_epsilon = 0.5 * self.slopes, self.log_epsilon - np.log(2.0)
            offsets = 0.5 * self.offsets
            log_epsilon = np.concatenate([log_epsilon, log_epsilon])
        else:  # each piece twice, of half the weight
            slopes, log_epsilon = self.slopes, self.log_epsilon
            offsets = self.offsets - np.exp(log_epsilon)[:, None] * np.log(2.0)
        size = np.linalg.norm(slopes, axis=2, keepdims=True)
        return replace(
            self,
            slopes=np.concatenate([slopes + size * apart, slopes - size * apart], axis=axis),
            offsets=np.concatenate([offsets, offsets], axis=axis),
            log_epsilon=log_epsilon,
        )

    def value(self, x: np.ndarray) -> np.ndarray:
        heights, _, _ = self._soft(x)
        return heights @ np.exp(self.log_epsilon) + self._quadratic(x)

    def expand(self, x: np.ndarray) -> HostExpansion:
        n, d = x.shape
        heights, chances, _ = self._soft(x)
        epsilon = np.exp(self.log_epsilon)
        flat = self.slopes.reshape(-1, d)
        weights = (chances / epsilon[:, None]).reshape(n, -1)
        squares = (flat[:, :, None] * flat[:, None, :]).reshape(-1, d * d)
        means = self._means(chances)
        scaled = means / np.sqrt(epsilon)[:, None]
        fixed = self.factor.T @ self.factor + np.exp(self.log_modulus) * np.eye(d, dtype=x.dtype)
        hessian = (weights @ squares).reshape(n, d, d) - np.swapaxes(scaled, 1, 2) @ scaled + fixed
        gradient = chances.reshape(n, -1) @ flat + x @ fixed + self.linear
        return HostExpansion(heights @ epsilon + self._quadratic(x), gradient, hessian)

    def mean_slope(self, x: np.ndarray, weights: RowWeights = None) -> np.ndarray:
        """The mean over points (n, d) of ∂φ/∂θ, (parameters,)."""
        heights, chances, scores = self._soft(x)
        flat = chances.reshape(len(x), -1)
        own = x if weights is None else weights[:, None] * x
        epsilon = np.exp(self.log_epsilon)
        spread = epsilon * (heights - np.sum(chances * scores, axis=2))
        skip = x @ self.factor.T
        modulus = 0.5 * np.exp(self.log_modulus) * np.sum(own * x)
        once = (row_sum(part, weights) for part in (flat, spread))
        sums = (flat.T @ own, *once, skip.T @ own, own.sum(axis=0))
        total = row_count(x, weights)
        return np.concatenate([*(part.ravel() for part in sums), modulus.ravel()]) / total

    def slopes_of_gradient(self, x: np.ndarray) -> np.ndarray:
        """∂∇φ/∂θ at points (n, d): (n, d, parameters)."""
        n, d = x.shape
        _, chances, scores = self._soft(x)
        epsilon, eye = np.exp(self.log_epsilon), np.eye(d, dtype=x.dtype)
        means = self._means(chances)
        apart = self.slopes[None] - means[:, :, None, :]
        weighted = chances[..., None] * apart / epsilon[:, None, None]
        by_offset = np.moveaxis(weighted, 3, 1)
        by_slope = by_offset[..., None] * x[:, None, None, None, :]
        by_slope += np.moveaxis(chances[..., None, None] * eye, 3, 1)
        centred = scores - np.sum(chances * scores, axis=2, keepdims=True)
        by_epsilon = -np.einsum("nhp,hpd->ndh", chances * centred, self.slopes)
        skip = x @ self.factor.T
        by_factor = self.factor.T[None, :, :, None] * x[:, None, None, :]
        by_factor = by_factor + skip[:, None, :, None] * eye[None, :, None, :]
        by_linear = np.broadcast_to(eye, (n, d, d))
        by_modulus = (np.exp(self.log_modulus) * x)[:, :, None]
        parts = (by_slope, by_offset, by_epsilon, by_factor, by_linear, by_modulus)
        return np.concatenate([part.reshape(n, d, -1) for part in parts], axis=2)

    @property
    def _parts(self) -> tuple[np.ndarray, ...]:
        return (
            self.slopes,
            self.offsets,
            self.log_epsilon,
            self.factor,
            self.linear,
            self.log_modulus,
        )

    def _soft(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each group's height over ε (n, h), its softmax (n, h, p), and the scores within it."""
        groups, pieces, d = self.slopes.shape
        scores = (x @ self.slopes.reshape(-1, d).T + self.offsets.ravel()).reshape(
            len(x), groups, pieces
        ) * np.exp(-self.log_epsilon)[:, None]
        top = scores.max(axis=2, initial=0.0 if self.anchored else -np.inf)
        weights = np.exp(scores - top[:, :, None])
        total = weights.sum(axis=2)
        if self.anchored:
            total = total + np.exp(-top)
        return top + np.log(total), weights / total[:, :, None], scores

    def _means(self, chances: np.ndarray) -> np.ndarray:
        """The mean slope of each group, (n, h, d)."""
        if self.slopes.shape[1] == 1:
            return chances * self.slopes[:, 0]
        return np.matmul(chances.swapaxes(0, 1), self.slopes).swapaxes(0, 1)

    def _quadratic(self, x: np.ndarray) -> np.ndarray:
        skip, modulus = x @ self.factor.T, np.exp(self.log_modulus)
        return (
            0.5 * np.sum(skip * skip, axis=1)
            + 0.5 * modulus * np.sum(x * x, axis=1)
            + x @ self.linear
        )
