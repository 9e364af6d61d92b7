"""Constrained drift: a functional's gradient flow over gradients of convex functions (DLV26)."""

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Int, Key, Points, Scalar
from brenier.flows._method import AbstractMethod, near_identity
from brenier.flows._oracles import (
    AbstractInnerProblem,
    AbstractOracle,
    Batch,
    NaturalGradient,
    optimiser,
    parameter_gradient,
)
from brenier.functionals import KL, AbstractFunctional, Moving
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure


class _DriftProblem(AbstractInnerProblem):
    """The inner problem of (1.3) and (1.4), times τ so that its Hessian in L²(ρ) is near I."""

    functional: AbstractFunctional
    source: AbstractMeasure
    target: AbstractMeasure
    start: AbstractMap
    points: Points | None
    step_size: Scalar
    particles: int = eqx.field(static=True)
    implicit: bool = eqx.field(static=True)

    def draw(self, key: Key) -> Batch:
        draw_key, gradient_key = jax.random.split(key)
        x = self.source.sample(draw_key, self.particles) if self.points is None else self.points
        moving = Moving.pushed(self.start, self.source, x)
        if self.implicit:
            return Batch(x, moving.points, gradient_key)
        drift = self.functional.gradient(moving, self.target, key=gradient_key)
        return Batch(x, moving.points - self.step_size * drift, gradient_key)

    def field(self, map: AbstractMap, batch: Batch) -> Points:
        moving = Moving.pushed(map, self.source, batch.points)
        away = moving.points - batch.anchors
        if self.implicit:
            return away + self.step_size * self.functional.gradient(
                moving, self.target, key=batch.key
            )
        return away

    def loss(self, map: AbstractMap, batch: Batch) -> Scalar:
        moving = Moving.pushed(map, self.source, batch.points)
        proximity = 0.5 * jnp.mean(jnp.sum((moving.points - batch.anchors) ** 2, axis=-1))
        if self.implicit:
            return proximity + self.step_size * self.functional.value(
                moving, self.target, key=batch.key
            )
        return proximity


class DriftState(eqx.Module):
    """The map, the outer step, the damping of the oracle and the key of the next draw."""

    map: AbstractMap
    step: Int[Array, ""]
    damping: Scalar
    key: Key


class ConstrainedDrift(AbstractMethod[DriftState, AbstractMap]):
    """dT/dt = Proj(−∇_W F(T#ρ)∘T) on gradients of convex functions (Theory (1.1); DLV26).

    The explicit scheme fits T_{k+1} to T_k − τ∇_W F∘T_k (1.3); the implicit one minimises
    F(T#ρ) + ‖T − T_k‖²/(2τ) (1.4), stable for any τ where F is convex. With a map that is not a
    gradient the same schemes train an unconstrained generator (1.8).

    Args:
        functional: F, by default KL with the self-entropic score.
        scheme: "explicit" or "implicit".
        step_size: τ, in units of time.
        final_step_size: τ of the last step, geometric in between; smaller late steps average out
            the noise of the score. By default τ throughout, and the final time is τ·steps.
        steps: outer steps.
        particles: source points a draw.
        oracle: the inner solver, ``NaturalGradient()`` or ``FirstOrder()``.
        points: fixed source particles (n, d) in place of fresh draws (a quadrature, say).

    >>> import brenier, jax
    >>> problem = brenier.problems.affine()
    >>> method = ConstrainedDrift(step_size=0.5, steps=4, particles=64)
    >>> start = brenier.maps.GradientMap(brenier.potentials.Quadratic.identity(2))
    >>> solution = brenier.solve(problem.source, problem.target, method=method, initial=start,
    ...                          key=jax.random.key(0))
    >>> solution.map(jax.numpy.zeros(2)).shape
    (2,)
    """

    functional: AbstractFunctional = KL()
    scheme: str = eqx.field(static=True, default="explicit")
    step_size: float = 0.4
    final_step_size: float | None = None
    steps: int = eqx.field(static=True, default=10)
    particles: int = eqx.field(static=True, default=256)
    oracle: AbstractOracle = NaturalGradient()
    points: Points | None = None

    def __check_init__(self):
        if self.scheme not in ("explicit", "implicit"):
            raise ValueError(f"scheme: got {self.scheme!r}; wants 'explicit' or 'implicit'.")
        check_positive("step_size", self.step_size)
        if self.final_step_size is not None:
            check_positive("final_step_size", self.final_step_size)
        check_at_least("steps", self.steps, 1)
        check_at_least("particles", self.particles, 2)

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        return near_identity(key, points)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> DriftState:
        damping = jnp.asarray(self.oracle.initial_damping(), dtype=jnp.result_type(float))
        return DriftState(initial, jnp.asarray(0), damping, key)

    def step(
        self, state: DriftState, source: AbstractMeasure, target: AbstractMeasure
    ) -> DriftState:
        key, inner_key = jax.random.split(state.key)
        problem = _DriftProblem(
            self.functional,
            source,
            target,
            state.map,
            self.points,
            self._step_size(state.step),
            self.particles,
            self.scheme == "implicit",
        )
        map, damping = self.oracle.solve(
            problem, state.map, state.damping, state.step, key=inner_key
        )
        return DriftState(map, state.step + 1, damping, key)

    def current_map(self, state: DriftState) -> AbstractMap:
        return state.map

    def _step_size(self, step: Int[Array, ""]) -> Scalar:
        first = jnp.asarray(self.step_size, dtype=jnp.result_type(float))
        if self.final_step_size is None:
            return first
        return first * (self.final_step_size / first) ** (step / max(self.steps - 1, 1))


