"""Wasserstein mirror flows: of any functional, with the mirror ½W₂²(·, e^{−g})."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import as_points, check_at_least, check_key, check_positive
from brenier._types import Array, Float, Int, Key, Points, Scalar
from brenier.flows._gauss_newton import map_step
from brenier.flows._method import FEW, AbstractMethod, near_identity
from brenier.functionals import KL, AbstractFunctional, ExactScore, Moving
from brenier.maps import AbstractMap, AffineMap, GradientMap
from brenier.measures import AbstractMeasure
from brenier.numerics import flatten_parameters
from brenier.potentials import Quadratic

Parameters = Float[Array, " p"]
Slope = Callable[[Parameters], Parameters]

# Each scheme's table of stages (rows of coefficients of earlier slopes), its weights, and those of
# its error where it has an estimate: Bogacki and Shampine's pair of orders 3 and 2.
_TABLES: dict[str, tuple[list[list[float]], list[float], list[float] | None]] = {
    "euler": ([[0.0]], [1.0], None),
    "midpoint": ([[0.0, 0.0], [0.5, 0.0]], [0.0, 1.0], None),
    "rk4": (
        [[0.0] * 4, [0.5, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
        [1 / 6, 1 / 3, 1 / 3, 1 / 6],
        None,
    ),
    "adaptive": (
        [[0.0] * 4, [0.5, 0.0, 0.0, 0.0], [0.0, 0.75, 0.0, 0.0], [2 / 9, 1 / 3, 4 / 9, 0.0]],
        [2 / 9, 1 / 3, 4 / 9, 0.0],
        [-5 / 72, 1 / 12, 1 / 9, -1 / 8],
    ),
}
# Sub-steps that "adaptive" may try in one step: where they do not suffice it cannot be finished.
_MOST_TRIALS = 1000
# A sub-step shrinks and grows at most so much, and aims below the tolerance.
_SHRINK, _GROW, _SAFETY = 0.2, 3.0, 0.8
# Ridges, as shares of the mean square: directions of an affine map are all told apart by the
# particles; those of other families are not, and what the projection does there is noise.
_AFFINE_RIDGE, _RIDGE = 1e-12, 1e-2


def mirror_velocity(
    map: AbstractMap,
    functional: AbstractFunctional,
    source: AbstractMeasure,
    target: AbstractMeasure,
    points: Points,
    *,
    key: Key,
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
    >>> mirror_velocity(T, KL(ExactScore()), g, f, y, key=jax.random.key(0)).tolist()
    [[-1.25]]
    """
    check_functional(functional)
    check_key("key", key)
    y = as_points("points", points, map.dimension)
    return -_descent(map, functional, source, target, y, key)


class MirrorState(eqx.Module):
    """The map T_t = ∇u_t*, the step, the key of the next draw and the last sub-step's length."""

    map: AbstractMap
    step: Int[Array, ""]
    key: Key
    substep: Scalar


