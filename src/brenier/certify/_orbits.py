"""Orbits of a declared source under a symmetry: a lower bound without a curse of dimension."""

from dataclasses import dataclass

import jax
import numpy as np
from scipy.linalg import schur

from brenier._types import Key
from brenier.certify._black_box import BlackBox
from brenier.measures import Gaussian

# Points of an orbit; orbits of each kind, at least and at most, and numbers that they may hold.
_POINTS, _FEWEST, _MOST, _FLOATS = 96, 48, 256, 2**20
# Points at which the mean derivative is taken, where pairs are too few for the covariance.
_JACOBIANS, _PAIRS_A_DIMENSION = 16, 40
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Orbits:
    """X_j = Φ^j X of independent X ∼ μ, where Φ preserves μ and Φ^k is the identity. MATH_6 (6.11).

    Attributes:
        points, images: X_j and T(X_j), (b, k, d).
        by: the symmetry, in words.
    """

    points: np.ndarray
    images: np.ndarray
    by: str

    def centred(self, source: np.ndarray, target: np.ndarray, scale: float) -> "Orbits":
        """The same about centres (d,), in parts of a scale."""
        return Orbits((self.points - source) / scale, (self.images - target) / scale, self.by)

    def savings(self, noise: float, inside: np.ndarray | None = None) -> np.ndarray:
        """V = max(0, max_s (2/k) Σ_j ⟨X_j, T(X_{j+s}) − T(X_j)⟩) of every orbit, E V ≤ D; (b,).

        Of a core an orbit counts where all its points lie ``inside`` (b, k): its best permutation
        of those is no worse.
        """
        x = self.points - self.points.mean(axis=(0, 1))
        y = self.images - self.images.mean(axis=(0, 1))
        k, d = x.shape[1:]
        # Σ_j ⟨X_j, T(X_{j+s})⟩ for every s at once.
        products = np.conj(np.fft.rfft(x, axis=1)) * np.fft.rfft(y, axis=1)
        sums = np.fft.irfft(products.sum(axis=2), n=k, axis=1)
        saved = 2.0 / k * (sums.max(axis=1) - np.sum(x * y, axis=(1, 2)))
        least = 8.0 * noise * np.sqrt(d * np.mean(x * x) * d) + _ROUNDING
        saved = np.where(saved > least, saved, 0.0)
        return saved if inside is None else np.where(inside.all(axis=1), saved, 0.0)


def gaussian_orbits(
    map: BlackBox, source: Gaussian, x: np.ndarray, tx: np.ndarray, key: Key
) -> list[Orbits]:
    """Orbits of N(m, S) under Φ(x) = m + S^{1/2} Q S^{-1/2}(x − m), Q orthogonal.

    One kind turns all planes of the polar factor of S^{-1/2} Cov(X, T) S^{1/2}, by angles that are
    rounded to 2π/k; the other the one plane where the derivative turns the most, whichever way.

    Args:
        map: T.
        source: N(m, S).
        x, tx: pilot pairs (n, d), which fix Q and are used for nothing else.
        key: of the points that the orbits go through.
    """
    mean, covariance = np.asarray(source.mean), np.asarray(source.covariance)
    values, vectors = np.linalg.eigh(covariance)
    if not values[0] > 1e-12 * values[-1]:
        return []
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    d = len(mean)
    jacobians = map.jacobian(x[:_JACOBIANS])[0] if d > 1 else None
    if jacobians is None or len(x) >= _PAIRS_A_DIMENSION * d:
        cross = (x - x.mean(axis=0)).T @ (tx - tx.mean(axis=0)) / len(x)
        matrix = inverse @ cross @ root
    else:
        matrix = root @ jacobians.mean(axis=0).T @ root
    left, _, right = np.linalg.svd(matrix)
    kinds = [(*_turns(left @ right), "all planes")]
    if jacobians is not None:
        skew = root @ (0.5 * (jacobians - jacobians.swapaxes(1, 2))) @ root
        _, axes = np.linalg.eigh(np.einsum("nij,nik->jk", skew, skew))
        kinds.append((axes[:, ::-1], [(0, 1, 1)], "one plane"))
    count = int(np.clip(_FLOATS // (_POINTS * d), _FEWEST, _MOST))
    found = []
    for own, (frame, turns, name) in zip(jax.random.split(key, len(kinds)), kinds, strict=True):
        drawn = np.asarray(source.sample(own, count), np.float64)
        points = _turned((drawn - mean) @ inverse @ frame, turns) @ (root @ frame).T + mean
        images = map(points.reshape(-1, d)).reshape(points.shape)
        found.append(Orbits(points, images, f"orbits, {name} (6.11)"))
    return found


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
