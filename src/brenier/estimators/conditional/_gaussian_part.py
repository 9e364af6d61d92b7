"""The Gaussian map of every condition, smoothed over conditions and carried to others."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from brenier.estimators.conditional._sides import Side, Sides
from brenier.numerics import Kriging, row_mean, row_products
from brenier.potentials import ConditionalGaussian, Quadratic, Unconditional
from brenier.potentials.host import host_gaussian_matrix

# The least eigenvalue of a pooled covariance, in parts of the mean one.
_LEAST = 1e-6
# Sound points of a condition that have moments, at least.
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class _Moments:
    """Those of every condition on one side.

    Args:
        means: (k, d).
        covariances: (k, d, d), each shrunk towards that of all by as if d + 1 points were of that.
        counts: (k,).
        within: the covariance of all points about the mean of their condition, (d, d).
        excess: the variance of an entry of a covariance over what it is of Gaussian points.
    """

    means: np.ndarray
    covariances: np.ndarray
    counts: np.ndarray
    within: np.ndarray
    excess: float

    @classmethod
    def of(cls, side: Side, conditions: int) -> "_Moments":
        d = side.points.shape[1]
        side = side.rows(_counted(side, conditions))
        counts = side.counts(conditions)
        means = np.stack([row_mean(*side.at(k)) for k in range(conditions)])
        side = replace(side, points=side.points - means[side.of])
        centred, weights = side.points, side.weights
        within = row_products(centred, weights) / max(counts.sum() - conditions, 1)
        within += _LEAST * np.trace(within) / d * np.eye(d)
        own = np.stack([row_products(*side.at(k)) for k in range(conditions)])
        shrunk = (own + (d + 1.0) * within) / (counts + d + 1.0)[:, None, None]
        fourth = row_mean(centred**4, weights) / np.maximum(
            row_mean(centred**2, weights) ** 2, 1e-300
        )
        return cls(means, shrunk, counts, within, max(float(np.mean(0.5 * (fourth - 1.0))), 1.0))

    @property
    def noise(self) -> np.ndarray:
        """Of the entries of each covariance, in units of the Gaussian's of one point, (k,)."""
        kept = self.counts / (self.counts + self.means.shape[1] + 1.0)
        return self.excess * kept**2 / self.counts


def _counted(side: Side, conditions: int) -> np.ndarray:
    """Rows that count for moments, (n,): the sound ones, but where a condition has too few."""
    few = np.bincount(side.of[side.sound], minlength=conditions) < _FEWEST
    return side.sound | few[side.of]


def gaussian_part(sides: Sides) -> ConditionalGaussian:
    """x ↦ exp(L(c)) x + b(c), with L and b of ``Kriging`` over the conditions.

    L_k is the logarithm of the Gaussian map's matrix and b_k what is then left between the means.
    Both are known as well as sampling allows: to first order an entry of L in the eigenbasis of the
    covariance has the variance λ_i λ_j (1 + δ_ij)/(λ_i + λ_j)² · (1/n + 1/m), one of b λ_i (1/n +
    1/m). What of them varies beyond that is signal.
    """
    source, target = (_Moments.of(side, len(sides)) for side in sides.both)
    spectrum, axes = np.linalg.eigh(0.5 * (source.within + target.within))
    logarithms = [
        _logarithm(host_gaussian_matrix(s, t))
        for s, t in zip(source.covariances, target.covariances, strict=True)
    ]
    logarithm = _smooth_logarithms(sides, np.stack(logarithms), axes, spectrum, source, target)
    matrices = [_exponential(np.asarray(logarithm(code))) for code in sides.codes]
    apart = np.stack(
        [
            mean - matrix @ start
            for mean, matrix, start in zip(target.means, matrices, source.means, strict=True)
        ]
    )
    shift = Kriging.fit(
        sides.codes,
        sides.layout,
        apart @ axes,
        noise=1.0 / source.counts + 1.0 / target.counts,
        scales=np.sqrt(spectrum),
        groups=np.arange(sides.dimension),
    )
    identity = Unconditional(Quadratic.identity(sides.dimension), sides.layout)
    return ConditionalGaussian(identity, logarithm, _mapped(shift, lambda values: values @ axes.T))


def _smooth_logarithms(
    sides: Sides,
    logarithms: np.ndarray,
    axes: np.ndarray,
    spectrum: np.ndarray,
    source: _Moments,
    target: _Moments,
) -> Kriging:
    """L of every condition: its upper triangle in the eigenbasis is smoothed, and carried back."""
    d = sides.dimension
    upper = np.triu_indices(d)
    rotated = axes.T @ logarithms @ axes
    i, j = upper
    scales = np.sqrt(spectrum[i] * spectrum[j] * (1.0 + (i == j))) / (spectrum[i] + spectrum[j])
    smooth = Kriging.fit(
        sides.codes,
        sides.layout,
        rotated[:, i, j],
        noise=source.noise + target.noise,
        scales=scales,
    )

    def back(values: np.ndarray) -> np.ndarray:
        full = np.zeros((len(values), d, d))
        full[:, i, j] = full[:, j, i] = values
        return (axes @ full @ axes.T).reshape(len(values), d * d)

    return _mapped(smooth, back)


def _mapped(kriging: Kriging, linear: Callable[[np.ndarray], np.ndarray]) -> Kriging:
    """A linear map of the values of all places."""
    trend, weights = (linear(np.asarray(z)) for z in (kriging.trend, kriging.weights))
    return Kriging(
        kriging.knots, jnp.asarray(trend), jnp.asarray(weights), kriging.length, kriging.layout
    )


def _logarithm(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.log(np.maximum(values, 1e-12 * values[-1]))) @ vectors.T


def _exponential(flat: np.ndarray) -> np.ndarray:
    d = int(np.sqrt(flat.size))
    values, vectors = np.linalg.eigh(flat.reshape(d, d))
    return (vectors * np.exp(values)) @ vectors.T
