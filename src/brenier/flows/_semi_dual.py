"""The semi-dual of optimal transport, minimised over convex potentials: maps from samples alone."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Float, Int, Key, Points
from brenier.flows._held_out_dual import starts
from brenier.flows._kronecker_adam import kronecker_adam
from brenier.flows._method import (
    AbstractMethod,
    batch_work,
    lasting,
    near_identity,
    running_average,
    shared_work,
)
from brenier.flows._penalties import growth_shares
from brenier.flows._semi_dual_clouds import SourceCloud, TargetCloud
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import spd_solve, split_batch
from brenier.potentials import AbstractPotential, expansion

# Up to here a Hessian per point costs less than the conjugate gradients that replace it.
_HESSIAN_DIMENSION = 8
_CG_ITERATIONS = 4
# Newton steps are cut by this factor, at most so often, until they improve a point.
_CUT, _CUTS = 0.25, 6
_ARMIJO = 1e-2
# The share of a batch that is improved again while a conjugate in it is far off.
_WORST = 4
# The rate rises over this share of the steps, stands until that one, then falls to zero.
_WARM, _FLAT = 0.05, 0.3
# Source points a step for each target point: they cost no conjugate, and take noise away.
_SOURCE = 4
# New points are improved so often since no visit before has done it.
_FRESH = 6


class SemiDualState(eqx.Module):
    """The potential, its average, its optimiser; steps taken and to take; points of both sides."""

    potential: AbstractPotential
    average: AbstractPotential
    step: Int[Array, ""]
    steps: Int[Array, ""]
    optimiser: optax.OptState
    source: SourceCloud
    target: TargetCloud
    key: Key


class SemiDual(AbstractMethod[SemiDualState, GradientMap]):
    """min over convex φ of J(φ) = E φ(X) + E φ*(Y), whose minimiser has ∇φ = the Monge map.

    The gradient of J is E ∂_θφ(X) − E ∂_θφ(x̂(Y)), x̂(y) = argmax_x ⟨x, y⟩ − φ(x) (the envelope
    theorem). A target point keeps its x̂ from one visit to the next, improved at each visit by a
    Newton step with backtracking, and by more where it is still off; all conjugates count, also
    inexact ones, since leaving the worst out biases the gradient and makes φ run away from them.
    Adam in the eigenbases of Kronecker factors (``kronecker_adam``), at a rate that rises, stands
    and falls to zero: a natural gradient for the price of a few small matrix products.

    Each step draws four source points for each target point, and both batches are spread over their
    clouds, one point of each of many cells: the noise of a step is what the cells leave. Training
    begins with 16 batches of target points, each visited once in a round, and each further round
    has a tenth more, until all are seen. Of a law that is no ``Empirical`` as many points are drawn
    as the steps can see, 262,144 (2^24 / d) at most.

    Of penalties J is that of ``HeldOutDual``, and both expectations of its gradient are under the
    laws times their growth (``Growth``), which each batch estimates for itself.

    Wants points of unit scale whose Gaussian map is about the identity (``MongeMap`` sees to it)
    and a gradient of a smooth, strongly convex potential to start from. Not for a target known by
    its density alone: ``ConstrainedDrift`` needs no samples of it.

    Args:
        steps: gradient steps.
        batch: target points a step.
        learning_rate: of the steps, at its highest.
        tolerance: on ‖y − ∇φ(x̂)‖ / (1 + ‖y‖).
        refinements: Newton steps after the first, on the worst quarter of the batch, at most.
        averaging: decay of the running average of the parameters, which is the map.
        source_penalty, target_penalty: τ > 0, in units of ½ squared distance, by which KL holds the
            marginal (unbalanced transport); None holds it as it is.

    Makkuva et al. (2020), eq. 6; Amos (2023), eq. 5, whose exact conjugates it keeps warm;
    Vyas et al. (2024), algorithm 3.

    >>> import brenier, jax
    >>> from brenier.flows import HeldOutDual
    >>> problem = brenier.problems.affine()
    >>> keys = jax.random.split(jax.random.key(0), 3)
    >>> x, y = (brenier.measures.Empirical(m.sample(k, 500))
    ...         for m, k in ((problem.source, keys[0]), (problem.target, keys[1])))
    >>> start = brenier.maps.GradientMap(brenier.potentials.Quadratic.identity(2))
    >>> solution = brenier.solve(x, y, method=SemiDual(steps=20), initial=start, key=keys[2],
    ...                          metric=HeldOutDual(x.points, y.points), blocks=1)
    >>> solution.stats["history"][1] < solution.stats["history"][0]
    True
    """

    uses_density: ClassVar[bool] = False
    # Rounding is averaged out over thousands of steps.
    single_precision: ClassVar[bool] = True

    steps: int = eqx.field(static=True, default=4000)
    batch: int = eqx.field(static=True, default=1024)
    learning_rate: float = eqx.field(static=True, default=0.05)
    tolerance: float = eqx.field(static=True, default=1e-2)
    averaging: float = eqx.field(static=True, default=0.99)
    refinements: int = eqx.field(static=True, default=1)
    source_penalty: float | None = eqx.field(static=True, default=None)
    target_penalty: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_at_least("steps", self.steps, 1)
        check_at_least("batch", self.batch, 1)
        check_positive("learning_rate", self.learning_rate)
        check_positive("tolerance", self.tolerance)
        check_at_least("refinements", self.refinements, 0)
        for name in ("source_penalty", "target_penalty"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        return near_identity(key, points)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> SemiDualState:
        if not isinstance(initial, GradientMap):
            raise ValueError(f"initial: got {type(initial).__name__}; wants a GradientMap.")
        potential = initial.potential
        key, source_key, target_key = jax.random.split(key, 3)
        precision = _precision(potential)
        return SemiDualState(
            potential,
            potential,
            jnp.asarray(0),
            jnp.asarray(self.steps),
            self._optimiser(jnp.asarray(self.steps)).init(_parameters(potential)),
            SourceCloud.of(source, self.batch, self.steps, precision, source_key),
            TargetCloud.of(target, self.batch, self.steps, precision, target_key),
            key,
        )

    def step(
        self, state: SemiDualState, source: AbstractMeasure, target: AbstractMeasure
    ) -> SemiDualState:
        key, source_key, target_key = jax.random.split(state.key, 3)
        x = state.source.batch(source, _SOURCE * self.batch, source_key)
        x = x.astype(_precision(state.potential))
        cloud = state.target.next_round(self.batch, target_key)

        def start(y):
            # Every fourth of them: the best of so many is near enough.
            return starts(state.potential, y, x[::_SOURCE], state.potential(x[::_SOURCE]))

        cloud, rows, fresh = cloud.next_batch(self.batch, start)
        weights = target.weights if isinstance(target, Empirical) else None
        weights = None if weights is None else weights[rows]
        x, y, known = split_batch((x, cloud.points[rows], cloud.conjugates[rows]))
        refinements = jnp.where(fresh, max(self.refinements, _FRESH), self.refinements)
        points = self._conjugates(state.potential, y, known, refinements)
        conjugates = jnp.sum(points * y, axis=1) - state.potential(points)
        a = growth_shares(state.potential(x), x, None, self.source_penalty)
        b = growth_shares(conjugates, y, weights, self.target_penalty)

        def objective(potential):
            return jnp.average(potential(x), weights=a) - jnp.average(potential(points), weights=b)

        gradient = eqx.filter_grad(objective)(state.potential)
        updates, optimiser = self._optimiser(state.steps).update(gradient, state.optimiser)
        potential = eqx.apply_updates(state.potential, updates)
        return dataclasses.replace(
            state,
            potential=potential,
            average=running_average(state.average, potential, self.averaging, state.step),
            step=state.step + 1,
            optimiser=optimiser,
            target=cloud.visited(rows, points),
            key=key,
        )

    def current_map(self, state: SemiDualState) -> GradientMap:
        return GradientMap(state.average)

    def _optimiser(self, steps: Int[Array, ""]) -> optax.GradientTransformation:
        """Of a rate that rises, stands, and falls to zero with the last of so many steps."""

        def rate(taken):
            done = (taken + 1) / steps
            rising = jnp.minimum(1.0, done / _WARM)
            falling = 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.clip((done - _FLAT) / (1 - _FLAT), 0.0, 1.0))
            return self.learning_rate * rising * falling

        return kronecker_adam(rate)

    def _conjugates(
        self, potential: AbstractPotential, y: Points, start: Points, refinements: Int[Array, ""]
    ) -> Points:
        """x̂(y) improved from ``start``: all once, the worst again until the tolerance."""
        limit = self.tolerance * (1.0 + jnp.linalg.norm(y, axis=1))
        worst = max(1, len(y) // _WORST)

        def unfinished(state):
            count, _, excess = state
            return (count < refinements) & jnp.any(excess > 1.0)

        def refine(state):
            count, points, excess = state
            _, rows = jax.lax.top_k(excess, worst)
            better, residual = _newton_step(potential, y[rows], points[rows])
            excess = excess.at[rows].set(residual / limit[rows])
            return count + 1, points.at[rows].set(better), excess

        points, residual = _newton_step(potential, y, start)
        return jax.lax.while_loop(unfinished, refine, (0, points, residual / limit))[1]


@lasting.register
def _(method: SemiDual, state: SemiDualState, steps: int) -> SemiDualState:
    return dataclasses.replace(state, steps=jnp.asarray(steps))


@shared_work.register
def _(method: SemiDual, state: SemiDualState, *args: Any) -> int:
    return batch_work(state.potential, method.batch)


def _precision(potential: AbstractPotential) -> Any:
    return jnp.result_type(*jax.tree.leaves(_parameters(potential)))


def _parameters(potential: AbstractPotential) -> AbstractPotential:
    return eqx.filter(potential, eqx.is_inexact_array)


def _newton_step(
    potential: AbstractPotential, y: Points, x: Points
) -> tuple[Points, Float[Array, " n"]]:
    """One damped Newton step towards each x̂(y), and the residuals ‖y − ∇φ‖ it leaves."""
    value, residual, direction = _direction(potential, y, x)
    product, norm = jnp.sum(x * y, axis=1), jnp.linalg.norm(residual, axis=1)
    slope = jnp.sum(direction * residual, axis=1)
    # Heights are known to a few units of rounding: near the solution all steps are accepted.
    slack = 8 * jnp.finfo(y.dtype).eps * (jnp.abs(product) + jnp.abs(value))
    lowest = product - value - slack

    def attempt(length):
        points = x + length[:, None] * direction
        new_value, gradient = jax.vmap(jax.value_and_grad(potential.value))(points)
        new_height = jnp.sum(points * y, axis=1) - new_value
        return (
            jnp.linalg.norm(y - gradient, axis=1),
            new_height >= lowest + _ARMIJO * length * slope,
        )

    def rejected(state):
        count, _, _, good = state
        return (count < _CUTS) & ~jnp.all(good)

    def shorten(state):
        count, length, _, good = state
        length = jnp.where(good, length, _CUT * length)
        return count + 1, length, *attempt(length)

    # The first pass of the loop tries the full step: one copy of the attempt to compile.
    start = (0, jnp.full_like(norm, 1.0 / _CUT), norm, jnp.zeros_like(norm, dtype=bool))
    _, length, new_norm, good = jax.lax.while_loop(rejected, shorten, start)
    return (
        jnp.where(good[:, None], x + length[:, None] * direction, x),
        jnp.where(good, new_norm, norm),
    )


def _direction(
    potential: AbstractPotential, y: Points, x: Points
) -> tuple[Float[Array, " n"], Points, Points]:
    """φ(x), r = y − ∇φ(x) and D²φ(x)⁻¹ r: exact in few dimensions, by CG in many."""
    if x.shape[1] <= _HESSIAN_DIMENSION:
        value, gradient, hessian = jax.vmap(expansion, in_axes=(None, 0))(potential, x)
        return value, y - gradient, jax.vmap(spd_solve)(hessian, y - gradient)
    value, gradient = jax.vmap(jax.value_and_grad(potential.value))(x)
    residual = y - gradient
    _, product = jax.linearize(potential.gradient, x)

    def iterate(_, state):
        solution, rest, step, square = state
        image = product(step)
        length = _ratio(square, jnp.sum(step * image, axis=1))
        rest = rest - length[:, None] * image
        new_square = jnp.sum(rest * rest, axis=1)
        new_step = rest + _ratio(new_square, square)[:, None] * step
        return solution + length[:, None] * step, rest, new_step, new_square

    square = jnp.sum(residual * residual, axis=1)
    start = (jnp.zeros_like(residual), residual, residual, square)
    return value, residual, jax.lax.fori_loop(0, _CG_ITERATIONS, iterate, start)[0]


def _ratio(over: Array, under: Array) -> Array:
    """over / under, 0 where both have vanished."""
    return jnp.where(under > 0, over / jnp.where(under > 0, under, 1.0), 0.0)
