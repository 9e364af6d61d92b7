"""Grids: their nodes, and the matrices that differentiate, integrate and interpolate on them."""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import numpy as np
from scipy.interpolate import KroghInterpolator, make_interp_spline

from brenier._checks import check_at_least, check_positive
from brenier._types import Float
from brenier.measures import AbstractMeasure, Gaussian, GaussianMixture

# Order of the finite differences of a box; high, since they are dense matrices anyway.
_ORDER = 10
# Degree of the splines that interpolate between the nodes of a box.
_DEGREE = 7
# Nodes along an axis, at least: for a smooth density, and for the stencils and splines of a box.
_FEWEST = 12
_DIMENSIONS = (1, 2, 3)


class Derivatives(NamedTuple):
    """The matrices of ∂ and ∂² along one axis, from values at its nodes to values at its nodes.

    ``mixed`` is the ∂ of which mixed derivatives ∂_i ∂_j are composed; it differs from ``first`` at
    the border of a ``Box`` only, where it repeats the row two nodes inside.

    >>> box = Box([0.0], [2.0], [17])
    >>> square = box.nodes(0) ** 2
    >>> (box.derivatives(0).first @ square)[[8, 16]].round(6).tolist()
    [2.0, 4.0]
    """

    first: Float[np.ndarray, "n n"]
    second: Float[np.ndarray, "n n"]
    mixed: Float[np.ndarray, "n n"]


class AbstractGrid(eqx.Module):
    """A tensor grid of 1, 2 or 3 dimensions on the box [lower, upper].

    A subclass gives, axis by axis, the nodes and the matrices that differentiate, integrate and
    interpolate values at the nodes. Values over the whole grid are arrays of its ``shape``.

    >>> grid = Torus([0.0, 0.0], [1.0, 2.0], [16, 16])
    >>> grid.spacing, grid.points().shape, grid.integral(np.ones(grid.shape))
    ((0.0625, 0.125), (16, 16, 2), 2.0)
    """

    lower: eqx.AbstractVar[tuple[float, ...]]
    upper: eqx.AbstractVar[tuple[float, ...]]
    shape: eqx.AbstractVar[tuple[int, ...]]

    @property
    @abc.abstractmethod
    def periodic(self) -> bool:
        """Whether opposite sides of the box are one and the same."""

    @abc.abstractmethod
    def nodes(self, axis: int) -> Float[np.ndarray, " n"]:
        """The coordinates of the nodes along one axis."""

    @abc.abstractmethod
    def weights(self, axis: int) -> Float[np.ndarray, " n"]:
        """The quadrature weights along one axis."""

    @abc.abstractmethod
    def derivatives(self, axis: int) -> Derivatives:
        """The matrices that differentiate along one axis, at the nodes."""

    @abc.abstractmethod
    def low_order_derivatives(self, axis: int) -> Derivatives:
        """The same by differences of neighbours, of second order: mostly zeros."""

    @abc.abstractmethod
    def interpolation(
        self, axis: int, places: Float[np.ndarray, " m"], order: int = 0
    ) -> Float[np.ndarray, "m n"]:
        """The matrix from values at the nodes of one axis to its derivative of an order elsewhere.

        Args:
            axis: along which.
            places: (m,), where the function (order 0) or its derivative is wanted.
            order: of the derivative.
        """

    @abc.abstractmethod
    def resized(self, shape: tuple[int, ...]) -> "AbstractGrid":
        """The same box with another number of nodes."""

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """The distance between neighbouring nodes, axis by axis."""
        intervals = [n if self.periodic else n - 1 for n in self.shape]
        return tuple((b - a) / n for a, b, n in zip(self.lower, self.upper, intervals, strict=True))

    def points(self) -> Float[np.ndarray, "*shape d"]:
        """The coordinates of all nodes, (*shape, d)."""
        sides = [self.nodes(axis) for axis in range(self.dimension)]
        return np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1)

    def integral(self, values: Float[np.ndarray, "*shape"]) -> float:
        """∫ of a function given at the nodes."""
        for axis in reversed(range(self.dimension)):
            values = values @ self.weights(axis)
        return float(values)

    def carried(
        self, values: Float[np.ndarray, "*shape"], other: "AbstractGrid"
    ) -> Float[np.ndarray, "*other"]:
        """A function at the nodes of this grid, interpolated at those of another."""
        for axis in range(self.dimension):
            values = apply_along(self.interpolation(axis, other.nodes(axis)), values, axis)
        return values


