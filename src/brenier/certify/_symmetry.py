"""Symmetries that a caller may declare of the source: they make its points at no cost."""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
from scipy.linalg import schur
from scipy.optimize import linear_sum_assignment

from brenier._checks import as_float_array
from brenier.certify._pair_savings import cycles_of

# Points of an orbit at most.
_POINTS = 96
# Below this part of the largest, an eigenvalue of a covariance is 0.
_FLAT = 1e-12
# Pairs a dimension from which on they show E[DT] better than few derivatives.
_PAIRS_A_DIMENSION = 40
# Parts of the way from what the pairs show to the identity that are tried for a turn.
_SHRUNK = (0.0, 0.5, 0.9)

# From points (b, d): their orbits (b, k, d); DT at few pilot rows (n, d, d).
Around: TypeAlias = Callable[[np.ndarray], np.ndarray]
Derivative: TypeAlias = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A transformation Φ that preserves the source, Φ^k the identity: X to Φ^j X, j < k.

    Attributes:
        around: (b, d) to (b, k, d).
        points: k.
        name: in words.
    """

    around: Around
    points: int
    name: str


class AbstractSymmetry(abc.ABC):
    """A group of transformations that leave the law of the source as it is.

    >>> import numpy as np
    >>> moved = Exchangeable().scattered(np.array([[1.0, 2.0, 3.0]]), np.random.default_rng(0))
    >>> sorted(moved[0].tolist())
    [1.0, 2.0, 3.0]
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def check(self, dimension: int) -> None:
        """Raise a ``ValueError`` where it is none in this dimension."""

    @abc.abstractmethod
    def kinds(self, x: np.ndarray, tx: np.ndarray, derivative: Derivative) -> list[Kind]:
        """The transformations that a map shows most at, from pilot rows (n, d)."""

    @abc.abstractmethod
    def moves(self, x: np.ndarray, tx: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
        """Φ(x) − x, (n, d) to (n, d), of such Φ as pairs (n, d) would gain by."""

    @abc.abstractmethod
    def scattered(self, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Points (n, d), each moved by a random element of the group."""


@dataclass(frozen=True)
class Elliptical(AbstractSymmetry):
    """The law of m + S^{1/2} Z, where Z has no direction: normal, Student, uniform on a ball.

    Args:
        centre: m, (d,).
        scatter: S up to a factor, (d, d), positive semidefinite.

    >>> import numpy as np
    >>> Elliptical(np.zeros(2), np.eye(2)).name
    'elliptical'
    """

    centre: Any
    scatter: Any
    name: ClassVar[str] = "elliptical"

    def check(self, dimension: int) -> None:
        centre = _finite("centre", self.centre)
        scatter = _finite("scatter", self.scatter)
        if centre.shape != (dimension,) or scatter.shape != (dimension, dimension):
            raise ValueError(
                f"symmetry: got a centre of shape {centre.shape} and a scatter of shape "
                f"{scatter.shape}; wants {(dimension,)} and {(dimension, dimension)}."
            )
        least, most = np.linalg.eigvalsh(scatter)[[0, -1]]
        symmetric = np.allclose(scatter, scatter.T, rtol=1e-6, atol=1e-9 * abs(most))
        if not symmetric or not most > 0 or least < -_FLAT * most:
            raise ValueError(
                "symmetry: got a scatter that is not symmetric or not positive; wants the "
                "covariance up to a factor."
            )

    def kinds(self, x: np.ndarray, tx: np.ndarray, derivative: Derivative) -> list[Kind]:
        root, _ = self._roots
        jacobians = derivative() if root.shape[1] > 1 else None
        few = len(x) < _PAIRS_A_DIMENSION * root.shape[1]
        left, _, right = np.linalg.svd(self._gain(x, tx, jacobians if few else None))
        found = [self._kind(*_turns(left @ right), "all planes")]
        if jacobians is not None:
            axes = turning_axes(root.T @ jacobians @ root)
            found.append(self._kind(axes, [(0, 1, 1)], "one plane"))
        return [kind for kind in found if kind is not None]

    def moves(self, x: np.ndarray, tx: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
        root, inverse = self._roots
        gain = self._gain(x, tx, None)
        middle = max(float(np.trace(gain)), 0.0) / len(gain) * np.eye(len(gain))

        def move(shrunk: float) -> Callable[[np.ndarray], np.ndarray]:
            left, _, right = np.linalg.svd((1.0 - shrunk) * gain + shrunk * middle)
            turn = inverse.T @ (left @ right) @ root.T
            off = inverse.T @ root.T  # what lies off a flat scatter stays where it is
            return lambda points: (points - self.centre) @ (turn - off)

        return [move(shrunk) for shrunk in _SHRUNK]

    def scattered(self, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
        root, inverse = self._roots
        z = (x - self.centre) @ inverse.T
        directions = random.normal(size=z.shape)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        moved = np.linalg.norm(z, axis=1, keepdims=True) * directions
        return x + (moved - z) @ root.T

    @cached_property
    def _roots(self) -> tuple[np.ndarray, np.ndarray]:
        """R (d, r) with S = R Rᵀ, and its pseudo-inverse (r, d)."""
        values, vectors = np.linalg.eigh(np.asarray(self.scatter, np.float64))
        kept = values > _FLAT * values[-1]
        roots = np.sqrt(values[kept])
        return vectors[:, kept] * roots, (vectors[:, kept] / roots).T

    def _gain(self, x: np.ndarray, tx: np.ndarray, jacobians: np.ndarray | None) -> np.ndarray:
        """E[Z (Rᵀ T)ᵀ], (r, r): a turn O of Z gains tr(O of it) less its trace."""
        root, inverse = self._roots
        if jacobians is not None:
            return np.asarray(root.T @ jacobians.mean(axis=0).T @ root)
        z = (x - x.mean(axis=0)) @ inverse.T
        return np.asarray(z.T @ ((tx - tx.mean(axis=0)) @ root) / len(x))

    def _kind(self, frame: np.ndarray, turns: list[tuple[int, int, int]], name: str) -> Kind | None:
        if not turns:
            return None
        root, inverse = self._roots

        def around(x: np.ndarray) -> np.ndarray:
            z = (x - self.centre) @ inverse.T @ frame
            moved = _turned(z, turns) - z[:, None]
            return np.asarray(x[:, None] + moved @ (root @ frame).T)

        return Kind(around, _POINTS, name)


@dataclass(frozen=True)
class Exchangeable(AbstractSymmetry):
    """Coordinates in any order have one law, as independent ones of equal laws have.

    >>> Exchangeable().name
    'exchangeable coordinates'
    """

    name: ClassVar[str] = "exchangeable coordinates"

    def check(self, dimension: int) -> None:
        if dimension < 2:
            raise ValueError(
                "symmetry: got exchangeable coordinates in one dimension; wants at least two."
            )

    def kinds(self, x: np.ndarray, tx: np.ndarray, derivative: Derivative) -> list[Kind]:
        order = _best_order(x, tx)
        k = math.lcm(*map(len, cycles_of(order)))
        if k == 1:
            return []
        powers = [np.arange(len(order))]
        for _ in range(k - 1):
            powers.append(order[powers[-1]])
        places = np.stack(powers)
        return [Kind(lambda points: points[:, places], k, "an order of the coordinates")]

    def moves(self, x: np.ndarray, tx: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
        order = _best_order(x, tx)
        return [lambda points: points[:, order] - points]

    def scattered(self, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return random.permuted(x, axis=1)


@dataclass(frozen=True)
class SignChanges(AbstractSymmetry):
    """Each coordinate may be reflected about the centre: independent symmetric ones, and others.

    Args:
        centre: (d,).

    >>> import numpy as np
    >>> SignChanges(np.zeros(3)).name
    'sign changes'
    """

    centre: Any
    name: ClassVar[str] = "sign changes"

    def check(self, dimension: int) -> None:
        centre = _finite("centre", self.centre)
        if centre.shape != (dimension,):
            raise ValueError(
                f"symmetry: got a centre of shape {centre.shape}; wants {(dimension,)}."
            )

    def kinds(self, x: np.ndarray, tx: np.ndarray, derivative: Derivative) -> list[Kind]:
        return [Kind(partial(_both, move), 2, "sign changes") for move in self.moves(x, tx)]

    def moves(self, x: np.ndarray, tx: np.ndarray) -> list[Callable[[np.ndarray], np.ndarray]]:
        gains = np.mean((x - self.centre) * (tx - tx.mean(axis=0)), axis=0)
        flipped = gains < 0
        if not flipped.any():
            return []
        return [lambda points: np.where(flipped, 2.0 * (self.centre - points), 0.0)]

    def scattered(self, x: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return self.centre + random.choice([-1.0, 1.0], size=x.shape) * (x - self.centre)


def _finite(name: str, value: Any) -> np.ndarray:
    array = as_float_array(f"symmetry: {name}", value)
    if not np.isfinite(array).all():
        raise ValueError(f"symmetry: got NaN or infinity in the {name}; wants finite numbers.")
    return array


def _both(move: Callable[[np.ndarray], np.ndarray], points: np.ndarray) -> np.ndarray:
    return np.stack([points, points + move(points)], axis=1)


def turning_axes(jacobians: np.ndarray) -> np.ndarray:
    """Orthonormal columns (d, d) along which DT (n, d, d) turns, the most first."""
    skew = (0.5 * (jacobians - jacobians.swapaxes(1, 2))).reshape(-1, jacobians.shape[2])
    return np.asarray(np.linalg.eigh(skew.T @ skew)[1][:, ::-1])


def _best_order(x: np.ndarray, tx: np.ndarray) -> np.ndarray:
    """The order of the coordinates that gains the most, of few powers; places (d,)."""
    gains = (x - x.mean(axis=0)).T @ (tx - tx.mean(axis=0))
    best, columns = np.empty(len(gains), int), np.arange(len(gains))
    rows, mates = linear_sum_assignment(gains, maximize=True)
    best[mates] = rows
    # Of its cycles those that gain the most, as long as few powers give the identity.
    gained = gains[best, columns] - np.diag(gains)
    order, k = columns.copy(), 1
    for cycle in sorted(cycles_of(best), key=lambda own: -float(gained[own].sum())):
        if math.lcm(k, len(cycle)) <= _POINTS:
            k, order[cycle] = math.lcm(k, len(cycle)), best[cycle]
    return order


def _turns(orthogonal: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """The frame (d, d) of its planes, and (first, second axis, steps of 2π/k) of each that turns.

    An eigenvalue −1 alone is half a turn of its axis: first = second.
    """
    blocks, frame = schur(orthogonal, output="real")
    d, i, turns = len(blocks), 0, []
    while i < d:
        if i + 1 < d and abs(blocks[i + 1, i]) > 1e-9:
            angle = np.arctan2(blocks[i + 1, i], 0.5 * (blocks[i, i] + blocks[i + 1, i + 1]))
            turns.append((i, i + 1, round(angle * _POINTS / (2.0 * np.pi))))
            i += 2
        else:
            if blocks[i, i] < 0:
                turns.append((i, i, _POINTS // 2))
            i += 1
    return frame, [turn for turn in turns if turn[2] % _POINTS]


def _turned(z: np.ndarray, turns: list[tuple[int, int, int]]) -> np.ndarray:
    """Points (b, d) and what k − 1 turns by so many steps in each plane make of them, (b, k, d)."""
    points = np.repeat(z[:, None], _POINTS, axis=1)
    for first, second, steps in turns:
        angle = 2.0 * np.pi * steps * np.arange(_POINTS) / _POINTS
        a, b = z[:, first, None], z[:, second, None]
        points[:, :, first] = np.cos(angle) * a
        if first != second:
            points[:, :, first] -= np.sin(angle) * b
            points[:, :, second] = np.sin(angle) * a + np.cos(angle) * b
    return points
