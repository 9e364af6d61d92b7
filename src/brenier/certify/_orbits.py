"""A source that is declared: points as likely as its own, and the defect that they show."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import numpy as np

from brenier._types import Key
from brenier.certify._black_box import BlackBox
from brenier.certify._symmetry import AbstractSymmetry, turning_axes
from brenier.certify._weights import Shares
from brenier.measures import AbstractMeasure
from brenier.numerics import numpy_generator

# Orbits of each kind, at least and at most, and numbers that they may hold.
_FEWEST, _MOST, _FLOATS = 48, 256, 2**20
# Points at which a derivative is taken.
_JACOBIANS = 16
# Radii of rings in parts of the spread, and points of a ring.
_RADII, _RING_POINTS = (0.5, 1.0, 1.5), 48
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Orbits:
    """X_j of independent orbits: given an orbit, X ∼ μ is X_j with probability w_j. Theory (6.11).

    Attributes:
        points, images: X_j and T(X_j), (b, k, d).
        by: why that holds, in words.
        shares: the least w_j of each orbit (b,); 1/k where None.
    """

    points: np.ndarray
    images: np.ndarray
    by: str
    shares: np.ndarray | None = None

    def centred(self, source: np.ndarray, target: np.ndarray, scale: float) -> "Orbits":
        """The same about centres (d,), in parts of a scale."""
        points, images = (self.points - source) / scale, (self.images - target) / scale
        return replace(self, points=points, images=images)

    def savings(self, noise: float, inside: np.ndarray | None = None) -> np.ndarray:
        """V = max(0, max_s 2 min_j w_j Σ_j ⟨X_j, T(X_{j+s}) − T(X_j)⟩) of each, E V ≤ D; (b,).

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
        if self.shares is not None:
            saved = saved * k * self.shares
        return saved if inside is None else np.where(inside.all(axis=1), saved, 0.0)


def symmetric_orbits(
    map: BlackBox,
    symmetry: AbstractSymmetry,
    pilot: tuple[np.ndarray, np.ndarray],
    starts: AbstractMeasure | np.ndarray,
    key: Key,
) -> list[Orbits]:
    """Orbits under transformations that the source's law allows. Theory (6.11).

    Args:
        map: T.
        symmetry: of the source.
        pilot: pairs (n, d), (n, d), which fix the transformations and are used for nothing else.
        starts: what the orbits go through: the law, or other rows (m, d).
        key: of the draws from the law.
    """
    found = []
    kinds = symmetry.kinds(*pilot, lambda: map.jacobian(pilot[0][:_JACOBIANS])[0])
    for i, kind in enumerate(kinds):
        own = jax.random.fold_in(key, i)
        points = kind.around(_drawn(starts, own, kind.points * pilot[0].shape[1]))
        by = f"orbits, {kind.name}"
        found.append(Orbits(points, _images(map, points), by))
    return found


def density_rings(
    map: BlackBox,
    law: AbstractMeasure,
    pilot: tuple[np.ndarray, np.ndarray],
    starts: AbstractMeasure | np.ndarray,
    key: Key,
) -> list[Orbits]:
    """Rings through points of a law whose density is known, up to a constant. Theory (6.11b).

    In the plane where the derivative turns the most at pilot rows; arguments as of
    ``symmetric_orbits``.
    """
    x = pilot[0]
    d = x.shape[1]
    if d == 1:
        return []
    plane = turning_axes(map.jacobian(x[:_JACOBIANS])[0])[:, 1::-1].T
    spread = float(np.sqrt((x @ plane.T).var(axis=0).mean()))
    angles = 2.0 * np.pi * np.arange(_RING_POINTS) / _RING_POINTS
    found = []
    for radius, own in zip(_RADII, jax.random.split(key, len(_RADII)), strict=True):
        through = _drawn(starts, own, len(_RADII) * _RING_POINTS * d)
        phases = numpy_generator(jax.random.fold_in(own, 1)).uniform(0.0, 2.0 * np.pi, len(through))
        turned = phases[:, None] + angles
        circle = np.stack([np.cos(turned), np.sin(turned)], axis=2)
        points = through[:, None] + radius * spread * (circle - circle[:, :1]) @ plane
        logs = np.asarray(law.log_density(points), np.float64)
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares = weights.min(axis=1) / weights.sum(axis=1)
        by = "rings in a known density"
        found.append(Orbits(points, _images(map, points, np.isfinite(logs)), by, shares))
    return found


def asymptotic_from_symmetry(
    x: np.ndarray,
    tx: np.ndarray,
    symmetry: AbstractSymmetry,
    quantile: float,
    shares: Shares | None = None,
) -> float:
    """mean h − z se: a lower bound of D for many pairs, from what a transformation gains.

    h = 2⟨Φ(x) − x, T(x) − b⟩ has E h ≤ D for each Φ that preserves the source. Φ and b are fixed
    by one half of the pairs, h is averaged over the other. Theory (6.12). With ``shares``
    of weights, by which the first half is drawn already, the mean is a ratio of two.
    """
    half, tuned = len(x) // 2, max(len(x) // 10, 1)
    shift = tx[:half].mean(axis=0)
    moves = symmetry.moves(x[: half - tuned], tx[: half - tuned])

    def gains(move: Callable[[np.ndarray], np.ndarray], part: slice) -> np.ndarray:
        return 2.0 * np.sum(move(x[part]) * (tx[part] - shift), axis=1)

    if not moves:
        return 0.0
    best = max(moves, key=lambda move: float(gains(move, slice(half - tuned, half)).mean()))
    own = gains(best, slice(half, None))
    if shares is not None:
        kept = shares.of(slice(half, None))
        low = kept.mean(own) - quantile * kept.stderr(own)
        return low if low > 0.0 else 0.0
    return max(0.0, float(own.mean() - quantile * own.std(ddof=1) / np.sqrt(len(own))))


def _drawn(starts: AbstractMeasure | np.ndarray, key: Key, floats: int) -> np.ndarray:
    """As many points of a law, or rows, as may hold an orbit of so many numbers each."""
    count = int(np.clip(_FLOATS // floats, _FEWEST, _MOST))
    if isinstance(starts, AbstractMeasure):
        return np.asarray(starts.sample(key, count), np.float64)
    return starts[:count]


def _images(map: BlackBox, points: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
    """T at points (b, k, d); rings that leave the support are worth nothing: T stays unasked."""
    images = points.copy()
    kept = np.ones(points.shape[:2], bool) if inside is None else inside
    kept = np.broadcast_to(kept.all(axis=1, keepdims=True), kept.shape)
    if kept.any():
        images[kept] = map(points[kept])
    return images