class EuclideanState(eqx.Module):
    """The map, the step, the optimiser's memory and the key of the next draw."""

    map: AbstractMap
    step: Int[Array, ""]
    memory: tuple
    key: Key


class EuclideanDescent(AbstractMethod[EuclideanState, AbstractMap]):
    """θ' = −∇_θ F(T_θ#ρ), by gradient descent or Adam: the baselines of DLV26 (1.7).

    Its speed depends on the parametrisation; ``ConstrainedDrift`` does not and is what to use.

    Args:
        functional: F, by default KL with the self-entropic score.
        name: "adam" or "sgd".
        learning_rate: in units of the parameters.
        steps: gradient steps.
        particles: fresh source points a step.

    >>> import brenier
    >>> problem = brenier.problems.affine()
    >>> start = brenier.maps.GradientMap(brenier.potentials.Quadratic.identity(2))
    >>> solution = brenier.solve(problem.source, problem.target, initial=start,
    ...                          method=EuclideanDescent(steps=3), key=jax.random.key(0))
    >>> solution.map(jnp.zeros(2)).shape
    (2,)
    """

    functional: AbstractFunctional = KL()
    name: str = eqx.field(static=True, default="adam")
    learning_rate: float = eqx.field(static=True, default=1e-2)
    steps: int = eqx.field(static=True, default=1000)
    particles: int = eqx.field(static=True, default=256)

    def __check_init__(self):
        optimiser(self.name, check_positive("learning_rate", self.learning_rate))
        check_at_least("steps", self.steps, 1)
        check_at_least("particles", self.particles, 2)

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        return near_identity(key, points)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> EuclideanState:
        parameters = eqx.filter(initial, eqx.is_inexact_array)
        memory = optimiser(self.name, self.learning_rate).init(parameters)
        return EuclideanState(initial, jnp.asarray(0), memory, key)

    def step(
        self, state: EuclideanState, source: AbstractMeasure, target: AbstractMeasure
    ) -> EuclideanState:
        key, draw_key, gradient_key = jax.random.split(state.key, 3)
        x = source.sample(draw_key, self.particles)
        field = self.functional.gradient(
            Moving.pushed(state.map, source, x), target, key=gradient_key
        )
        gradient = parameter_gradient(state.map, x, field)
        rule = optimiser(self.name, self.learning_rate)
        updates, memory = rule.update(gradient, state.memory)
        return EuclideanState(eqx.apply_updates(state.map, updates), state.step + 1, memory, key)

    def current_map(self, state: EuclideanState) -> AbstractMap:
        return state.map
