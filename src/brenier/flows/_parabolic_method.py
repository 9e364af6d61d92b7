"""The parabolic Monge-Ampère flow of a parametrised convex potential, in any dimension."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Float, Int, Key, Point, Points, Scalar
from brenier.flows._gauss_newton import damped_step
from brenier.flows._method import FEW, AbstractMethod, near_identity
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import AbstractMeasure, require_density
from brenier.numerics import flatten_parameters, spd_log_det, stochastic_log_det
from brenier.potentials import AbstractPotential

# The damping after a Gauss-Newton step that lowers the residual, and after one that does not.
_EASED, _RAISED = 0.1, 100.0
# Up to this dimension determinants are exact (a Hessian and its Cholesky factor).
_EXACT = 20


class ParabolicState(eqx.Module):
    """The map ∇φ_t, the step and the key of the next draw."""

    map: GradientMap
    step: Int[Array, ""]
    key: Key


class ParabolicMongeAmpere(AbstractMethod[ParabolicState, GradientMap]):
    """∂_tφ = f − g(∇φ) + log det D²φ for φ in a family of convex potentials (4.1).

    Each step of length τ is the implicit trapezium rule, stable for any τ and of second order, in
    the least squares over source points: φ⁺ − φ = ½τ(ℓ + ℓ⁺) + c, ℓ = log(ρ_t/e^{−f}), c the
    constant that no map sees, by a few damped Gauss-Newton steps in the parameters. The time
    reached is τ·steps; as it grows ∇φ tends to the best Monge map of the family. Needs both
    densities, up to constants. On grids of d ≤ 3 ``parabolic_flow`` is quicker by far; where only
    the Monge map is wanted, so is ``KLNewton``.

    Up to d = 20 log det D²φ is exact; beyond, it is estimated by Lanczos' method from ``probes``
    random vectors, the same for all points of a step (``numerics.stochastic_log_det``): the noise
    is what their error varies by from point to point, and averages out over steps.

    Args:
        step_size: τ.
        steps: how many.
        particles: fresh source points a step; a few for each parameter.
        points: fixed source particles (n, d) in place of fresh draws.
        damping: the ridge of a step's first Gauss-Newton step, as a share of the mean squared row.
        newton: Gauss-Newton steps, those that would raise the residual (and are repeated with more
            damping) among them; one alone is of first order in nonlinear parameters.
        probes: random vectors a step, where d > 20.
        lanczos: products with D²φ for each of them.

    Raises:
        ValueError: a source or target without density, or a map that is no gradient.

    >>> import brenier
    >>> problem = brenier.problems.affine()
    >>> start = GradientMap(brenier.potentials.Quadratic.identity(2))
    >>> method = ParabolicMongeAmpere(step_size=0.5, steps=20, particles=64)
    >>> solution = brenier.solve(problem.source, problem.target, method=method, initial=start,
    ...                          key=jax.random.key(0), blocks=1)
    >>> exact = brenier.exact.solve_gaussian(problem.source, problem.target).map.matrix
    >>> bool(abs(solution.map.potential.matrix - exact).max() < 1e-3)
    True

    Deb25, "Parabolic Monge-Ampère"; Theory (4.1).
    """

    step_size: float = eqx.field(static=True, default=0.1)
    steps: int = eqx.field(static=True, default=50)
    particles: int = eqx.field(static=True, default=512)
    points: Points | None = None
    damping: float = eqx.field(static=True, default=1e-6)
    newton: int = eqx.field(static=True, default=8)
    probes: int = eqx.field(static=True, default=4)
    lanczos: int = eqx.field(static=True, default=20)

    def __check_init__(self):
        check_positive("step_size", self.step_size)
        check_at_least("steps", self.steps, 1)
        check_at_least("particles", self.particles, 2)
        check_positive("damping", self.damping)
        check_at_least("newton", self.newton, 1)
        check_at_least("probes", self.probes, 1)
        check_at_least("lanczos", self.lanczos, 1)

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        return near_identity(key, points, FEW)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> ParabolicState:
        require_density("source", source)
        require_density("target", target)
        if not isinstance(initial, GradientMap):
            raise ValueError(
                f"initial: got {type(initial).__name__}; wants a GradientMap of a "
                "convex potential, which is what evolves."
            )
        return ParabolicState(initial, jnp.asarray(0), key)

    def step(
        self, state: ParabolicState, source: AbstractMeasure, target: AbstractMeasure
    ) -> ParabolicState:
        key, draw_key, probe_key = jax.random.split(state.key, 3)
        x = source.sample(draw_key, self.particles) if self.points is None else self.points
        n, d = x.shape
        signs = None
        if d > _EXACT:
            # One draw for all points: only what varies from point to point is noise.
            signs = jax.random.rademacher(probe_key, (self.probes, d), x.dtype)
        flat, rebuild = flatten_parameters(state.map.potential)
        log_source = source.log_density(x)

        def height_and_ratio(flat, point, log_f):
            potential = rebuild(flat)
            log_det = _log_det(potential, point, signs, self.lanczos)
            image = jax.grad(potential.value)(point)
            return jnp.stack(
                [potential.value(point), target.point_log_density(image) + log_det - log_f]
            )

        over = partial(jax.vmap, in_axes=(None, 0, 0))
        start = over(height_and_ratio)(flat, x, log_source)
        half, scale = 0.5 * self.step_size, 1.0 / jnp.sqrt(jnp.asarray(n, x.dtype))

        def gap_of(values):
            off = values[:, 0] - start[:, 0] - half * (values[:, 1] + start[:, 1])
            return scale * _centred(off)

        def newton(carry, _):
            now, gap, damping = carry
            # A Jacobian of two rows: one reverse sweep each.
            rows = over(jax.jacrev(height_and_ratio))(now, x, log_source)
            implicit = _centred(rows[:, 0] - half * rows[:, 1])
            delta, _ = damped_step(scale * implicit, gap, damping)
            then = gap_of(over(height_and_ratio)(now + delta, x, log_source))
            # Where nonlinear parameters are trusted too far, log det D²φ runs away.
            better = then @ then < gap @ gap
            kept = jnp.where(better, now + delta, now), jnp.where(better, then, gap)
            return (*kept, damping * jnp.where(better, _EASED, _RAISED)), None

        first = flat, gap_of(start), jnp.asarray(self.damping, x.dtype)
        (end, _, _), _ = jax.lax.scan(newton, first, length=self.newton)
        return ParabolicState(GradientMap(rebuild(end)), state.step + 1, key)

    def current_map(self, state: ParabolicState) -> GradientMap:
        return state.map


def _log_det(
    potential: AbstractPotential, x: Point, probes: Float[Array, "k d"] | None, lanczos: int
) -> Scalar:
    if probes is None:
        return spd_log_det(jax.hessian(potential.value)(x))
    gradient = jax.grad(potential.value)
    return stochastic_log_det(lambda v: jax.jvp(gradient, (x,), (v,))[1], probes, steps=lanczos)


def _centred(values: Float[Array, " n *p"]) -> Float[Array, " n *p"]:
    return values - jnp.mean(values, axis=0)
