"""Convex potentials whose Fenchel-Young gaps bound the defect from above, cheapest first."""

import abc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from brenier.certify._line_potential import LinePotential
from brenier.certify._steps import StepPotential
from brenier.numerics import Coordinates, gross_outliers, shrunk_moments
from brenier.potentials.host import (
    SoftPieces,
    fit_soft_pieces,
    host_conjugates,
    host_gaussian_matrix,
    soft_hinges,
    soft_maximum,
)

# With fewer pairs per dimension than this, covariances are shrunk.
_FEW_A_DIMENSION = 10
# The share of its mean variance that is added to a covariance; a bound changes by its square.
_THIN = 1e-9
# A direction is flat where its variance is below this part of the largest.
_FLAT = 1e-8
# Soft pieces: their numbers, pairs that they are fitted to and that each takes, steps of a fit.
_PIECES, _FIT_POINTS, _PAIRS_A_PARAMETER, _STEPS = (8, 32), 4000, 0.5, 25
# Up to this dimension a soft maximum is worth its time: above, targets of few modes are rare.
_MAXIMUM_DIMENSION = 6
# Operations a second, so that seconds are turned into work before the start.
_OPERATIONS = 1.5e9
# Conjugates are exact to this part of their size; what is left is bounded.
_TOLERANCE, _NEWTON_STEPS = 1e-7, 60


class AbstractGap(abc.ABC):
    """A convex φ, seen through G(x, y) = 2[φ(x) + φ*(y) − ⟨x, y⟩] ≥ 0, never too small.

    Attributes:
        name: of the kind of φ, in words.
    """

    name: str

    @abc.abstractmethod
    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """G at pairs (n, d), (n, d); infinite where φ* is not known to be finite."""


@dataclass(frozen=True)
class QuadraticGap(AbstractGap):
    """Of φ(x) = ½⟨x − a, M(x − a)⟩ + ⟨b, x⟩: G = ‖M^{-1/2}(y − b − M(x − a))‖².

    Args:
        matrix: M, (d, d), positive definite.
        source, target: a and b, (d,).
        name: of the covariances that it is of.
    """

    matrix: np.ndarray
    source: np.ndarray
    target: np.ndarray
    name: str

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        off = y - self.target - (x - self.source) @ self.matrix
        return np.sum(off * np.linalg.solve(self.matrix, off.T).T, axis=1)


@dataclass(frozen=True)
class SeparableGap(AbstractGap):
    """Of φ(x) = Σ_k φ_k(⟨e_k, x⟩), e_k orthonormal: the sum of the gaps along the axes.

    Args:
        axes: e_k in rows, (d, d).
        lines: φ_k, each the monotone rearrangement of the pairs along its axis.
        name: of the axes.
    """

    axes: np.ndarray
    lines: tuple[LinePotential, ...]
    name: str

    @classmethod
    def rearranging(
        cls, x: np.ndarray, y: np.ndarray, axes: np.ndarray, name: str
    ) -> "SeparableGap":
        z, w = x @ axes.T, y @ axes.T
        lines = []
        for i in range(len(axes)):
            spreads = [max(float(part[:, i].std()), 1e-9) for part in (z, w)]
            lines.append(LinePotential.rearranging(z[:, i], w[:, i], spreads[1] / spreads[0]))
        return cls(axes, tuple(lines), name)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        z, w = x @ self.axes.T, y @ self.axes.T
        gaps = [line.gaps(z[:, i], w[:, i]) for i, line in enumerate(self.lines)]
        return 2.0 * np.sum(gaps, axis=0)


@dataclass(frozen=True)
class StepGap(AbstractGap):
    """Of a map that adds one of few vectors to a multiple of the point."""

    steps: StepPotential
    name: str

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 2.0 * self.steps.gaps(x, y)


@dataclass(frozen=True)
class SoftGap(AbstractGap):
    """Of soft pieces in coordinates where the Gaussian map is the identity."""

    pieces: SoftPieces
    coordinates: Coordinates
    name: str

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u, v = self.coordinates.encode_source(x), self.coordinates.encode_target(y)
        # T(x) ≈ ∇φ(x): the search for the conjugate point of T(x) starts at x.
        found = host_conjugates(self.pieces, v, u, tolerance=_TOLERANCE, steps=_NEWTON_STEPS)
        near = self.pieces.expand(found.points)
        off = np.sum((v - near.gradient) ** 2, axis=1)
        modulus = float(np.exp(self.pieces.log_modulus[0]))
        # φ* is at most this, wherever the search has ended, as φ is strongly convex.
        above = np.sum(found.points * v, axis=1) - near.value + off / (2.0 * modulus)
        gaps = self.pieces.value(u) + above - np.sum(u * v, axis=1)
        return 2.0 * float(self.coordinates.scale) ** 2 * np.maximum(gaps, 0.0)


