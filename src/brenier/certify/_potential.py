"""Convex potentials for the upper bound (5.3), fitted to pairs (x, T(x))."""

import dataclasses
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np

from brenier._types import Key, Matrix, Point, Points, Scalar
from brenier.certify._line_potential import LinePotential
from brenier.maps import AffineMap, GradientMap
from brenier.numerics import conjugate_upper_bound, shrunk_moments
from brenier.potentials import (
    ICNN,
    AbstractPotential,
    LogSumExp,
    Preconditioned,
    Quadratic,
    conjugate_points,
    minimise_semi_dual,
)

# Up to this dimension a log-sum-exp of affine pieces is fitted; above it, a network.
_PIECES_DIMENSION = 6
_PIECES = 60
_WIDTHS = (64, 32)
_FIT_STEPS = 60
# Pairs that a potential is fitted to: enough for its parameters, few enough to take seconds.
_FIT_POINTS = 6000
# With fewer pairs per dimension than this, a shrunk covariance is a candidate as well.
_FEW_A_DIMENSION = 10
# The share of its mean variance that is added to a covariance; a bound changes by its square.
_THIN = 1e-9
# Where all points are one, the spread they are taken to have, as a share of their norm.
_ONE_POINT = 1e-12


class Continued(AbstractPotential):
    """φ(u) + ½ Σ_k max(0, |⟨e_k, u⟩| − r_k)²: φ on a box, and beyond it as steep as ½‖u‖² at least.

    A potential fitted to points is arbitrary where there were none. Where it is nearly affine its
    conjugate grows without bound, and a single image outside of ∇φ(box) would spoil the mean gap.

    Args:
        potential: φ.
        axes: the orthonormal e_k in columns, (d, d).
        reach: r_k ≥ 0, (d,).
    """

    potential: AbstractPotential
    axes: Matrix
    reach: Point

    @classmethod
    def beyond(cls, potential: AbstractPotential, u: Points) -> "Continued":
        """φ kept as it is on the box along their principal axes that holds the points u (n, d)."""
        axes = jnp.linalg.eigh(jnp.cov(u.T))[1]
        return cls(potential, axes, jnp.abs(u @ axes).max(axis=0))

    @property
    def dimension(self) -> int:
        return self.potential.dimension

    def value(self, x: Point) -> Scalar:
        outside = jnp.maximum(jnp.abs(x @ self.axes) - self.reach, 0.0)
        return self.potential.value(x) + 0.5 * outside @ outside

    def strong_convexity(self) -> Scalar:
        return self.potential.strong_convexity()


def own_potential(map: object) -> AbstractPotential | None:
    """A convex φ with ∇φ = T, where the map is one by construction: D(T) = 0 then."""
    if isinstance(map, GradientMap):
        return map.potential
    if not isinstance(map, AffineMap) or not bool(jnp.all(map.matrix == map.matrix.T)):
        return None
    positive = float(jnp.linalg.eigvalsh(map.matrix)[0]) > 0
    return Quadratic.from_matrix(map.matrix, map.offset) if positive else None


def fitted_potentials(
    x: np.ndarray, y: np.ndarray, key: Key
) -> Iterator[tuple[str, AbstractPotential | LinePotential]]:
    """Candidates fitted to the pairs, cheapest first: quadratic ones, then those that are not."""
    d = x.shape[1]
    if len(x) <= _FEW_A_DIMENSION * d:
        yield "quadratic, of shrunk covariances", _gaussian(x, y, _shrunk_covariance)
    coordinates = _gaussian(x, y, _sample_covariance)
    yield "quadratic, of the Gaussian map", coordinates
    if d == 1:
        spread = [_raised(_sample_covariance(points), points)[0, 0] for points in (x, y)]
        slope = float(np.sqrt(spread[1] / spread[0]))
        yield "monotone rearrangement", LinePotential.rearranging(x[:, 0], y[:, 0], slope)
        return
    if len(x) <= d:
        return  # the points lie in a hyperplane: more parameters would only overfit
    xs, ys = jnp.asarray(x[:_FIT_POINTS]), jnp.asarray(y[:_FIT_POINTS])
    u, v = coordinates.encode_source(xs), coordinates.encode_target(ys)
    start: AbstractPotential
    if d <= _PIECES_DIMENSION:
        name = f"log-sum-exp, {_PIECES} pieces"
        start = LogSumExp.identity(key, d, _PIECES, scale=3.0, temperature=1.0)
    else:
        name = f"input-convex network, {_WIDTHS}"
        start = ICNN.identity(key, d, _WIDTHS, activation="squareplus", sharpness=2.0)
    # T(x) ≈ ∇φ(x): the search for the conjugate point of T(x) starts at x.
    bent = minimise_semi_dual(start, u, v, start=u, steps=_FIT_STEPS).potential
    if isinstance(bent, LogSumExp):
        # Beyond its outermost pieces a log-sum-exp is affine; a network goes on bending.
        bent = Continued.beyond(bent, u)
    yield name, dataclasses.replace(coordinates, potential=bent)


def fenchel_young(
    potential: AbstractPotential | LinePotential, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """φ(x_i) + φ*(y_i) − ⟨x_i, y_i⟩ ≥ 0, never too small: φ* is bounded from above by (5.4)."""
    if isinstance(potential, LinePotential):
        return potential.gaps(x[:, 0], y[:, 0])
    xs, ys = jnp.asarray(x), jnp.asarray(y)
    result = conjugate_points(potential, ys, xs, tolerance=1e-9, max_iterations=100)
    upper = conjugate_upper_bound(result, potential.strong_convexity())
    return np.asarray(jnp.maximum(potential(xs) + upper - jnp.sum(xs * ys, axis=1), 0.0))


def _gaussian(
    x: np.ndarray, y: np.ndarray, covariance: Callable[[np.ndarray], np.ndarray]
) -> Preconditioned:
    """½‖·‖² in coordinates where the Gaussian map of these covariances is the identity."""
    return Preconditioned.gaussian(
        x.mean(axis=0), _raised(covariance(x), x), y.mean(axis=0), _raised(covariance(y), y)
    )


def _sample_covariance(points: np.ndarray) -> np.ndarray:
    d = points.shape[1]
    return np.cov(points.T).reshape(d, d)


def _shrunk_covariance(points: np.ndarray) -> np.ndarray:
    return shrunk_moments(points - points.mean(axis=0))


def _raised(covariance: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The covariance plus a small multiple of the identity: images may lie in a plane."""
    d = points.shape[1]
    # Where all points are one there is no variance to take a share of: a tiny part of their norm.
    least = max(_ONE_POINT**2 * float(np.mean(points**2)), _ONE_POINT**2)
    return covariance + _THIN * max(np.trace(covariance) / d, least) * np.eye(d)