class MirrorFlow(AbstractMethod[MirrorState, AbstractMap]):
    """d/dt ∇u_t = ∇_W F(ρ_t), (∇u_t)#ρ_t = e^{−g}: the mirror flow of F with U = ½W₂²(·, e^{−g}).

    In ``solve``, the source is e^{−g}, the target that of the functional, and the map that moves is
    T_t = ∇u_t*, from e^{−g} to ρ_t: dT/dt = −DT ∇_W F(ρ_t)∘T, a gradient again (4.8), projected on
    the family of maps in L²(e^{−g}). Its particles are T_t(y); the mirror coordinate ∇u_t is
    ``map.inverse()``; ``mirror_velocity`` is the velocity of the continuity equation. The start is
    ρ_0 = T_0#e^{−g}, e^{−g} itself for the identity. For KL this is the limit of Sinkhorn's
    marginals, and ``parabolic_flow`` is quicker in d ≤ 3; for potentials in any d
    ``ParabolicMongeAmpere`` is implicit. Other divergences: ``functionals.PowerDivergence``.

    The flow is a diffusion, and explicit: each family has a longest stable step. "adaptive" finds
    it, by sub-steps whose error in the map is estimated; the other schemes do not, and blow up
    beyond it. A step that a thousand sub-steps do not finish makes the map NaN, which ``solve``
    reports as ``Result.diverged``.

    Args:
        functional: F, with a Wasserstein gradient; by default KL with the exact score.
        step_size: τ, in units of time: how long one draw of particles is used.
        steps: how many.
        scheme: "adaptive", or "euler", "midpoint" or "rk4", of order 1, 2 and 4 in τ.
        particles: fresh points of e^{−g} a step.
        points: fixed ones (n, d) in place of fresh draws.
        damping: the ridge of the projection on the family, as a share of its mean square. None is
            1e-12 for affine maps, 1e-2 for others: with less, parameters that hardly move the map
            run away and take it with them; with more, the flow lags where the family is fine.
        tolerance: of "adaptive", the error of a sub-step in L²(e^{−g}), as a share of the spread
            of ρ_t.

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

    Deb25, "Wasserstein mirror gradient flows"; Theory (4.8).
    """

    # Any: what has no gradient is refused below with an error that says so.
    functional: Any = KL(ExactScore())
    step_size: float = eqx.field(static=True, default=0.05)
    steps: int = eqx.field(static=True, default=20)
    scheme: str = eqx.field(static=True, default="adaptive")
    particles: int = eqx.field(static=True, default=256)
    points: Points | None = None
    damping: float | None = eqx.field(static=True, default=None)
    tolerance: float = eqx.field(static=True, default=1e-3)

    def __check_init__(self):
        check_functional(self.functional)
        check_positive("step_size", self.step_size)
        check_at_least("steps", self.steps, 1)
        if self.scheme not in _TABLES:
            raise ValueError(f"scheme: got {self.scheme!r}; wants one of {sorted(_TABLES)}.")
        check_at_least("particles", self.particles, 2)
        if self.damping is not None:
            check_positive("damping", self.damping)
        check_positive("tolerance", self.tolerance)

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        return near_identity(key, points, FEW)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> MirrorState:
        y = self._points(source, key)
        first = _descent(initial, self.functional, source, target, y, key)
        if not isinstance(first, jax.core.Tracer) and not bool(jnp.isfinite(first).all()):
            raise ValueError(
                f"functional: got {type(self.functional).__name__}, whose Wasserstein gradient is "
                "not finite at the start; wants a functional that is differentiable there."
            )
        return MirrorState(initial, jnp.asarray(0), key, jnp.asarray(self.step_size, y.dtype))

    def step(
        self, state: MirrorState, source: AbstractMeasure, target: AbstractMeasure
    ) -> MirrorState:
        key, draw_key, gradient_key = jax.random.split(state.key, 3)
        y = self._points(source, draw_key)
        flat, rebuild = flatten_parameters(state.map)
        damping = jnp.asarray(self._ridge(state.map), y.dtype)

        def slope(flat):
            map = rebuild(flat)
            field = _descent(map, self.functional, source, target, y, gradient_key)
            return map_step(map, y, field, damping)[0]

        if self.scheme != "adaptive":
            length = jnp.asarray(self.step_size, y.dtype)
            end, _ = _stages(slope, flat, length, self.scheme)
            return MirrorState(rebuild(end), state.step + 1, key, length)
        end, substep = self._adaptive(slope, flat, lambda flat: rebuild(flat)(y), state.substep)
        return MirrorState(rebuild(end), state.step + 1, key, substep)

    def current_map(self, state: MirrorState) -> AbstractMap:
        return state.map

    def _points(self, source: AbstractMeasure, key: Key) -> Points:
        return source.sample(key, self.particles) if self.points is None else self.points

    def _ridge(self, map: AbstractMap) -> float:
        if self.damping is not None:
            return self.damping
        affine = isinstance(map, AffineMap) or (
            isinstance(map, GradientMap) and isinstance(map.potential, Quadratic)
        )
        return _AFFINE_RIDGE if affine else _RIDGE

    def _adaptive(
        self, slope: Slope, flat: Parameters, image: Callable[[Parameters], Points], first: Scalar
    ) -> tuple[Parameters, Scalar]:
        """Over one τ by sub-steps of estimated error; NaN where they do not get there."""
        whole = jnp.asarray(self.step_size, flat.dtype)

        def unfinished(carry):
            done, _, _, trials = carry
            return (done < whole) & (trials < _MOST_TRIALS)

        def attempt(carry):
            done, flat, length, trials = carry
            last = length >= whole - done
            taken = jnp.where(last, whole - done, length)
            then, error = _stages(slope, flat, taken, self.scheme)
            images, spread = image(then), _spread(image(flat))
            off = jnp.sqrt(jnp.mean(jnp.sum((images - image(then - error)) ** 2, axis=-1)))
            share = off / (self.tolerance * spread)
            # The third root: the estimate is that of the lower order.
            factor = jnp.clip(_SAFETY * share ** (-1.0 / 3.0), _SHRINK, _GROW)
            fine = share <= 1.0
            # A NaN compares as false: refused, and shrunk.
            factor = jnp.where(jnp.isfinite(share), factor, _SHRINK)
            # What a short last sub-step would grow to says little: the one before is kept.
            grown = jnp.where(fine & last, jnp.maximum(length, taken * factor), taken * factor)
            return (
                jnp.where(fine, jnp.where(last, whole, done + taken), done),
                jnp.where(fine, then, flat),
                jnp.minimum(grown, whole),
                trials + 1,
            )

        start = jnp.zeros_like(whole), flat, first, jnp.asarray(0)
        done, end, length, _ = jax.lax.while_loop(unfinished, attempt, start)
        return jnp.where(done < whole, jnp.nan, end), length


