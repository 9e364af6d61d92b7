"""The gradient of a convex potential, and its inverse, the gradient of the conjugate."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Point
from brenier.maps._base import AbstractMap
from brenier.numerics._determinants import spd_solve
from brenier.potentials import AbstractPotential


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
        return jax.grad(self.potential.value)(x)

    def inverse(self) -> "ConjugateMap":
        """∇φ*, exact to the tolerance of the conjugate's solver."""
        return ConjugateMap(self.potential)


class ConjugateMap(AbstractMap):
    """T = ∇φ*, the inverse of ``GradientMap(φ)``: T(y) = argmax_x ⟨x, y⟩ − φ(x).

    Solved by Newton's method with a line search, and differentiated by the implicit function
    theorem, D∇φ*(y) = (D²φ(x))⁻¹ at x = ∇φ*(y), to every order, in y and in the parameters of φ.
    φ is to be strongly convex and twice differentiable; otherwise ∇φ may not reach y, and the
    result is the best point found (look at ``residual``).

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

    def objective(x):
        return potential.value(x) - x @ y

    def newton(carry):
        x, _, count = carry
        gradient = jax.grad(objective)(x)
        step = -spd_solve(jax.hessian(potential.value)(x), gradient)
        now, slope = objective(x), gradient @ step
        length = jax.lax.while_loop(
            lambda t: (objective(x + t * step) > now + 1e-4 * t * slope) & (t > 1e-10),
            lambda t: 0.5 * t, jnp.ones((), x.dtype))
        new = x + length * step
        return new, jnp.linalg.norm(jax.grad(objective)(new)), count + 1

    eps = jnp.finfo(y.dtype).eps
    limit = 10 * eps * (1.0 + jnp.linalg.norm(y))
    start = (jnp.zeros_like(y), jnp.full((), jnp.inf, y.dtype), 0)
    return jax.lax.while_loop(lambda c: (c[1] > limit) & (c[2] < 100), newton, start)[0]


@_conjugate_point.def_jvp
def _(primals, tangents):
    potential, y = primals
    potential_dot, y_dot = tangents
    x = _conjugate_point(potential, y)
    right = jnp.zeros_like(x) if y_dot is None else y_dot
    _, drift = eqx.filter_jvp(
        lambda phi: jax.grad(phi.value)(x), (potential,), (potential_dot,)
    )
    if drift is not None:
        right = right - drift
    return x, spd_solve(jax.hessian(potential.value)(x), right)
