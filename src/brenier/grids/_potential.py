"""A convex potential known at the nodes of a grid, continued between them by a spline."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_circulant

from brenier._types import Array, Float, Point, Scalar
from brenier.grids._grids import AbstractGrid
from brenier.potentials import AbstractPotential

_DEGREE = 7
# Fourier series are sampled this much finer before the spline, whose error is then about 1e-12.
_OVERSAMPLING = 2


def _pieces() -> Float[np.ndarray, "_ _"]:
    """The pieces of the B-spline: row m holds the polynomial in t, lowest power first, by which
    coefficient j + m enters at (j + t) h. Integers over k!, so exact.
    """
    k = _DEGREE
    return np.array(
        [
            [
                math.comb(k, r)
                * sum(
                    (-1) ** s * math.comb(k + 1, s) * (k - m - s) ** (k - r)
                    for s in range(k - m + 1)
                )
                / math.factorial(k)
                for r in range(k + 1)
            ]
            for m in range(k + 1)
        ]
    )


_PIECES = _pieces()
_SLOPES = _PIECES[:, 1:] * np.arange(1, _DEGREE + 1)


class GridPotential(AbstractPotential):
    """φ(x) = ½‖x‖² + p(x), p a tensor spline of degree 7: an answer of ``solve_monge_ampere``.

    Its solver makes φ convex at the nodes; between them it is convex as far as the grid resolves
    it. On a torus p is periodic, and ∇φ(x + period) = ∇φ(x) + period. Beyond a box p is continued
    linearly along the axes, which keeps ∇φ continuous, but is not the Monge map. Not for learning:
    nothing keeps φ convex when its coefficients change.

    Args:
        coefficients: of the B-splines, seven more than there are intervals along each axis.
        lower: the corner of the grid, (d,).
        spacing: of the knots, (d,).
        periodic: whether p repeats itself.

    >>> from brenier.grids import Torus
    >>> phi = GridPotential.from_grid(Torus([0.0], [1.0], [16]), np.zeros(16))
    >>> phi.gradient(jnp.array([3.25])).round(9).tolist()  # p = 0: the identity
    [3.25]
    """

    coefficients: Float[Array, "*_"]
    lower: Point
    spacing: Point
    periodic: bool = eqx.field(static=True)

    def __check_init__(self):
        if self.coefficients.ndim != self.lower.shape[0] or self.lower.shape != self.spacing.shape:
            raise ValueError(
                f"coefficients: got {self.coefficients.ndim} axes with corner {self.lower.shape} "
                f"and spacing {self.spacing.shape}; wants one axis for each dimension."
            )

    @classmethod
    def from_grid(cls, grid: AbstractGrid, p: Float[np.ndarray, "*shape"]) -> "GridPotential":
        """The spline through p at the nodes.

        >>> import numpy as np
        >>> from brenier.grids import Torus
        >>> grid = Torus([0.0], [2 * np.pi], [32])
        >>> phi = GridPotential.from_grid(grid, 0.3 * np.cos(grid.nodes(0)))
        >>> x = np.array([1.0])
        >>> bool(np.allclose(phi.gradient(x), x - 0.3 * np.sin(x), atol=1e-11))
        True
        """
        if p.shape != grid.shape:
            raise ValueError(f"p: got shape {p.shape}; wants that of the grid, {grid.shape}.")
        if grid.periodic:
            fine = grid.resized(tuple(_OVERSAMPLING * n for n in grid.shape))
            grid, p = fine, grid.carried(p, fine)
        for axis in range(grid.dimension):
            values = np.moveaxis(p, axis, 0)
            found = _periodic_spline(values) if grid.periodic else _spline(values)
            p = np.moveaxis(found, 0, axis)
        return cls(
            jnp.asarray(p), jnp.asarray(grid.lower), jnp.asarray(grid.spacing), grid.periodic
        )

    @property
    def dimension(self) -> int:
        return self.lower.shape[0]

    def value(self, x: Point) -> Scalar:
        return 0.5 * (x @ x) + self.displacement_potential(x)

    def moved(self, centre: Point, width: Point | Scalar, factor: Scalar) -> "GridPotential":
        """The spline u ↦ factor · p(c + w u), whose grid is that of u.

        >>> from brenier.grids import Torus
        >>> phi = GridPotential.from_grid(Torus([0.0], [1.0], [16]), np.ones(16))
        >>> moved = phi.moved(jnp.ones(1), 2.0 * jnp.ones(1), jnp.asarray(3.0))
        >>> float(moved.lower[0]), round(float(moved.displacement_potential(jnp.zeros(1))), 6)
        (-0.5, 3.0)
        """
        return GridPotential(
            factor * self.coefficients,
            (self.lower - centre) / width,
            self.spacing / width,
            self.periodic,
        )

    @property
    def extent(self) -> Point:
        """The sides of the grid's box, (d,)."""
        return self.spacing * (jnp.asarray(self.coefficients.shape) - _DEGREE)

    def displacement_potential(self, x: Point) -> Scalar:
        """p(x) at one point (d,); ∇p is the displacement T − id."""
        intervals = jnp.asarray(self.coefficients.shape) - _DEGREE
        place = (x - self.lower) / self.spacing
        inside = jnp.mod(place, intervals) if self.periodic else jnp.clip(place, 0.0, intervals)
        cell = jnp.clip(jnp.floor(jax.lax.stop_gradient(inside)).astype(int), 0, intervals - 1)
        block = jax.lax.dynamic_slice(
            self.coefficients, list(cell), (_DEGREE + 1,) * self.dimension
        )
        t = inside - cell
        weights = list(_horner(_PIECES, t))
        value = _contract(block, weights)
        if self.periodic:
            return value
        for i, slope in enumerate(_horner(_SLOPES, t)):
            along = [*weights[:i], slope, *weights[i + 1 :]]
            value += _contract(block, along) * (place[i] - inside[i])
        return value

    def strong_convexity(self) -> Scalar:
        """0: between the nodes no larger bound is proved."""
        return jnp.zeros((), self.coefficients.dtype)


