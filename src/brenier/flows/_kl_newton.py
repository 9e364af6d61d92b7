"""Generalised Gauss-Newton on the relative entropy itself, for exact densities."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Float, Int, Key, Points, Scalar
from brenier.flows._method import FEW, AbstractMethod, near_identity
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure, require_density
from brenier.numerics import flatten_parameters, scaled_solve

# Multiples of the last damping that each step tries.
_TRIALS = np.asarray([0.2, 1.0, 5.0])


class NewtonState(eqx.Module):
    """The map, the step, the damping and the key of the next draw."""

    map: AbstractMap
    step: Int[Array, ""]
    damping: Scalar
    key: Key


class KLNewton(AbstractMethod[NewtonState, AbstractMap]):
    """min_θ KL(T_θ#ρ | ν) = E[−log det DT(X) − log ν(T(X))] + const by damped Gauss-Newton.

    The objective is convex in (T, DT) for log-concave ν, and these are what is linearised in θ:
    the step solves (G + λD)δ = −∇KL, G = E[∂Tᵀ(−∇²log ν)∂T + tr(DT⁻¹∂DT DT⁻¹∂DT)]. It is the
    implicit scheme (1.4) with τ = ∞ and the exact score (1.9), in one Newton step each.
    Needs both densities and p² of memory for p parameters: in d > 10, or where only samples are
    known, take ``ConstrainedDrift``.

    Args:
        steps: Newton steps.
        particles: fresh source points a step.
        damping: λ of the first step; each step tries multiples of the last and keeps the best.
        curvature_particles: of them, drawn anew each step, give G, which costs the most.
        points: fixed source particles (n, d) in place of fresh draws.

    >>> import brenier, jax
    >>> problem = brenier.problems.affine()
    >>> start = brenier.maps.GradientMap(brenier.potentials.Quadratic.identity(2))
    >>> method = KLNewton(steps=8, particles=4096)
    >>> solution = brenier.solve(problem.source, problem.target, method=method, initial=start,
    ...                          key=jax.random.key(0))
    >>> bool(abs(solution.map.potential.matrix[0, 0] - 0.8025) < 0.05)
    True
    """

    steps: int = eqx.field(static=True, default=30)
    particles: int = eqx.field(static=True, default=1000)
    damping: float = eqx.field(static=True, default=1e-2)
    curvature_particles: int = eqx.field(static=True, default=400)
    points: Points | None = None

    def __check_init__(self):
        check_at_least("steps", self.steps, 1)
        check_at_least("particles", self.particles, 2)
        check_positive("damping", self.damping)
        check_at_least("curvature_particles", self.curvature_particles, 1)

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        return near_identity(key, points, FEW)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> NewtonState:
        require_density("target", target)
        if not initial.symmetric:
            raise ValueError(
                f"initial: got {type(initial).__name__}; wants the gradient of a convex function "
                "(GradientMap), for which KL is convex in the Jacobian."
            )
        return NewtonState(initial, jnp.asarray(0), jnp.asarray(self.damping), key)

    def step(
        self, state: NewtonState, source: AbstractMeasure, target: AbstractMeasure
    ) -> NewtonState:
        key, draw_key, curvature_key = jax.random.split(state.key, 3)
        x = source.sample(draw_key, self.particles) if self.points is None else self.points
        flat, rebuild = flatten_parameters(state.map)

        def loss(flat):
            map = rebuild(flat)
            return -jnp.mean(jax.vmap(map.point_log_det)(x) + target.log_density(map(x)))

        value, gradient = jax.value_and_grad(loss)(flat)
        # Drawn at random: every k-th point of a quasi-random cloud is far from uniform.
        few = min(self.curvature_particles, x.shape[0])
        rows = jax.random.choice(curvature_key, x.shape[0], (few,), replace=False)
        curvature = _curvature(flat, rebuild, x[rows], target)
        # The curvature is what costs: try several dampings on it and keep the best.
        dampings = state.damping * _TRIALS
        deltas = jax.vmap(lambda damping: -scaled_solve(curvature, gradient, damping))(dampings)
        trials = jax.lax.map(lambda delta: loss(flat + delta), deltas)
        # NaN: a step that leaves the convex functions is refused.
        trials = jnp.where(jnp.isnan(trials), jnp.inf, trials)
        best = jnp.argmin(trials)
        better = trials[best] < value
        return NewtonState(
            rebuild(jnp.where(better, flat + deltas[best], flat)),
            state.step + 1,
            jnp.clip(jnp.where(better, dampings[best], 10 * dampings[-1]), 1e-12, 1e6),
            key,
        )

    def current_map(self, state: NewtonState) -> AbstractMap:
        return state.map


def _curvature(
    flat: Float[Array, " p"],
    rebuild: Callable[[Float[Array, " p"]], AbstractMap],
    x: Points,
    target: AbstractMeasure,
) -> Float[Array, "p p"]:
    """G = E[∂Tᵀ(−∇²log ν)∂T + tr(DT⁻¹∂DT DT⁻¹∂DT)] = AᵀA/n by the square roots of its halves."""
    d = x.shape[1]
    basis = jnp.eye(d, dtype=x.dtype)
    i, j = jnp.triu_indices(d)

    def image_and_upper(parameters, point):
        apply = rebuild(parameters).apply
        image, columns = jax.vmap(
            lambda tangent: jax.jvp(apply, (point,), (tangent,)), out_axes=(None, 0)
        )(basis)
        return jnp.concatenate([image, columns[i, j]])

    def root(point):
        # The square root of the Hessian in (T, upper triangle of DT), a matrix of this size only.
        both = image_and_upper(flat, point)
        image = both[:d]
        jacobian = jnp.zeros((d, d), x.dtype).at[i, j].set(both[d:]).at[j, i].set(both[d:])
        values, vectors = jnp.linalg.eigh(-jax.hessian(target.point_log_density)(image))
        # Where ν is not log-concave the negative curvature is left out.
        first = (vectors * jnp.sqrt(jnp.maximum(values, 0.0))).T
        whiten = jnp.linalg.inv(jnp.linalg.cholesky(jacobian))
        # W E_k Wᵀ for the symmetric unit matrices E_k, its off-diagonal counted twice.
        units = jnp.zeros((i.size, d, d), x.dtype)
        units = units.at[jnp.arange(i.size), i, j].set(1.0).at[jnp.arange(i.size), j, i].set(1.0)
        strains = (whiten @ units @ whiten.T)[:, i, j]
        second = (strains * jnp.where(i == j, 1.0, jnp.sqrt(2.0))).T
        return jax.scipy.linalg.block_diag(first, second)

    def rows(point):
        weight = root(point)
        return jax.jacrev(lambda parameters: weight @ image_and_upper(parameters, point))(flat)

    a = jax.vmap(rows)(x).reshape(-1, flat.size)
    return a.T @ a / x.shape[0]