def _stages(
    slope: Slope, flat: Parameters, length: Scalar, scheme: str
) -> tuple[Parameters, Parameters]:
    """One explicit Runge-Kutta step, and its estimated error (0 where the scheme has none)."""
    table, weights, error_weights = _TABLES[scheme]
    # A loop, so that the slope is compiled once.
    rows = jnp.asarray(table, flat.dtype)

    def stage(slopes, place):
        index, row = place
        return slopes.at[index].set(slope(flat + length * (row @ slopes))), None

    slopes = jnp.zeros((len(table), flat.size), flat.dtype)
    slopes, _ = jax.lax.scan(stage, slopes, (jnp.arange(len(table)), rows))
    then = flat + length * (jnp.asarray(weights, flat.dtype) @ slopes)
    if error_weights is None:
        return then, jnp.zeros_like(flat)
    return then, length * (jnp.asarray(error_weights, flat.dtype) @ slopes)


def _spread(points: Points) -> Scalar:
    """The root mean squared distance from the mean."""
    return jnp.sqrt(jnp.mean(jnp.sum((points - jnp.mean(points, axis=0)) ** 2, axis=-1)))


def check_functional(functional: object) -> None:
    """A ``ValueError`` where there is no Wasserstein gradient to follow."""
    if isinstance(functional, type) and issubclass(functional, AbstractFunctional):
        raise ValueError(
            f"functional: got the class {functional.__name__}; wants one made of it, "
            f"{functional.__name__}(...)."
        )
    if not isinstance(functional, AbstractFunctional):
        raise ValueError(
            f"functional: got {type(functional).__name__}, which has no Wasserstein "
            "gradient; wants one of brenier.functionals (KL, MMD, ...)."
        )


def _descent(
    map: AbstractMap,
    functional: AbstractFunctional,
    source: AbstractMeasure,
    target: AbstractMeasure,
    y: Points,
    key: Key,
) -> Float[Array, "n d"]:
    """DT(y) ∇_W F(T#e^{−g})(T(y)) at each particle."""
    gradient = functional.gradient(Moving.pushed(map, source, y), target, key=key)
    return jax.vmap(lambda point, tangent: jax.jvp(map.apply, (point,), (tangent,))[1])(y, gradient)
