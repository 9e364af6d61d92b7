"""Convex potentials for the upper bound (5.3), fitted to pairs (x, T(x))."""

import dataclasses
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from sklearn.covariance import oas

from brenier._types import Key, Matrix, Point, Points, Scalar
from brenier.certify._line_potential import LinePotential
from brenier.maps import AffineMap, GradientMap
from brenier.numerics import conjugate_upper_bound
from brenier.potentials import (
    ICNN,
    AbstractPotential,
    LogSumExp,
    Preconditioned,
    Quadratic,
    conjugate_points,
    minimise_semi_dual,
)

# Smoothed pieces serve in few dimensions, networks in many.
_PIECES_DIMENSION = 6
_PIECES = 60
_WIDTHS = (64, 32)
_FIT_STEPS = 60
# Points of a fit: enough for some hundred parameters, few enough for seconds.
_FIT_POINTS = 6000
# With fewer pairs a dimension a sample covariance is too far off to be all there is.
_FEW_A_DIMENSION = 10
# Added to a covariance, as a share of its mean variance: its effect on a bound is its square.
_THIN = 1e-9
_ONE_POINT = 1e-12


class Continued(AbstractPotential):
    """φ(u) + ½ Σ_k max(0, |⟨e_k, u⟩| − r_k)²: φ on a box, and beyond it as steep as ½‖u‖² at least.

    What was fitted to points says nothing where there were none: a φ nearly affine out there has
    conjugates as large as its modulus is small, and one image beyond ∇φ of the box spoils a mean.

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
        """Unchanged on the box, in principal axes, that holds the points u (n, d)."""
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
    """Candidates, cheapest first: the Gaussian one, then what bends, each fitted to the pairs."""
    d = x.shape[1]
    if len(x) <= _FEW_A_DIMENSION * d:
        yield "quadratic, of shrunk covariances", _gaussian(x, y, lambda points: oas(points)[0])
    coordinates = _gaussian(x, y, _sample_covariance)
    yield "quadratic, of the Gaussian map", coordinates
    if d == 1:
        spread = [_raised(_sample_covariance(points), points)[0, 0] for points in (x, y)]
        slope = float(np.sqrt(spread[1] / spread[0]))
        yield "monotone rearrangement", LinePotential.rearranging(x[:, 0], y[:, 0], slope)
        return
    if len(x) <= d:
        return  # a cloud in a plane of its own: what bends would fit it, and nothing else
    xs, ys = jnp.asarray(x[:_FIT_POINTS]), jnp.asarray(y[:_FIT_POINTS])
    u, v = coordinates.encode_source(xs), coordinates.encode_target(ys)
    start: AbstractPotential
    if d <= _PIECES_DIMENSION:
        name = f"log-sum-exp, {_PIECES} pieces"
        start = LogSumExp.identity(key, d, _PIECES, scale=3.0, temperature=1.0)
    else:
        name = f"input-convex network, {_WIDTHS}"
        start = ICNN.identity(key, d, _WIDTHS, activation="squareplus", sharpness=2.0)
    # T(x) ≈ ∇φ(x): x itself is where its image's conjugate point is looked for.
    bent = minimise_semi_dual(start, u, v, start=u, steps=_FIT_STEPS).potential
    if isinstance(bent, LogSumExp):
        # Pieces that end leave the modulus alone; a network's units go on growing.
        bent = Continued.beyond(bent, u)
    yield name, dataclasses.replace(coordinates, potential=bent)


def fenchel_young(
    potential: AbstractPotential | LinePotential, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """φ(x_i) + φ*(y_i) − ⟨x_i, y_i⟩ ≥ 0, never below its value: φ* is held from above by (5.4)."""
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


def _raised(covariance: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The covariance, raised a little where it is singular: an image may lie in a plane."""
    d = points.shape[1]
    # Where all points are one, something that is nothing beside where they are.
    least = max(_ONE_POINT**2 * float(np.mean(points**2)), _ONE_POINT**2)
    return covariance + _THIN * max(np.trace(covariance) / d, least) * np.eye(d)
