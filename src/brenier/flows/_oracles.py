"""Solvers of the inner problem of a constrained drift: first-order, and natural gradient."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from brenier._types import Array, Int, Key, Points, Scalar
from brenier.flows._gauss_newton import map_step
from brenier.maps import AbstractMap
from brenier.numerics import adapt_damping, flatten_parameters


class Batch(NamedTuple):
    """Source particles, what the map is pulled towards at them, and the key of the draw."""

    points: Points
    anchors: Points
    key: Key


class AbstractInnerProblem(eqx.Module):
    """min_T of an objective whose L²(ρ) gradient at the particles is ``field``."""

    @abc.abstractmethod
    def draw(self, key: Key) -> Batch:
        """Fresh particles with their anchors."""

    @abc.abstractmethod
    def field(self, map: AbstractMap, batch: Batch) -> Points:
        """The L²(ρ) gradient of the objective at T, scaled so that its Hessian is near I."""

    @abc.abstractmethod
    def loss(self, map: AbstractMap, batch: Batch) -> Scalar:
        """The objective, on the batch."""


class AbstractOracle(eqx.Module):
    """Solves an inner problem approximately; ``damping`` is carried from one to the next.

    >>> oracle = NaturalGradient(damping=0.1)
    >>> isinstance(oracle, AbstractOracle), oracle.initial_damping()
    (True, 0.1)
    """

    @abc.abstractmethod
    def solve(
        self,
        problem: AbstractInnerProblem,
        start: AbstractMap,
        damping: Scalar,
        outer: Int[Array, ""],
        *,
        key: Key,
    ) -> tuple[AbstractMap, Scalar]:
        """The improved map in outer step ``outer``, and the damping to start the next one with."""

    @abc.abstractmethod
    def initial_damping(self) -> float:
        """The damping of the first solve."""


def optimiser(name: str, learning_rate: float) -> optax.GradientTransformation:
    """The first-order optimisers of DLV26, by name."""
    known = {"adam": optax.adam, "sgd": optax.sgd}
    if name not in known:
        raise ValueError(f"optimiser: got {name!r}; wants one of {sorted(known)}.")
    return known[name](learning_rate)


def parameter_gradient(map: AbstractMap, x: Points, field: Points) -> AbstractMap:
    """E[(∂_θT_θ)ᵀ field], a map-shaped tree of gradients."""
    parameters, static = eqx.partition(map, eqx.is_inexact_array)
    _, pull = jax.vjp(lambda p: eqx.combine(p, static)(x), parameters)
    return pull(field / x.shape[0])[0]


class FirstOrder(AbstractOracle):
    """``steps`` steps of Adam (or gradient descent), fresh particles at each: DLV26's Algorithm 2.

    Args:
        steps: inner steps.
        learning_rate: in units of the parameters.
        name: "adam" or "sgd".

    >>> import brenier
    >>> brenier.flows.ConstrainedDrift(oracle=FirstOrder(learning_rate=0.01)).oracle.steps
    100
    """

    steps: int = eqx.field(static=True, default=100)
    learning_rate: float = eqx.field(static=True, default=0.1)
    name: str = eqx.field(static=True, default="adam")

    def __check_init__(self):
        optimiser(self.name, self.learning_rate)

    def initial_damping(self) -> float:
        return 0.0

    def solve(
        self,
        problem: AbstractInnerProblem,
        start: AbstractMap,
        damping: Scalar,
        outer: Int[Array, ""],
        *,
        key: Key,
    ) -> tuple[AbstractMap, Scalar]:
        rule = optimiser(self.name, self.learning_rate)
        parameters, static = eqx.partition(start, eqx.is_inexact_array)

        def step(carry, key):
            parameters, memory = carry
            map = eqx.combine(parameters, static)
            batch = problem.draw(key)
            gradient = parameter_gradient(map, batch.points, problem.field(map, batch))
            updates, memory = rule.update(gradient, memory, parameters)
            return (optax.apply_updates(parameters, updates), memory), None

        carry = (parameters, rule.init(parameters))
        (parameters, _), _ = jax.lax.scan(step, carry, jax.random.split(key, self.steps))
        return eqx.combine(parameters, static), damping


class NaturalGradient(AbstractOracle):
    """Damped Gauss-Newton steps on one batch (1.5), damping by the gain ratio.

    θ' = −(G + λI)⁻¹ E[(∂_θT)ᵀ field], G = E[(∂_θT)ᵀ∂_θT], solved exactly (in the smaller of n·d and
    p) or by conjugate gradients. Stops when the step falls below δ_k = tolerance/(k+1)² of the
    distance travelled in outer step k: errors are summable, which keeps the implicit scheme
    convergent (DLV26, Remark 3.2).

    Args:
        steps: at most so many Gauss-Newton steps an outer step.
        damping: λ of the first step, as a share of the mean squared Jacobian row.
        tolerance: δ_0; 0 takes all the steps.

    >>> import brenier
    >>> method = brenier.flows.ConstrainedDrift(scheme="implicit", oracle=NaturalGradient(steps=4))
    >>> method.oracle.initial_damping()
    0.01
    """

    steps: int = eqx.field(static=True, default=2)
    damping: float = eqx.field(static=True, default=1e-2)
    tolerance: float = eqx.field(static=True, default=0.0)

    def initial_damping(self) -> float:
        return self.damping

    def solve(
        self,
        problem: AbstractInnerProblem,
        start: AbstractMap,
        damping: Scalar,
        outer: Int[Array, ""],
        *,
        key: Key,
    ) -> tuple[AbstractMap, Scalar]:
        batch = problem.draw(key)
        flat, rebuild = flatten_parameters(start)
        origin = start(batch.points)

        def step(carry):
            count, flat, loss, damping, _ = carry
            map = rebuild(flat)
            field = problem.field(map, batch)
            delta, predicted = map_step(map, batch.points, field, damping)
            trial = rebuild(flat + delta)
            trial_loss = problem.loss(trial, batch)
            gain = (loss - trial_loss) / predicted
            better = trial_loss < loss
            moved = jnp.sum((trial(batch.points) - map(batch.points)) ** 2)
            travelled = jnp.sum((trial(batch.points) - origin) ** 2)
            allowed = self.tolerance / (outer + 1.0) ** 2
            done = better & (moved <= allowed**2 * travelled)
            return (
                count + 1,
                jnp.where(better, flat + delta, flat),
                jnp.where(better, trial_loss, loss),
                adapt_damping(damping, jnp.where(jnp.isfinite(gain), gain, -1.0)),
                done,
            )

        def unfinished(carry):
            return (carry[0] < self.steps) & ~carry[4]

        carry = (jnp.asarray(0), flat, problem.loss(start, batch), damping, jnp.asarray(False))
        _, flat, _, damping, _ = jax.lax.while_loop(unfinished, step, carry)
        return rebuild(flat), damping
