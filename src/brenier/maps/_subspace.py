"""A map of a subspace, with a translation orthogonal to it."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import as_array
from brenier._types import Array, Float, Point
from brenier.maps._base import AbstractMap

# Rows that are taken at a time: what they need is then small beside the result.
_ROWS = 1024
# ‖BᵀB − I‖ and ‖Bᵀc‖: a basis that went through single precision still passes.
_SLACK = 1e-4


class SubspaceMap(AbstractMap):
    """T(x) = x + c + B(S(u) − u), u = Bᵀ(x − a): S in the span of B, a shift orthogonal to it.

    B has orthonormal columns and Bᵀc = 0. Where S = ∇ψ is a Monge map so is T: it is the gradient
    of ψ(Bᵀ(x − a)) + ½‖(I − BBᵀ)x‖² + ⟨c + BBᵀa, x⟩. The part of x orthogonal to B is kept up
    to the shift, so that T is invertible where S is. With B the principal components of data, this
    is how a map is learned in hundreds of dimensions from few points.

    Not where the two laws differ in shape orthogonally to B: there T only translates.

    Args:
        map: S, of R^k.
        basis: B, (d, k), orthonormal columns.
        centre: a, (d,).
        shift: c, (d,), orthogonal to B; zero where None.

    Raises:
        ValueError: shapes that do not match, a basis that is not orthonormal, a shift along it.

    >>> import jax.numpy as jnp
    >>> from brenier.maps import AffineMap
    >>> double = AffineMap(2.0 * jnp.eye(1), jnp.zeros(1))
    >>> T = SubspaceMap(double, jnp.array([[1.0], [0.0]]), jnp.zeros(2), jnp.array([0.0, 5.0]))
    >>> T(jnp.array([3.0, 4.0])).tolist()
    [6.0, 9.0]
    """

    map: AbstractMap
    basis: Float[Array, "d k"]
    centre: Point
    shift: Point

    def __init__(
        self, map: AbstractMap, basis: ArrayLike, centre: ArrayLike, shift: ArrayLike | None = None
    ):
        self.map, self.basis = map, as_array("basis", basis, 2)
        self.centre = as_array("centre", centre, 1)
        self.shift = jnp.zeros_like(self.centre) if shift is None else as_array("shift", shift, 1)
        d, k = self.basis.shape
        if k != map.dimension or self.centre.shape != (d,) or self.shift.shape != (d,):
            raise ValueError(
                f"basis: got shape {(d, k)} with a map of R^{map.dimension}, a centre "
                f"{self.centre.shape} and a shift {self.shift.shape}; wants (d, "
                f"{map.dimension}), (d,) and (d,)."
            )
        basis, shift = np.asarray(self.basis), np.asarray(self.shift)
        if np.abs(basis.T @ basis - np.eye(k)).max() > _SLACK:
            raise ValueError("basis: got columns that are not orthonormal; wants BᵀB = I.")
        if np.abs(basis.T @ shift).max() > _SLACK * max(1.0, float(np.linalg.norm(shift))):
            raise ValueError("shift: got a shift along the basis; wants one at right angles to it.")

    @property
    def dimension(self) -> int:
        return self.centre.shape[-1]

    def apply(self, x: Point) -> Point:
        u = (x - self.centre) @ self.basis
        return x + self.shift + self.basis @ (self.map.apply(u) - u)

    def inverse(self) -> "SubspaceMap":
        """x = y − c + B(S⁻¹(v) − v), v = Bᵀ(y − a): a ``ValueError`` where S has none."""
        return SubspaceMap(self.map.inverse(), self.basis, self.centre, -self.shift)

    def coordinates(self, x: Any) -> np.ndarray:
        """u = Bᵀ(x − a), (n, k), of an array or a sparse matrix (n, d), which stays sparse."""
        basis, centre = np.asarray(self.basis), np.asarray(self.centre)
        return np.asarray(x @ basis) - centre @ basis

    def of_rows(self, x: Any, moved: np.ndarray | None = None) -> np.ndarray:
        """T(x), (n, d), in the dtype of x, an array or a sparse matrix: two products with B.

        Not for JAX arrays or traced points: ``T(x)`` gives the same. This is faster where d is in
        the thousands.

        Args:
            x: (n, d).
            moved: S(u), (n, k), where it is known already.
        """
        u = self.coordinates(x)
        if moved is None:
            moved = np.asarray(self.map(jnp.asarray(u)))
        out = x.copy() if isinstance(x, np.ndarray) else x.toarray()
        change, lift, shift = moved - u, np.asarray(self.basis).T, np.asarray(self.shift)
        for start in range(0, len(out), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows] += (change[rows] @ lift + shift).astype(out.dtype, copy=False)
        return out
