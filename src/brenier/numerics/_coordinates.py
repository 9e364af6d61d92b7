"""Standard coordinates of a transport problem: the one border that users' data cross."""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._types import Array, Float, Matrix, Point, Scalar
from brenier.numerics._spd import gaussian_map_matrix, sqrtm_spd

# Points in NumPy stay so, in coordinates that are.
Rows = TypeVar("Rows", Float[Array, "*batch d"], Float[np.ndarray, "*batch d"])


class Coordinates(eqx.Module):
    """u = M(x − a)/s for source points x, v = M⁻ᵀ(y − b)/s for target points y.

    ⟨x − a, y − b⟩ = s²⟨u, v⟩, so a map u ↦ v is optimal if and only if the map x ↦ y that it stands
    for is: shift, rotate and scale the data, and the answer is shifted, rotated and scaled. With
    M = I only shifts and a common scale are taken out, which keeps distances in proportion.

    Args:
        matrix: M, (d, d), invertible.
        source_shift: a, (d,).
        target_shift: b, (d,).
        scale: s > 0, common to both sides.

    >>> import jax.numpy as jnp
    >>> double = jnp.array([[2.0]])
    >>> coordinates = Coordinates(double, jnp.array([1.0]), jnp.array([5.0]), jnp.array(3.0))
    >>> coordinates.encode_source(jnp.array([[2.5]])).tolist()
    [[1.0]]
    >>> coordinates.decode_target(jnp.array([[1.0]])).tolist()
    [[11.0]]
    """

    matrix: Matrix
    source_shift: Point
    target_shift: Point
    scale: Scalar

    @classmethod
    def identity(cls, dimension: int) -> "Coordinates":
        """Those in which all points are as they are."""
        return cls(jnp.eye(dimension), jnp.zeros(dimension), jnp.zeros(dimension), jnp.ones(()))

    @classmethod
    def gaussian(
        cls,
        source_mean: ArrayLike,
        source_covariance: ArrayLike,
        target_mean: ArrayLike,
        target_covariance: ArrayLike,
    ) -> "Coordinates":
        """Coordinates of unit scale in which the Gaussian map between these moments is u ↦ u.

        M is the root of the matrix of that map, so both clouds get the same covariance, of mean
        eigenvalue 1. The source covariance must be regular.

        >>> import jax.numpy as jnp
        >>> mean, unit = jnp.zeros(1), jnp.eye(1)
        >>> coordinates = Coordinates.gaussian(mean, 4.0 * unit, mean, 16.0 * unit)
        >>> round(float(coordinates.encode_target(jnp.array([8.0]))[0]), 6)
        2.0
        """
        source, target = jnp.asarray(source_covariance), jnp.asarray(target_covariance)
        matrix, scale = _gaussian_matrix(source, target)
        return cls(matrix, jnp.asarray(source_mean), jnp.asarray(target_mean), scale)

    @classmethod
    def centred(
        cls, source: Float[np.ndarray, "n d"], target: Float[np.ndarray, "m d"]
    ) -> "Coordinates":
        """Shifts to the means of two clouds, and one scale, their larger spread: M = I.

        >>> import numpy as np
        >>> x = np.array([[1e9], [1e9 + 2.0]])
        >>> Coordinates.centred(x, x).on_host().encode_source(x).tolist()
        [[-1.0], [1.0]]
        """
        (mean, spread), (other, width) = mean_and_spread(source), mean_and_spread(target)
        return cls.around(mean, other, max(spread, width))

    @classmethod
    def around(
        cls, source_shift: ArrayLike, target_shift: ArrayLike, spread: ArrayLike
    ) -> "Coordinates":
        """Shifts and a common scale alone, in the dtype of the shifts; a spread of 0 counts as 1.

        >>> import numpy as np
        >>> at = Coordinates.around(np.array([1.0]), np.array([5.0]), 2.0)
        >>> float(at.scale), at.matrix.tolist()
        (2.0, [[1.0]])
        """
        shift, width = jnp.asarray(source_shift), jnp.asarray(spread)
        return cls(
            jnp.eye(len(shift), dtype=shift.dtype),
            shift,
            jnp.asarray(target_shift),
            jnp.where(width > 0, width, 1.0).astype(shift.dtype),
        )

    @property
    def dimension(self) -> int:
        return self.source_shift.shape[-1]

    def on_host(self) -> "Coordinates":
        """The same in NumPy: NumPy points then stay so, and nothing is compiled for their number.

        >>> import numpy as np
        >>> own = Coordinates.gaussian(np.zeros(1), np.eye(1), np.zeros(1), np.eye(1)).on_host()
        >>> type(own.encode_target(np.ones((3, 1)))).__name__
        'ndarray'
        """
        return jax.tree.map(np.asarray, self)

    def encode_source(self, x: Rows) -> Rows:
        """u = M(x − a)/s of source points x (..., d)."""
        scale: Any = self.scale
        return _times(x - self.source_shift, self.matrix.T) / scale

    def encode_target(self, y: Rows) -> Rows:
        """v = M⁻ᵀ(y − b)/s of target points y (..., d)."""
        return _solved(self.matrix.T, y - self.target_shift) / self.scale

    def decode_source(self, u: Rows) -> Rows:
        """x = a + s M⁻¹u of source points in these coordinates (..., d)."""
        shift: Any = self.source_shift
        return shift + _solved(self.matrix, self.scale * u)

    def decode_target(self, v: Rows) -> Rows:
        """y = b + s Mᵀv of target points in these coordinates (..., d)."""
        shift: Any = self.target_shift
        return shift + _times(self.scale * v, self.matrix)

    def reversed(self) -> "Coordinates":
        """The same coordinates for the way back, from the target to the source: M⁻ᵀ for M.

        The pseudo-inverse, where M has no inverse.
        """
        matrix = _inverse(jnp.asarray(self.matrix).T)
        shifts = jnp.asarray(self.target_shift), jnp.asarray(self.source_shift)
        return Coordinates(matrix, *shifts, jnp.asarray(self.scale))


