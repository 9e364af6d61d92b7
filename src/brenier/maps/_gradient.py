"""The gradient of a convex potential, and its inverse, the gradient of the conjugate."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from brenier._types import Point
from brenier.maps._base import AbstractMap
from brenier.numerics import spd_solve
from brenier.potentials import AbstractPotential, conjugate_points, expansion, point_gradient

# Of the conjugate's solver, on ‖y − ∇φ(x)‖ / (1 + ‖y‖), in coordinates where φ is in some.
_TOLERANCE = 2e-13


class GradientMap(AbstractMap):
    """T = ∇φ, φ convex: the Monge map from any source onto its own image (Brenier).

    >>> import jax.numpy as jnp
    >>> from brenier.potentials import Quadratic
    >>> T = GradientMap(Quadratic.from_matrix(2.0 * jnp.eye(2), jnp.ones(2)))
    >>> T.inverse()(T(jnp.array([3.0, 4.0]))).round(6).tolist()
    [3.0, 4.0]
    """

    potential: AbstractPotential
    symmetric: ClassVar[bool] = True

    @property
    def dimension(self) -> int:
        return self.potential.dimension

    def apply(self, x: Point) -> Point:
        return point_gradient(self.potential, x)

    def inverse(self) -> "ConjugateMap":
        """∇φ*, exact to the tolerance of the conjugate's solver."""
        return ConjugateMap(self.potential)


class ConjugateMap(AbstractMap):
    """T = ∇φ*, the inverse of ``GradientMap(φ)``: T(y) = argmax_x ⟨x, y⟩ − φ(x).

    Solved by ``numerics.conjugate`` to a residual ‖y − ∇φ(x)‖ of 2e-13 (1 + ‖y‖), and
    differentiated by the implicit function theorem, D∇φ*(y) = (D²φ(x))⁻¹ at x = ∇φ*(y), to every
    order, in y and in the parameters of φ. Not for a φ with kinks (``MaxAffine``), nor, where φ is
    not strongly convex, for y outside of the range of ∇φ: the result is then the best point found.

    >>> import jax.numpy as jnp
    >>> from brenier.potentials import Quadratic
    >>> T = ConjugateMap(Quadratic.from_matrix(jnp.diag(jnp.array([2.0, 4.0])), jnp.zeros(2)))
    >>> T(jnp.array([1.0, 1.0])).round(6).tolist()
    [0.5, 0.25]
    """

    potential: AbstractPotential
    symmetric: ClassVar[bool] = True

    @property
    def dimension(self) -> int:
        return self.potential.dimension

    def apply(self, x: Point) -> Point:
        return _conjugate_point(self.potential, x)

    def inverse(self) -> GradientMap:
        return GradientMap(self.potential)


@eqx.filter_custom_jvp
def _conjugate_point(potential: AbstractPotential, y: Point) -> Point:
    """argmax_x ⟨x, y⟩ − φ(x)."""
    return conjugate_points(potential, y[None], tolerance=_TOLERANCE).point[0]


@_conjugate_point.def_jvp
def _(primals, tangents):
    potential, y = primals
    potential_dot, y_dot = tangents
    x = _conjugate_point(potential, y)
    right = jnp.zeros_like(x) if y_dot is None else y_dot
    _, drift = eqx.filter_jvp(lambda phi: point_gradient(phi, x), (potential,), (potential_dot,))
    if drift is not None:
        right = right - drift
    return x, spd_solve(expansion(potential, x).hessian, right)
