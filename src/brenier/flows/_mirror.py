"""Wasserstein mirror flows: of any functional, with the mirror ½W₂²(·, e^{−g})."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_at_least, check_key, check_positive
from brenier._types import Array, Float, Int, Key, Points
from brenier.flows._gauss_newton import map_step, move
from brenier.flows._method import AbstractMethod
from brenier.functionals import KL, AbstractFunctional, ExactScore, Moving
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure
from brenier.numerics._points import as_points

# Stages of the explicit methods: the fraction of the step at which each is taken, from the last.
_STAGES = {"euler": (0.0,), "midpoint": (0.0, 0.5), "rk4": (0.0, 0.5, 0.5, 1.0)}
_WEIGHTS = {"euler": (1.0,), "midpoint": (0.0, 1.0), "rk4": (1 / 6, 1 / 3, 1 / 3, 1 / 6)}


def mirror_velocity(
    map: AbstractMap, functional: AbstractFunctional, source: AbstractMeasure,
    target: AbstractMeasure, points: Points, key: Key,
) -> Points:
    """v(T(y)) = −(D²u)⁻¹∇_W F(ρ) = −DT(y) ∇_W F(ρ)(T(y)) at ρ = T#e^{−g}, T = ∇u* (4.8).

    The velocity of the continuity equation of a Wasserstein mirror flow, at particles y of e^{−g};
    as T moves by it, ∂_t∇u = ∇_W F(ρ). √(mean ‖v‖²) is the speed of ρ_t in linearised optimal
    transport (4.9).

    Args:
        map: T, the Monge map from e^{−g} to ρ.
        functional: F.
        source: e^{−g}.
        target: of the functional.
        points: y, (n, d), drawn from e^{−g}.
        key: what the functional draws.

    Raises:
        ValueError: a functional that has no Wasserstein gradient.

    >>> from brenier.maps import AffineMap
    >>> from brenier.measures import Gaussian
    >>> g, f = Gaussian.standard(1), Gaussian(jnp.zeros(1), 4.0 * jnp.eye(1))
    >>> T = AffineMap(3.0 * jnp.eye(1), jnp.zeros(1))
    >>> y = jnp.ones((1, 1))  # ∇_W F = -x/9 + x/4 at x = 3, times DT = 3
    >>> mirror_velocity(T, KL(ExactScore()), g, f, y, jax.random.key(0)).tolist()
    [[-1.25]]
    """
    check_functional(functional)
    check_key("key", key)
    y = as_points("points", points, map.dimension)
    return -_descent(map, functional, source, target, y, key)


class MirrorState(eqx.Module):
    """The map T_t = ∇u_t*, the step and the key of the next draw."""

    map: AbstractMap
    step: Int[Array, ""]
    key: Key


class MirrorFlow(AbstractMethod[MirrorState]):
    """d/dt ∇u_t = ∇_W F(ρ_t), (∇u_t)#ρ_t = e^{−g}: the mirror flow of F with U = ½W₂²(·, e^{−g}).

    In ``solve``, the source is e^{−g}, the target that of the functional, and the map that moves is
    T_t = ∇u_t*, from e^{−g} to ρ_t: dT/dt = −DT ∇_W F(ρ_t)∘T, a gradient again (4.8). Its particles
    are T_t(y); the mirror coordinate ∇u_t is ``map.inverse()``; ``mirror_velocity`` is the velocity
    of the continuity equation. The start is ρ_0 = T_0#e^{−g}, e^{−g} itself for the identity. For
    KL this is the limit of Sinkhorn's marginals, and ``parabolic_flow`` is quicker in d ≤ 3.

    Args:
        functional: F, with a Wasserstein gradient; by default KL with the exact score.
        step_size: τ, in units of time.
        steps: how many.
        scheme: "euler", "midpoint" or "rk4", of order 1, 2 and 4; explicit, so τ is bounded by
            the resolution of the family of maps.
        particles: fresh points of e^{−g} a step.
        points: fixed ones (n, d) in place of fresh draws.
        damping: the ridge of the projection on the family, as a share of its mean square. For a
            network or log-sum-exp take about 1e-3: with less, parameters that hardly move the map
            run away.

    Raises:
        ValueError: a functional that has no Wasserstein gradient.

    >>> import brenier
    >>> from brenier.measures import Gaussian
    >>> g, f = Gaussian(jnp.zeros(1), 0.25 * jnp.eye(1)), Gaussian.standard(1)
    >>> start = brenier.maps.AffineMap.identity(1)
    >>> y = jnp.linspace(-1.0, 1.0, 5)[:, None]
    >>> method = MirrorFlow(step_size=0.05, steps=20, scheme="rk4", points=y)
    >>> solution = brenier.solve(g, f, method=method, initial=start, key=jax.random.key(0),
    ...                          blocks=1)
    >>> round(float(solution.map.matrix[0, 0]) * 0.5, 5)  # example 2: tanh(1/0.5 + artanh 0.5)
    0.98786

    Deb25, "Wasserstein mirror gradient flows"; MATH_4 (4.8).
    """

    # Anything, so that what has no gradient is told in words.
    functional: Any = KL(ExactScore())
    step_size: float = eqx.field(static=True, default=0.05)
    steps: int = eqx.field(static=True, default=20)
    scheme: str = eqx.field(static=True, default="midpoint")
    particles: int = eqx.field(static=True, default=256)
    points: Points | None = None
    damping: float = eqx.field(static=True, default=1e-10)

    def __check_init__(self):
        check_functional(self.functional)
        check_positive("step_size", self.step_size)
        check_at_least("steps", self.steps, 1)
        if self.scheme not in _STAGES:
            raise ValueError(f"scheme: got {self.scheme!r}; wants one of {sorted(_STAGES)}.")
        check_at_least("particles", self.particles, 2)
        check_positive("damping", self.damping)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, key: Key
    ) -> MirrorState:
        y = self._points(source, key)
        first = _descent(initial, self.functional, source, target, y, key)
        if not isinstance(first, jax.core.Tracer) and not bool(jnp.isfinite(first).all()):
            raise ValueError(
                f"functional: got {type(self.functional).__name__}, whose Wasserstein gradient is "
                "not finite at the start; wants a functional that is differentiable there."
            )
        return MirrorState(initial, jnp.asarray(0), key)

    def step(
        self, state: MirrorState, source: AbstractMeasure, target: AbstractMeasure
    ) -> MirrorState:
        key, draw_key, gradient_key = jax.random.split(state.key, 3)
        y = self._points(source, draw_key)
        damping = jnp.asarray(self.damping, y.dtype)

        def slope(map):
            field = _descent(map, self.functional, source, target, y, gradient_key)
            return map_step(map, y, field, damping)[0]

        last, total = None, jnp.zeros(())
        for place, weight in zip(_STAGES[self.scheme], _WEIGHTS[self.scheme], strict=True):
            here = state.map if last is None else move(state.map, place * self.step_size * last)
            last = slope(here)
            total = total + weight * last
        return MirrorState(move(state.map, self.step_size * total), state.step + 1, key)

    def current_map(self, state: MirrorState) -> AbstractMap:
        return state.map

    def _points(self, source: AbstractMeasure, key: Key) -> Points:
        return source.sample(key, self.particles) if self.points is None else self.points


def check_functional(functional: object) -> None:
    """A ``ValueError`` where there is no Wasserstein gradient to follow."""
    if not isinstance(functional, AbstractFunctional):
        raise ValueError(f"functional: got {type(functional).__name__}, which has no Wasserstein "
                         "gradient; wants one of brenier.functionals (KL, MMD, ...).")


def _descent(
    map: AbstractMap, functional: AbstractFunctional, source: AbstractMeasure,
    target: AbstractMeasure, y: Points, key: Key,
) -> Float[Array, "n d"]:
    """DT(y) ∇_W F(T#e^{−g})(T(y)) at each particle."""
    gradient = functional.gradient(Moving.pushed(map, source, y), target, key)
    return jax.vmap(lambda point, tangent: jax.jvp(map.apply, (point,), (tangent,))[1])(y, gradient)