def _horner(polynomials: Float[np.ndarray, "m r"], t: Float[Array, " d"]) -> Float[Array, "d m"]:
    values = jnp.broadcast_to(polynomials[:, -1], (t.shape[0], polynomials.shape[0]))
    for column in polynomials.T[-2::-1]:
        values = values * t[:, None] + column
    return values


def _contract(block: Array, weights: list[Array]) -> Scalar:
    for weight in reversed(weights):
        block = block @ weight
    return block


def _periodic_spline(values: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "m ..."]:
    """Coefficients along the first axis, the first ones repeated behind the last."""
    n = values.shape[0]
    column = np.zeros(n)
    # Coefficient j + m weighs _PIECES[m, 0] at node j.
    np.add.at(column, -np.arange(_DEGREE + 1) % n, _PIECES[:, 0])
    found = solve_circulant(column, values, baxis=0, outaxis=0)
    return np.concatenate([found, found[:_DEGREE]])


def _spline(values: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "m ..."]:
    """Coefficients along the first axis; the three knots next to each border are not-a-knot."""
    n, free = values.shape[0], _DEGREE - 1
    matrix = np.zeros((n + free, n + free))
    right = np.zeros((n + free, *values.shape[1:]))
    for row in range(n - 1):
        matrix[row, row : row + _DEGREE + 1] = _PIECES[:, 0]
    matrix[n - 1, n - 2 : n + free] = _PIECES.sum(axis=1)
    right[:n] = values
    jump = np.array([(-1.0) ** m * math.comb(_DEGREE + 1, m) for m in range(_DEGREE + 2)])
    for row, start in enumerate([0, 1, 2, n - 5, n - 4, n - 3]):
        matrix[n + row, start : start + _DEGREE + 2] = jump
    flat = np.linalg.solve(matrix, right.reshape(n + free, -1))
    return flat.reshape(right.shape)
