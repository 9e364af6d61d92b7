"""Convex potentials as plain NumPy: value, gradient and Hessian at many points at once."""

import abc
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from brenier._types import RowWeights
from brenier.numerics import row_count, row_mean, row_products


class HostExpansion(NamedTuple):
    """φ (n,), ∇φ (n, d) and D²φ (n, d, d) at n points."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


class HostPotential(abc.ABC):
    """A smooth convex function that is evaluated without a compiler."""

    @property
    @abc.abstractmethod
    def dimension(self) -> int:
        """d."""

    @property
    def precision(self) -> np.dtype:
        """The dtype of points that it is evaluated at: that of its own numbers."""
        return np.dtype(np.float64)

    @abc.abstractmethod
    def expand(self, x: np.ndarray) -> HostExpansion:
        """Value, gradient and Hessian at points (n, d)."""

    def near_conjugates(self, y: np.ndarray) -> np.ndarray:
        """Points near ∇φ*(y), of which a search for it starts: y itself where φ is about ½‖·‖²."""
        return y

    @abc.abstractmethod
    def value(self, x: np.ndarray) -> np.ndarray:
        """φ at points (n, d)."""


@dataclass(frozen=True, eq=False)
class HostQuadratic(HostPotential):
    """φ(x) = ½⟨x, Ax⟩ + ⟨b, x⟩, of an affine map.

    Args:
        matrix: A, (d, d), symmetric and positive definite.
        shift: b, (d,).
    """

    matrix: np.ndarray
    shift: np.ndarray

    @classmethod
    def identity(cls, dimension: int) -> "HostQuadratic":
        """½‖x‖²: the Gaussian map in standard coordinates."""
        return cls(np.eye(dimension), np.zeros(dimension))

    @property
    def dimension(self) -> int:
        return len(self.shift)

    def value(self, x: np.ndarray) -> np.ndarray:
        return 0.5 * np.sum(x * (x @ self.matrix), axis=1) + x @ self.shift

    def expand(self, x: np.ndarray) -> HostExpansion:
        hessian = np.broadcast_to(self.matrix, (len(x), *self.matrix.shape))
        return HostExpansion(self.value(x), x @ self.matrix + self.shift, hessian)


def gaussian_potential(
    u: np.ndarray, v: np.ndarray, u_weights: RowWeights = None, v_weights: RowWeights = None
) -> HostQuadratic | None:
    """The Monge map between Gaussians with the moments of points (n, d) and (m, d), not shrunk.

    None where a covariance is singular to a millionth.
    """
    source, target = _covariance(u, u_weights), _covariance(v, v_weights)
    for spectrum in map(np.linalg.eigvalsh, (source, target)):
        if not spectrum[0] > 1e-6 * spectrum[-1]:
            return None
    matrix = host_gaussian_matrix(source, target)
    return HostQuadratic(matrix, row_mean(v, v_weights) - matrix @ row_mean(u, u_weights))


def _covariance(points: np.ndarray, weights: RowWeights) -> np.ndarray:
    """Of points (n, d), unbiased, (d, d)."""
    if weights is None:
        return np.cov(points.T).reshape(points.shape[1], -1)
    count = row_count(points, weights)
    # One row alone tells nothing: what stands for less than two counts as half of itself.
    freedom = max(count - 1.0, 0.5 * count)
    return row_products(points - row_mean(points, weights), weights) / freedom


def host_gaussian_matrix(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """S^{-1/2} (S^{1/2} R S^{1/2})^{1/2} S^{-1/2}, of the map from covariance S to R, (d, d).

    As ``numerics.gaussian_map_matrix``, without a compiler; S must be regular.
    """
    values, vectors = np.linalg.eigh(source)
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    values, vectors = np.linalg.eigh(root @ target @ root)
    matrix = inverse @ ((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T) @ inverse
    return 0.5 * (matrix + matrix.T)