@dataclass(frozen=True)
class SpanGap(AbstractGap):
    """Of φ(x) = ψ(W(x − a)) + (m/2)‖x⊥‖² + ⟨b, x⟩, x⊥ what the rows of W leave of x − a.

    G(x, y) = G_ψ(W(x − a), W(y − b)) + ‖y⊥ − m x⊥‖²/m: of more dimensions than the pairs span no
    matrix is ever (d, d).

    Args:
        inner: that of ψ, in r dimensions.
        axes: W, (r, d), orthonormal rows.
        source, target: a and b, (d,).
        slope: m > 0.
        name: of ψ.
    """

    inner: AbstractGap
    axes: np.ndarray
    source: np.ndarray
    target: np.ndarray
    slope: float
    name: str

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        (z, over), (w, beyond) = (
            self._parts(points, shift) for points, shift in ((x, self.source), (y, self.target))
        )
        off = beyond - self.slope * over
        return self.inner(z, w) + np.sum(off * off, axis=1) / self.slope

    def _parts(self, points: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points along the axes (n, r), and what is left of them (n, d)."""
        centred = points - shift
        along = centred @ self.axes.T
        return along, centred - along @ self.axes


def fitted_gaps(
    x: np.ndarray, y: np.ndarray, random: np.random.Generator, *, seconds: float
) -> Iterator[AbstractGap]:
    """Potentials fitted to pairs (n, d), (n, d), as many as about so many seconds allow.

    Of more dimensions than the pairs span, in their span; beyond it φ is as bent everywhere.
    """
    n, d = x.shape
    if d <= 2 * n:
        yield from _fitted(x, y, random, seconds, columns=True)
        return
    source, target = x.mean(axis=0), y.mean(axis=0)
    sides = x - source, y - target
    sizes = [max(float(np.mean(side * side)), _THIN) ** 0.5 for side in sides]
    axes = _span(np.concatenate([sides[0] / sizes[0], sides[1] / sizes[1]]))
    z, w = (side @ axes.T for side in sides)
    for inner in _fitted(z, w, random, seconds, columns=False):
        yield SpanGap(inner, axes, source, target, sizes[1] / sizes[0], inner.name)


def _span(rows: np.ndarray) -> np.ndarray:
    """Orthonormal rows (r, d) that span rows (k, d), but for what is 1e-4 of the longest."""
    for least in (_FLAT, 0.0):  # the second time for the digits that the first has lost
        values, vectors = np.linalg.eigh(rows @ rows.T)
        kept = values > least * values[-1]
        rows = (vectors[:, kept] / np.sqrt(values[kept])).T @ rows
    return rows


def _fitted(
    x: np.ndarray, y: np.ndarray, random: np.random.Generator, seconds: float, *, columns: bool
) -> Iterator[AbstractGap]:
    """Those in the coordinates of the pairs, which may be columns of data, or any axes."""
    d = x.shape[1]
    few = len(x) <= _FEW_A_DIMENSION * d
    # Of any potential the gap is an upper bound: its moments may leave out what ruins them.
    sound = np.ones(len(x), dtype=bool)
    sound[gross_outliers(np.hstack([x, y]))] = False
    quadratic = _quadratic(x[sound], y[sound], shrunk=few)
    yield quadratic
    if few and np.count_nonzero(sound) > d:
        yield _quadratic(x[sound], y[sound], shrunk=False)
    if columns or d == 1:
        name = "monotone rearrangement" if d == 1 else "separable, along the coordinates"
        yield SeparableGap.rearranging(x, y, np.eye(d), name)
    if d == 1:
        return
    axes = np.linalg.eigh(quadratic.matrix)[1].T
    yield SeparableGap.rearranging(x, y, axes, "separable, along the axes of the Gaussian map")
    steps = StepPotential.fitted(x, y)
    if steps is not None:
        yield StepGap(steps, f"max-affine, {len(steps.images)} pieces")
    yield from _soft(x, y, sound, random, seconds)


def _soft(
    x: np.ndarray, y: np.ndarray, sound: np.ndarray, random: np.random.Generator, seconds: float
) -> Iterator[AbstractGap]:
    d, x, y, sound = x.shape[1], x[:_FIT_POINTS], y[:_FIT_POINTS], sound[:_FIT_POINTS]
    if _PAIRS_A_PARAMETER * _PIECES[0] * (d + 2) > len(x):
        return
    moments = (
        part for cloud in (x[sound], y[sound]) for part in (cloud.mean(axis=0), _covariance(cloud))
    )
    coordinates = Coordinates.gaussian(*moments).on_host()
    u, v = coordinates.encode_source(x), coordinates.encode_target(y)
    left, different = seconds * _OPERATIONS, len(np.unique(v, axis=0))
    starts = {"soft hinges": soft_hinges, "log-sum-exp": soft_maximum}
    for size in _PIECES:
        parameters = size * (d + 2)
        if _PAIRS_A_PARAMETER * parameters > len(x):
            return
        for name, start in starts.items():
            if name == "log-sum-exp" and (d > _MAXIMUM_DIMENSION or size > different):
                continue
            left -= _STEPS * (3.0 * parameters**3 + 40.0 * len(x) * (size * d + d**3))
            if left < 0:
                return
            pieces = fit_soft_pieces(start(u, v, size, random), u, v, steps=_STEPS)
            yield SoftGap(pieces, coordinates, f"{name}, {size} pieces")


def _quadratic(x: np.ndarray, y: np.ndarray, *, shrunk: bool) -> QuadraticGap:
    """That of the Gaussian map between covariances of the pairs."""
    source, target = (_covariance(cloud, shrunk=shrunk) for cloud in (x, y))
    name = "quadratic, of shrunk covariances" if shrunk else "quadratic, of the Gaussian map"
    matrix = host_gaussian_matrix(source, target)
    return QuadraticGap(matrix, x.mean(axis=0), y.mean(axis=0), name)


def _covariance(points: np.ndarray, *, shrunk: bool = False) -> np.ndarray:
    """Of points (n, d), plus a small multiple of the identity: images may lie in a plane."""
    d = points.shape[1]
    if shrunk:
        covariance = shrunk_moments(points - points.mean(axis=0))
    else:
        covariance = np.cov(points.T).reshape(d, d)
    return covariance + _THIN * max(float(np.trace(covariance)) / d, _THIN) * np.eye(d)
