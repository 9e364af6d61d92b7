"""Densities in tensor-train format."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_key, check_positive
from brenier._types import Array, Float, Key, Matrix, Point, Points, Scalar
from brenier.measures._base import AbstractMeasure
from brenier.measures._tensor_train_lattices import fitted_lattices
from brenier.measures._tensor_train_sampling import sample_tensor_train
from brenier.measures._tensor_train_values import (
    Corner,
    checked_box,
    checked_tensor_train,
    tensor_train_of_function,
    values_in_range,
)
from brenier.numerics import gaussian_rows, tensor_train_from_array, tensor_train_map_axes

# Nodes in one standard deviation of the Gaussians of a diffused law.
_NODES_A_WIDTH = 4.0


class TensorTrain(AbstractMeasure):
    """A smooth density on R^d whose values on a grid are given by a tensor train.

    The density is a sum of Gaussians on a lattice, with one width for each axis,

        ρ(x) = Σ_j c[j_1, …, j_d] Π_k N(x_k; y_{k, j_k}, s_k²),

    and signed weights c in tensor-train format. Such sums approximate any density that is smooth
    on its grid with spectral accuracy; their marginals, moments, conditional distribution functions
    and laws under a diffusion are closed forms. Ranks and lattices are as small as ``tolerance``
    allows.

    The error is absolute: where the density is below ``tolerance`` times its root mean square, its
    logarithm is noise, and −∞ where the noise is negative. In float32 about 1e-5 takes the place of
    the tolerance. Not for densities with jumps or kinks; nor, in more than two dimensions, for
    densities in which many variables interact strongly at once, whose ranks are too high.

    Build one by ``from_density``, ``from_log_density``, ``from_grid`` or ``from_cores``.

    Args:
        cores: c, arrays (r_{k-1}, m_k, r_k) with r_0 = r_d = 1.
        centres: y_k (m_k,), one array an axis.
        widths: s (d,).
        tolerance: the relative error that was allowed when the cores were made.

    Raises:
        ValueError: shapes that do not match.

    >>> import jax, jax.numpy as jnp
    >>> rho = TensorTrain.from_log_density(
    ...     lambda x: -0.5 * (x @ x) - 0.1 * (x[0] * x[1]) ** 2, [-8.0, -8.0], [8.0, 8.0], [80, 80])
    >>> rho.sample(jax.random.key(0), 5).shape
    (5, 2)
    >>> rho.score(jnp.array([1.0, 0.5])).round(3).tolist()
    [-1.05, -0.6]

    Theory (3.7); KRCO22 (13); Dolgov et al. (2020) for the sampling.
    """

    cores: tuple[Float[Array, "_ _ _"], ...]
    centres: tuple[Float[Array, " _"], ...]
    widths: Float[Array, " _"]
    tolerance: float = eqx.field(static=True)
    has_density: ClassVar[bool] = True

    def __check_init__(self):
        ranks = [1, *(core.shape[2] for core in self.cores)]
        shapes = [(r, y.shape[0]) for r, y in zip(ranks, self.centres, strict=False)]
        if (
            len(self.cores) != len(self.centres)
            or self.widths.shape != (len(self.cores),)
            or ranks[-1] != 1
            or [core.shape[:2] for core in self.cores] != shapes
        ):
            raise ValueError(
                f"cores: got shapes {[core.shape for core in self.cores]}, centres of "
                f"{[y.shape for y in self.centres]} and widths {self.widths.shape}; "
                "wants a chain (1, m_1, r_1), …, (r_{d-1}, m_d, 1) with centres (m_k,)"
                " and d widths."
            )

    @classmethod
    def from_density(
        cls,
        density: Callable[[Point], Scalar],
        lower: Corner,
        upper: Corner,
        shape: Sequence[int],
        *,
        tolerance: float = 1e-10,
        max_rank: int = 100,
        key: Key | None = None,
    ) -> "TensorTrain":
        """From a density, normalised or not, as a JAX function of one point.

        Up to 4 million nodes the density is evaluated at all of them, and the cores are found by
        SVD; beyond, by TT-cross from some of them.

        Args:
            density: ρ, (d,) to ().
            lower, upper: opposite corners of a box at whose border ρ has decayed.
            shape: nodes along each axis, equispaced, both ends among them.
            tolerance: relative, in the Frobenius norm.
            max_rank: that no rank may exceed.
            key: of the entries that TT-cross begins with; ``jax.random.key(0)`` where None.

        Raises:
            ValueError: a density that is negative, NaN, zero, infinite, not decayed at the border,
                too rough for its grid, or of too high ranks.
        """
        box = checked_box(lower, upper, shape)
        check_positive("tolerance", tolerance)
        check_at_least("max_rank", max_rank, 1)
        cores = tensor_train_of_function("density", density, box, tolerance, max_rank, key)
        return cls.from_cores(cores, lower, upper, tolerance=tolerance, max_rank=max_rank)

    @classmethod
    def from_log_density(
        cls,
        log_density: Callable[[Point], Scalar],
        lower: Corner,
        upper: Corner,
        shape: Sequence[int],
        *,
        tolerance: float = 1e-10,
        max_rank: int = 100,
        key: Key | None = None,
    ) -> "TensorTrain":
        """From log ρ up to a constant; otherwise as ``from_density``."""
        box = checked_box(lower, upper, shape)
        check_positive("tolerance", tolerance)
        check_at_least("max_rank", max_rank, 1)
        density = values_in_range(log_density, box)
        cores = tensor_train_of_function("log_density", density, box, tolerance, max_rank, key)
        return cls.from_cores(cores, lower, upper, tolerance=tolerance, max_rank=max_rank)

    @classmethod
    def from_grid(
        cls,
        values: Float[np.ndarray, "*shape"] | Float[Array, "*shape"],
        lower: Corner,
        upper: Corner,
        *,
        tolerance: float = 1e-10,
        max_rank: int = 1000,
    ) -> "TensorTrain":
        """From all values on an equispaced grid, both ends of each axis among its nodes.

        Raises:
            ValueError: as ``from_density``.

        >>> y = np.linspace(-7.0, 7.0, 50)
        >>> rho = TensorTrain.from_grid(np.exp(-0.5 * np.add.outer(y**2, y**2)), [-7, -7], [7, 7])
        >>> rho.ranks
        (1,)
        """
        table = np.asarray(values, np.float64)
        checked_box(lower, upper, table.shape)
        if not np.isfinite(table).all():
            raise ValueError(
                f"values: got {int((~np.isfinite(table)).sum())} NaN or infinite "
                "entries; wants finite values of a density."
            )
        if table.max() > 0 and table.min() < -tolerance * table.max():
            raise ValueError(
                f"values: got a negative density, {table.min() / table.max():.3g} of "
                "its maximum; wants values >= 0."
            )
        cores = (
            tensor_train_from_array(table, tolerance)
            if table.any()
            else (np.zeros((1, n, 1)) for n in table.shape)
        )
        return cls.from_cores(tuple(cores), lower, upper, tolerance=tolerance, max_rank=max_rank)

    @classmethod
    def from_cores(
        cls,
        cores: Sequence[Float[np.ndarray, "_ _ _"] | Float[Array, "_ _ _"]],
        lower: Corner,
        upper: Corner,
        *,
        tolerance: float = 1e-10,
        max_rank: int = 1000,
    ) -> "TensorTrain":
        """From tensor-train cores of the values on an equispaced grid, both ends among its nodes.

        Raises:
            ValueError: as ``from_density``; cores that do not chain up.
        """
        values = tuple(np.asarray(core, np.float64) for core in cores)
        nodes = checked_tensor_train(values, lower, upper, tolerance)
        law = cls(*fitted_lattices(values, nodes, tolerance), tolerance)
        rank = max(law.ranks, default=1)
        if rank > max_rank:
            raise ValueError(
                f"max_rank: got {max_rank}; wants at least {rank}, the rank of this "
                f"density at a tolerance of {tolerance:.3g}, or a larger tolerance."
            )
        return law

    @property
    def dimension(self) -> int:
        return len(self.cores)

    @property
    def ranks(self) -> tuple[int, ...]:
        """r_1, …, r_{d-1}."""
        return tuple(core.shape[2] for core in self.cores[:-1])

    @property
    def mean(self) -> Point:
        """E[X]."""
        return _moments(self)[0]

    @property
    def covariance(self) -> Matrix:
        """E[(X − mean)(X − mean)ᵀ]."""
        return _moments(self)[1]

    def sample(self, key: Key, n: int) -> Points:
        """n points, axis by axis by inverting the conditional distribution functions."""
        check_key("key", key)
        levels = jax.random.uniform(key, (n, self.dimension), self.widths.dtype)
        return sample_tensor_train(self.cores, self.centres, self.widths, levels)

    def point_log_density(self, x: Point) -> Scalar:
        density = self.point_density(x)
        inside = density > 0.0
        return jnp.where(inside, jnp.log(jnp.where(inside, density, 1.0)), -jnp.inf)

    def point_density(self, x: Point) -> Scalar:
        """ρ(x) at one point; may be negative by its error where ρ is below the tolerance."""
        state = jnp.ones(1, x.dtype)
        for core, y, s, place in zip(self.cores, self.centres, self.widths, x, strict=True):
            row = jnp.exp(-0.5 * jnp.square((place - y) / s)) / (math.sqrt(2.0 * math.pi) * s)
            state = state @ jnp.einsum("j,ajb->ab", row, core)
        return state[0]

    def marginal(self, axes: Sequence[int]) -> "TensorTrain":
        """The law of some coordinates, in the order of the axes.

        >>> y = np.linspace(-7.0, 7.0, 80)
        >>> values = np.exp(-0.5 * np.add.outer(y**2, 4.0 * y**2))
        >>> rho = TensorTrain.from_grid(values, [-7, -7], [7, 7])
        >>> rho.marginal([0]).score(np.array([1.0])).round(3).tolist()
        [-1.0]
        """
        kept = [check_at_least("axes", axis, 0) for axis in axes]
        if not kept or sorted(set(kept)) != kept or kept[-1] >= self.dimension:
            raise ValueError(
                f"axes: got {list(axes)}; wants increasing numbers below {self.dimension}."
            )
        cores, carry = [], jnp.eye(1, dtype=self.widths.dtype)
        for axis, core in enumerate(self.cores):
            if axis in kept:
                cores.append(jnp.tensordot(carry, core, axes=1))
                carry = jnp.eye(core.shape[2], dtype=core.dtype)
            else:
                carry = carry @ jnp.sum(core, axis=1)
        cores[-1] = jnp.tensordot(cores[-1], carry, axes=1)
        return TensorTrain(
            tuple(cores),
            tuple(self.centres[axis] for axis in kept),
            self.widths[jnp.asarray(kept)],
            self.tolerance,
        )

    def padded(self, rank: int, points: int) -> "TensorTrain":
        """The same law, inner ranks and lattices filled up with zeros to multiples of these.

        Laws of about the same size then have the same shapes, and share what is compiled: for work
        with many densities, each of which would otherwise need a compilation of its own.

        >>> y = np.linspace(-7.0, 7.0, 80)
        >>> rho = TensorTrain.from_grid(np.exp(-0.5 * np.add.outer(y**2, y**2)), [-7, -7], [7, 7])
        >>> [core.shape for core in rho.padded(4, 50).cores]
        [(1, 50, 4), (4, 50, 1)]
        """
        inner = max(self.ranks, default=1)
        inner += -inner % check_at_least("rank", rank, 1)
        count = max(y.size for y in self.centres)
        count += -count % check_at_least("points", points, 1)
        ranks = [1, *[inner] * (self.dimension - 1), 1]
        cores, centres = [], []
        for core, y, ends in zip(self.cores, self.centres, pairwise(ranks), strict=True):
            wanted = (ends[0], count, ends[1])
            fill = [(0, most - size) for most, size in zip(wanted, core.shape, strict=True)]
            cores.append(jnp.pad(core, fill))
            centres.append(y[0] + (y[1] - y[0]) * jnp.arange(count))
        return TensorTrain(tuple(cores), tuple(centres), self.widths, self.tolerance)

    def diffused(self, signal: float, *, tolerance: float | None = None) -> "TensorTrain":
        """The law of a X + √(1−a²) Z at the signal level a = e^{-t}, Z ~ N(0, I).

        The weights stay, the Gaussians move and widen: exact in time, without steps. Then ranks
        and lattices are cut to the tolerance.

        Args:
            signal: a, in [0, 1].
            tolerance: of the cut, relative, in the Frobenius norm; this law's where None.

        Raises:
            ValueError: a signal level outside of [0, 1].

        Theory (3.7); KRCO22 (8).
        """
        if not 0.0 <= signal <= 1.0:
            raise ValueError(f"signal: got {signal}; wants a = e^-t in [0, 1] (t >= 0).")
        wanted = (
            self.tolerance if tolerance is None else float(check_positive("tolerance", tolerance))
        )
        rows, nodes = [], []
        for y, s in zip(self.centres, self.widths, strict=True):
            centres, width = (
                float(signal) * np.asarray(y),
                math.sqrt(1.0 + float(signal) ** 2 * (float(s) ** 2 - 1.0)),
            )
            # Beyond 8.5 widths the Gaussians are below rounding.
            low, high = centres.min() - 8.5 * width, centres.max() + 8.5 * width
            grid = np.linspace(low, high, int((high - low) / width * _NODES_A_WIDTH) + 2)
            rows.append(gaussian_rows(grid, centres, width))
            nodes.append(grid)
        values = tensor_train_map_axes(tuple(np.asarray(core) for core in self.cores), rows)
        return TensorTrain(*fitted_lattices(values, nodes, wanted), wanted)


@eqx.filter_jit
def _moments(law: TensorTrain) -> tuple[Point, Matrix]:
    d = law.dimension
    sums = [jnp.sum(core, axis=1) for core in law.cores]
    firsts = [
        jnp.einsum("j,ajb->ab", y, core) for y, core in zip(law.centres, law.cores, strict=True)
    ]

    def moment(first: int | None, second: int | None) -> Scalar:
        state = jnp.ones(1, law.widths.dtype)
        for axis in range(d):
            if axis == first == second:
                squares = jnp.square(law.centres[axis]) + jnp.square(law.widths[axis])
                state = state @ jnp.einsum("j,ajb->ab", squares, law.cores[axis])
            else:
                state = state @ (firsts[axis] if axis in (first, second) else sums[axis])
        return state[0]

    mean = jnp.stack([moment(axis, None) for axis in range(d)])
    second = [[moment(min(i, j), max(i, j)) for j in range(d)] for i in range(d)]
    return mean, jnp.asarray(second) - jnp.outer(mean, mean)
