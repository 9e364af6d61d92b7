"""Convex potentials as plain NumPy: value, gradient and Hessian at many points at once."""

import abc
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


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

    @abc.abstractmethod
    def expand(self, x: np.ndarray) -> HostExpansion:
        """Value, gradient and Hessian at points (n, d)."""

    @abc.abstractmethod
    def value(self, x: np.ndarray) -> np.ndarray:
        """φ at points (n, d)."""


@dataclass(frozen=True, eq=False)
class HostQuadratic(HostPotential):
    """½‖x‖²: the Gaussian map in standard coordinates."""

    size: int

    @property
    def dimension(self) -> int:
        return self.size

    def value(self, x: np.ndarray) -> np.ndarray:
        return 0.5 * np.sum(x * x, axis=1)

    def expand(self, x: np.ndarray) -> HostExpansion:
        eye = np.broadcast_to(np.eye(self.size), (len(x), self.size, self.size))
        return HostExpansion(self.value(x), x, eye)
