"""The Wasserstein natural gradient: the flow of F itself, seen through the parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Float, Int, Key, Points
from brenier.flows._gauss_newton import damped_step, jacobian_rows, move
from brenier.flows._method import AbstractMethod, near_identity
from brenier.functionals import KL, AbstractFunctional, Moving
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure
from brenier.numerics import median_squared_distance

# The projection's own ridge: below it a direction is not told from its neighbours.
_RIDGE = 1e-9


class WassersteinState(eqx.Module):
    """The map, the step and the key of the next draw."""

    map: AbstractMap
    step: Int[Array, ""]
    key: Key


class WassersteinNatural(AbstractMethod[WassersteinState, AbstractMap]):
    """θ' = −G_W⁻¹ E[(P∂_θT)ᵀ P∇_W F∘T], G_W = E[(P∂_θT)ᵀ P∂_θT], P onto gradients in L²(T#ρ).

    Follows the Wasserstein gradient flow of F, not the straight road to the Monge map: use it to
    compare (DLV26, Remark 3.9, Theory (1.6)), and ``ConstrainedDrift`` to find maps. P is a
    least-squares projection on the gradients of x_i, x_i x_j and Gaussian bumps at the first
    particles.

    Args:
        functional: F.
        step_size: τ.
        steps: explicit Euler steps.
        particles: fresh source points a step.
        bumps: how many Gaussian bumps the projection has, as wide as the median distance.
        damping: Marquardt's λ.
        points: fixed source particles (n, d) in place of fresh draws.

    >>> import brenier, jax
    >>> problem = brenier.problems.affine()
    >>> start = brenier.maps.GradientMap(brenier.potentials.Quadratic.identity(2))
    >>> solution = brenier.solve(problem.source, problem.target, key=jax.random.key(0),
    ...                          initial=start, method=WassersteinNatural(steps=40))
    >>> solution.stats["best_metric"] < solution.stats["history"][0]
    True
    """

    functional: AbstractFunctional = KL()
    step_size: float = eqx.field(static=True, default=0.1)
    steps: int = eqx.field(static=True, default=40)
    particles: int = eqx.field(static=True, default=256)
    bumps: int = eqx.field(static=True, default=32)
    damping: float = eqx.field(static=True, default=1e-6)
    points: Points | None = None

    def __check_init__(self):
        check_positive("step_size", self.step_size)
        check_at_least("steps", self.steps, 1)
        check_at_least("particles", self.particles, 2)
        check_at_least("bumps", self.bumps, 0)
        check_positive("damping", self.damping)

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        return near_identity(key, points)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> WassersteinState:
        return WassersteinState(initial, jnp.asarray(0), key)

    def step(
        self, state: WassersteinState, source: AbstractMeasure, target: AbstractMeasure
    ) -> WassersteinState:
        key, draw_key, gradient_key = jax.random.split(state.key, 3)
        x = source.sample(draw_key, self.particles) if self.points is None else self.points
        moving = Moving.pushed(state.map, source, x)
        field = self.functional.gradient(moving, target, key=gradient_key)
        onto = _gradient_coordinates(moving.points, min(self.bumps, x.shape[0]))
        rows = onto @ jacobian_rows(state.map, x)
        residual = onto @ (self.step_size * field).ravel()
        delta, _ = damped_step(rows, residual, jnp.asarray(self.damping, dtype=x.dtype))
        return WassersteinState(move(state.map, delta), state.step + 1, key)

    def current_map(self, state: WassersteinState) -> AbstractMap:
        return state.map


def _gradient_coordinates(y: Points, bumps: int) -> Float[Array, "k r"]:
    """R with RᵀR = P, the projection of fields (n·d) on gradients of the features, over n."""
    n, d = y.shape
    width = jnp.maximum(median_squared_distance(y), jnp.finfo(y.dtype).tiny)
    centre = jnp.mean(y, axis=0)
    i, j = jnp.triu_indices(d)

    def features(point):
        z = point - centre
        squares = jnp.sum((point - y[:bumps]) ** 2, axis=1)
        return jnp.concatenate([z, z[i] * z[j] / jnp.sqrt(width), jnp.exp(-0.5 * squares / width)])

    # (n, k, d) to the gradient of feature k at all particles, as one column.
    basis = jnp.moveaxis(jax.vmap(jax.jacrev(features))(y), 1, -1).reshape(n * d, -1)
    gram = basis.T @ basis / n
    ridge = _RIDGE * jnp.trace(gram) / gram.shape[0]
    factor = jnp.linalg.cholesky(gram + ridge * jnp.eye(gram.shape[0], dtype=y.dtype))
    half = jax.scipy.linalg.solve_triangular(factor, basis.T, lower=True)
    return half / n