class Torus(AbstractGrid):
    """Equispaced nodes of the periodic box [lower, upper): Fourier series, spectrally accurate.

    Not for densities that are not periodic, nor for kinks: convergence is then slow.

    Args:
        lower, upper: opposite corners, d ≤ 3 numbers each.
        shape: nodes along each axis.

    Raises:
        ValueError: corners that do not match or enclose nothing, too few nodes, d > 3.

    >>> import numpy as np
    >>> Torus([0.0, 0.0], [2 * np.pi, 2 * np.pi], [16, 16]).points().shape
    (16, 16, 2)
    """

    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, lower: Sequence[float], upper: Sequence[float], shape: Sequence[int]):
        self.lower, self.upper, self.shape = _checked(lower, upper, shape)

    @property
    def periodic(self) -> bool:
        return True

    def nodes(self, axis: int) -> Float[np.ndarray, " n"]:
        return self.lower[axis] + self.spacing[axis] * np.arange(self.shape[axis])

    def weights(self, axis: int) -> Float[np.ndarray, " n"]:
        return np.full(self.shape[axis], self.spacing[axis])

    def derivatives(self, axis: int) -> Derivatives:
        first, second = (self.interpolation(axis, self.nodes(axis), order) for order in (1, 2))
        return Derivatives(first, second, first)

    def low_order_derivatives(self, axis: int) -> Derivatives:
        h = self.spacing[axis]
        after = np.roll(np.eye(self.shape[axis]), 1, axis=1)
        first, second = after - after.T, after - 2.0 * np.eye(self.shape[axis]) + after.T
        return Derivatives(first / (2.0 * h), second / h**2, first / (2.0 * h))

    def interpolation(
        self, axis: int, places: Float[np.ndarray, " m"], order: int = 0
    ) -> Float[np.ndarray, "m n"]:
        n = self.shape[axis]
        numbers = 2.0 * np.pi * np.fft.fftfreq(n, self.spacing[axis])
        waves = np.exp(1j * np.outer(places - self.lower[axis], numbers))
        # An even grid does not tell its two highest waves apart: their mean.
        parts = waves * (1j * numbers) ** order
        if n % 2 == 0:
            parts[:, n // 2] = parts[:, n // 2].real
        return (parts @ np.fft.fft(np.eye(n), axis=0)).real / n

    def resized(self, shape: tuple[int, ...]) -> "Torus":
        return Torus(self.lower, self.upper, shape)


class Box(AbstractGrid):
    """Equispaced nodes of the box [lower, upper], both ends among them: finite differences.

    Tenth order in the interior; towards the border the stencils narrow, down to three nodes. At the
    border second derivatives are taken as they are two nodes inside, and no boundary condition is
    imposed. That suits densities that have decayed there: the linearised Monge-Ampère equation
    carries errors outward, where they have little weight. Not for a density that is cut off.

    Args:
        lower, upper: opposite corners, d ≤ 3 numbers each.
        shape: nodes along each axis.

    Raises:
        ValueError: corners that do not match or enclose nothing, too few nodes, d > 3.

    >>> Box([-1.0], [1.0], [21]).nodes(0)[:3].round(6).tolist()
    [-1.0, -0.9, -0.8]
    """

    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, lower: Sequence[float], upper: Sequence[float], shape: Sequence[int]):
        self.lower, self.upper, self.shape = _checked(lower, upper, shape)

    @classmethod
    def around(
        cls, measure: AbstractMeasure, shape: Sequence[int], *, deviations: float = 6.0
    ) -> "Box":
        """The box of so many standard deviations about each component of a Gaussian (mixture).

        Args:
            measure: a ``Gaussian`` or ``GaussianMixture``.
            shape: nodes along each axis.
            deviations: from each mean to the nearest border.

        Raises:
            ValueError: another measure, whose corners must be given.

        >>> Box.around(Gaussian.standard(2), [32, 32]).lower
        (-6.0, -6.0)
        """
        check_positive("deviations", deviations)
        if isinstance(measure, Gaussian):
            means, factors = measure.mean[None], measure.factor[None]
        elif isinstance(measure, GaussianMixture):
            means, factors = measure.means, measure.factors
        else:
            raise ValueError(
                f"measure: got {type(measure).__name__}; wants a Gaussian or a "
                "GaussianMixture (of others, give the corners of the box)."
            )
        reach = deviations * np.linalg.norm(np.asarray(factors), axis=2)
        lower = np.min(np.asarray(means) - reach, axis=0)
        upper = np.max(np.asarray(means) + reach, axis=0)
        return cls(lower.tolist(), upper.tolist(), shape)

    @property
    def periodic(self) -> bool:
        return False

    def nodes(self, axis: int) -> Float[np.ndarray, " n"]:
        return np.linspace(self.lower[axis], self.upper[axis], self.shape[axis])

    def weights(self, axis: int) -> Float[np.ndarray, " n"]:
        # The trapezoid rule: of any order for functions that vanish at the border.
        weights = np.full(self.shape[axis], self.spacing[axis])
        weights[[0, -1]] *= 0.5
        return weights

    def derivatives(self, axis: int) -> Derivatives:
        return self._differences(axis, _ORDER)

    def low_order_derivatives(self, axis: int) -> Derivatives:
        return self._differences(axis, 2)

    def interpolation(
        self, axis: int, places: Float[np.ndarray, " m"], order: int = 0
    ) -> Float[np.ndarray, "m n"]:
        spline = make_interp_spline(self.nodes(axis), np.eye(self.shape[axis]), k=_DEGREE)
        return spline(places, nu=order)

    def resized(self, shape: tuple[int, ...]) -> "Box":
        return Box(self.lower, self.upper, shape)

    def _differences(self, axis: int, order: int) -> Derivatives:
        n, h = self.shape[axis], self.spacing[axis]
        first, second = np.zeros((n, n)), np.zeros((n, n))
        slopes = [_central(reach) for reach in range(1, order // 2 + 1)]
        for row in range(1, n - 1):
            reach = min(row, n - 1 - row, order // 2)
            stencil = slice(row - reach, row + reach + 1)
            first[row, stencil] = slopes[reach - 1][0] / h
            second[row, stencil] = slopes[reach - 1][1] / h**2
        first[0, :3], first[-1, -3:] = np.array([[-1.5, 2.0, -0.5], [0.5, -2.0, 1.5]]) / h
        mixed = first.copy()
        # One-sided second derivatives at the border make Newton's method fail.
        for matrix in (second, mixed):
            matrix[0], matrix[-1] = matrix[2], matrix[-3]
        return Derivatives(first, second, mixed)


def _central(reach: int) -> Float[np.ndarray, "2 _"]:
    """The stencils of ∂ and ∂² at the middle of 2 reach + 1 nodes of spacing 1."""
    nodes = np.arange(-reach, reach + 1)
    return KroghInterpolator(nodes, np.eye(nodes.size)).derivatives(0.0, 3)[1:]


def apply_along(matrix: np.ndarray, values: np.ndarray, axis: int) -> np.ndarray:
    """A matrix (m, n) applied along one axis, of length n, of an array.

    >>> apply_along(np.array([[1.0, 1.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), 0).tolist()
    [[4.0, 6.0]]
    """
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)


def _checked(
    lower: Sequence[float], upper: Sequence[float], shape: Sequence[int]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
    sizes = tuple(check_at_least("shape", n, _FEWEST) for n in shape)
    if len(sizes) not in _DIMENSIONS:
        raise ValueError(f"shape: got {len(sizes)} axes; wants 1, 2 or 3.")
    corners = []
    for name, corner in (("lower", lower), ("upper", upper)):
        numbers = tuple(float(number) for number in corner)
        if len(numbers) != len(sizes) or not np.isfinite(numbers).all():
            raise ValueError(
                f"{name}: got {list(corner)}; wants {len(sizes)} finite numbers, one "
                "for each entry of shape."
            )
        corners.append(numbers)
    if any(a >= b for a, b in zip(*corners, strict=True)):
        raise ValueError(f"upper: got {list(upper)}; wants numbers above lower, {list(lower)}.")
    return corners[0], corners[1], sizes