def mean_and_spread(rows: Any) -> tuple[np.ndarray, float]:
    """The mean of points (n, d) and their spread about it, both without loss far from 0.

    The spread is the root of the mean square of all coordinates less the mean.

    >>> mean, spread = mean_and_spread(np.array([[1e9], [1e9 + 2.0]]))
    >>> (mean - 1e9).tolist(), spread
    ([1.0], 1.0)
    """
    rows = np.asarray(rows)
    mean = rows[0] + np.mean(rows - rows[0], axis=0)
    off = rows - mean
    size = float(np.abs(off).max())
    # Its square may underflow.
    return mean, size * float(np.sqrt(np.mean(np.square(off / size)))) if size > 0.0 else 0.0


@jax.jit
def _gaussian_matrix(source: Matrix, target: Matrix) -> tuple[Matrix, Scalar]:
    matrix = sqrtm_spd(gaussian_map_matrix(source, target))
    return matrix, jnp.sqrt(jnp.trace(matrix @ source @ matrix) / source.shape[0])


@jax.jit
def _inverse(matrix: Matrix) -> Matrix:
    inverse = jnp.linalg.inv(matrix)
    # Not always: its singular vectors lose the digits of columns in small units.
    return jax.lax.cond(
        jnp.isfinite(inverse).all(), lambda: inverse, lambda: jnp.linalg.pinv(matrix)
    )


def _times(rows: Rows, matrix: Any) -> Rows:
    return rows @ matrix


def _solved(matrix: Any, right: Rows) -> Rows:
    """matrix⁻¹ times each of (..., d)."""
    if isinstance(matrix, np.ndarray) and isinstance(right, np.ndarray):
        # One factorisation for all rows.
        return np.linalg.solve(matrix, right.reshape(-1, len(matrix)).T).T.reshape(right.shape)
    return jnp.linalg.solve(matrix, right[..., None])[..., 0]
