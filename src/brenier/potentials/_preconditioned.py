"""A potential in coordinates in which the Gaussian map of its problem is the identity."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._types import Array, Float, Matrix, Point, Scalar
from brenier.numerics import Coordinates
from brenier.potentials._base import AbstractPotential
from brenier.potentials._quadratic import Quadratic


class Preconditioned(AbstractPotential):
    """φ(x) = s² ψ(M(x − a)/s) + ⟨b, x⟩, with gradient b + s Mᵀ∇ψ(M(x − a)/s): still a Monge map.

    Linear changes x → Mx, y → M⁻ᵀy keep ⟨x, y⟩, so ∇φ is optimal if and only if ∇ψ is. With M the
    square root of the Gaussian (Bures) map both clouds get the same covariance, and ψ = ½‖·‖² is
    the closed-form Gaussian map.

    >>> import jax.numpy as jnp
    >>> from brenier.potentials import Quadratic
    >>> phi = Preconditioned(Quadratic.identity(1), jnp.array([[2.0]]), jnp.array([1.0]),
    ...                      jnp.array([5.0]), jnp.array(3.0))
    >>> phi.gradient(jnp.array([2.0])).tolist()
    [9.0]
    """

    potential: AbstractPotential
    matrix: Matrix
    source_shift: Point
    target_shift: Point
    scale: Scalar

    def __check_init__(self):
        d = self.source_shift.shape[-1]
        if self.potential.dimension != d:
            raise ValueError(
                f"potential: got dimension {self.potential.dimension}; wants {d}, as the shifts."
            )

    @classmethod
    def in_coordinates(
        cls, potential: AbstractPotential, coordinates: Coordinates
    ) -> "Preconditioned":
        """φ of ψ = ``potential``, which takes points as ``coordinates`` encode them."""
        return cls(
            potential,
            coordinates.matrix,
            coordinates.source_shift,
            coordinates.target_shift,
            coordinates.scale,
        )

    @classmethod
    def gaussian(
        cls,
        source_mean: ArrayLike,
        source_covariance: ArrayLike,
        target_mean: ArrayLike,
        target_covariance: ArrayLike,
    ) -> "Preconditioned":
        """The potential ½‖·‖² in coordinates of unit scale where the Gaussian map is the identity.

        ∇φ is the closed-form map between the Gaussians of these moments; for other maps replace
        ``potential`` by one that is not quadratic, in the same coordinates.
        """
        coordinates = Coordinates.gaussian(
            source_mean, source_covariance, target_mean, target_covariance
        )
        return cls.in_coordinates(Quadratic.identity(coordinates.dimension), coordinates)

    @property
    def coordinates(self) -> Coordinates:
        """The coordinates in which ψ takes points; shared with whoever encodes data."""
        return Coordinates(self.matrix, self.source_shift, self.target_shift, self.scale)

    @property
    def dimension(self) -> int:
        return self.source_shift.shape[-1]

    def value(self, x: Point) -> Scalar:
        return self.scale**2 * self.potential.value(self.encode_source(x)) + self.target_shift @ x

    def strong_convexity(self) -> Scalar:
        smallest = jnp.linalg.eigvalsh(self.matrix.T @ self.matrix)[0]
        return jnp.maximum(smallest, 0.0) * self.potential.strong_convexity()

    def encode_source(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        """u = M(x − a)/s, the coordinates in which ψ takes source points."""
        return self.coordinates.encode_source(x)

    def encode_target(self, y: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        """v = M⁻ᵀ(y − b)/s, the coordinates in which ∇ψ gives target points."""
        return self.coordinates.encode_target(y)
