"""Flow matching learned from samples: a network regressed on X − Z, as a method of the driver."""

import dataclasses
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from brenier._checks import (
    check_at_least,
    check_digits,
    check_instance,
    check_key,
    check_points,
    check_positive,
)
from brenier._progress import ProgressCallback
from brenier._solution import Solution
from brenier._types import Array, Float, Int, Key, Points, Scalar
from brenier.exact import solve_assignment
from brenier.flows._driver import CheckpointStore, solve
from brenier.flows._method import AbstractMethod, batch_work, running_average, shared_work
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import float64_mean, numpy_generator, split_batch
from brenier.velocities import AbstractVelocity, FlowMap, NetworkVelocity

_COUPLINGS = ("independent", "minibatch", "exact")
# The exact assignment holds all pairs.
_MOST_EXACT = 6_000
# Pairs on which the metric of a fit is taken, the same each time.
_MEASURED = 2048

Pairs: TypeAlias = tuple[Int[Array, " k"], Int[Array, " k"]]


class FlowMatchingState(eqx.Module):
    """The network, the flow of its running average, the optimiser's memory."""

    network: eqx.nn.MLP
    flow: FlowMap
    optimiser: optax.OptState
    step: Int[Array, ""]
    key: Key


class FlowMatching(AbstractMethod[FlowMatchingState, FlowMap]):
    """min over networks of E‖v_s(x_s) − (X − Z)‖², x_s = (1−s)Z + sX, s uniform in [0, 1].

    Adam at a rate that falls along a cosine. Starts at the ``FlowMap`` of a ``NetworkVelocity``;
    its map is the flow of the running average of the weights. ``fit_velocity`` chooses pairs and
    network.

    Not where a closed form exists (``velocities.MatchingVelocity``).

    Args:
        pairs: rows of the source's and of the target's atoms that belong together, (k,) each, for
            ``Empirical`` measures; None draws Z and X independently, from any measures.
        steps: gradient steps.
        batch: pairs a step.
        learning_rate: of Adam, at its start.
        averaging: decay of the running average of the weights; shorter at the beginning.

    Raises:
        ValueError: settings out of range; on the start, another map, or pairs for a measure without
            atoms.

    >>> method = FlowMatching(steps=50, batch=64)
    >>> method.steps, method.batch, method.learning_rate
    (50, 64, 0.003)

    Peyré (2024), (8); Tong et al. (2024).
    """

    pairs: Pairs | None = None
    steps: int = eqx.field(static=True, default=3000)
    batch: int = eqx.field(static=True, default=256)
    learning_rate: float = eqx.field(static=True, default=3e-3)
    averaging: float = eqx.field(static=True, default=0.995)

    def __check_init__(self):
        for name in ("steps", "batch"):
            check_at_least(name, getattr(self, name), 1)
        check_positive("learning_rate", self.learning_rate)
        if not 0.0 <= self.averaging < 1.0:
            raise ValueError(f"averaging: got {self.averaging}; wants a number in [0, 1).")

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        raise ValueError(
            "initial: got None; wants the FlowMap of a NetworkVelocity (fit_velocity makes one)."
        )

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> FlowMatchingState:
        network = _network_velocity(initial).network
        assert isinstance(initial, FlowMap)  # _network_velocity has seen it
        for name, measure in (("source", source), ("target", target)):
            if self.pairs is not None and not isinstance(measure, Empirical):
                raise ValueError(
                    f"{name}: got {type(measure).__name__}, which has no atoms to pair; wants an "
                    "Empirical, or a method without pairs."
                )
        optimiser = self._optimiser().init(eqx.filter(network, eqx.is_inexact_array))
        return FlowMatchingState(network, initial, optimiser, jnp.asarray(0), key)

    def step(
        self, state: FlowMatchingState, source: AbstractMeasure, target: AbstractMeasure
    ) -> FlowMatchingState:
        average = _network_velocity(state.flow)
        key, pair_key, time_key = jax.random.split(state.key, 3)
        begin, end = _draw_pairs(source, target, self.pairs, self.batch, pair_key)
        times = jax.random.uniform(time_key, (self.batch,), begin.dtype)
        begin, end, times = split_batch((begin, end, times))

        def loss(network: eqx.nn.MLP) -> Scalar:
            off = _misses(_with_network(average, network), begin, end, times)
            # In units of the data, so that the rate means the same for all, and for all columns.
            return jnp.mean(jnp.sum((off / average.width) ** 2, axis=1))

        gradient = eqx.filter_grad(loss)(state.network)
        updates, optimiser = self._optimiser().update(gradient, state.optimiser)
        network = eqx.apply_updates(state.network, updates)
        averaged = running_average(average.network, network, self.averaging, state.step)
        flow = eqx.tree_at(lambda map: map.velocity.network, state.flow, averaged)
        return FlowMatchingState(network, flow, optimiser, state.step + 1, key)

    def current_map(self, state: FlowMatchingState) -> FlowMap:
        return state.flow

    def _optimiser(self) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(self.learning_rate, self.steps))


class MatchingLoss(eqx.Module):
    """E‖v_s(x_s) − (X − Z)‖² on fixed pairs and times, as a metric for ``solve``.

    Args:
        source: z (n, d).
        target: x (n, d), its mates.
        times: s (n,) in [0, 1].

    >>> v = NetworkVelocity.random(jax.random.key(0), jnp.zeros(1), jnp.ones(()), width=8, depth=1)
    >>> loss = MatchingLoss(jnp.zeros((1, 1)), jnp.ones((1, 1)), jnp.array([0.5]))
    >>> off = v(0.5, jnp.array([0.5])) - 1.0  # at the middle of the way from 0 to 1
    >>> bool(jnp.isclose(loss(FlowMap(v, 0.0, 1.0)), off @ off))
    True
    """

    source: Points
    target: Points
    times: Float[Array, " n"]

    def __call__(self, map: AbstractMap) -> Scalar:
        held = split_batch((self.source, self.target, self.times))
        return _matching_loss(_network_velocity(map), *held)


@shared_work.register
def _(method: FlowMatching, state: FlowMatchingState, *args: Any) -> int:
    return batch_work(state.network, method.batch)


@shared_work.register
def _(metric: MatchingLoss, on: AbstractMap, *args: Any) -> int:
    return batch_work(on, len(metric.times))


def fit_velocity(
    source: AbstractMeasure | ArrayLike,
    target: AbstractMeasure | ArrayLike,
    *,
    key: Key,
    method: FlowMatching | None = None,
    coupling: str = "minibatch",
    samples: int = 4096,
    rounds: int = 8,
    width: int = 64,
    depth: int = 3,
    callback: ProgressCallback | None = None,
    checkpoint: CheckpointStore | None = None,
    throw: bool = True,
) -> Solution[FlowMap]:
    """A velocity learned by flow matching, min E‖v_s(x_s) − (X − Z)‖², x_s = (1−s)Z + sX.

    The coupling of Z and X decides which velocity: "independent", the one of ``MatchingVelocity``;
    "exact", pairs of the optimal assignment, close to McCann's interpolation, whose flow is
    optimal; "minibatch", pairs of optimal assignments of random batches, between the two.

    Not for certified maps: the flow reaches the target and is optimal up to what the network
    learned; audit it. Not where a closed form exists (``MatchingVelocity``).

    Args:
        source: the law of Z: a measure, or points (n, d).
        target: the law of X: a measure, or points (m, d).
        key: of samples, pairs, network and batches.
        method: how it is trained; its pairs are set here. Its batch is also a side of the
            minibatch assignments.
        coupling: as above.
        samples: drawn of a measure, and pairs of a round.
        rounds: of new random batches for the minibatch coupling.
        width, depth: of the network's hidden layers.
        callback, checkpoint, throw: as for ``solve``.

    Returns:
        A ``Solution`` whose map is the ``FlowMap`` of a ``NetworkVelocity`` from s = 0 to 1. Stats
        as of ``solve``, the metric being the loss on fixed pairs of the coupling (the training's
        own points: it does not see overfitting); and ``pair_cost``, E‖X − Z‖² of the coupling.

    Raises:
        ValueError: bad points or settings, dimensions that do not match, more than 6,000 points a
            side for the exact coupling.
        SolveError: the loss became infinite or NaN.

    >>> import jax
    >>> from brenier.measures import Gaussian
    >>> solution = fit_velocity(Gaussian.standard(1), Gaussian.standard(1), key=jax.random.key(0),
    ...                         method=FlowMatching(steps=50), samples=256, width=8, depth=1)
    >>> solution.result.name, solution.stats["steps"], solution.map.dimension
    ('successful', 50, 1)

    Peyré (2024), (8); Tong et al. (2024), minibatch optimal transport.
    """
    check_key("key", key)
    if coupling not in _COUPLINGS:
        raise ValueError(f"coupling: got {coupling!r}; wants one of {list(_COUPLINGS)}.")
    for name, value in (
        ("width", width),
        ("depth", depth),
        ("samples", samples),
        ("rounds", rounds),
    ):
        check_at_least(name, value, 1)
    method = FlowMatching() if method is None else method
    check_instance("method", method, FlowMatching, "a FlowMatching")
    keys = jax.random.split(key, 6)
    cloud = _cloud("source", source, keys[0], samples)
    other = _cloud("target", target, keys[1], samples, dimension=cloud.shape[1])
    random = numpy_generator(keys[2])
    pairs = None
    if coupling == "exact":
        pairs = _exact_pairs(cloud, other, samples, random)
    elif coupling == "minibatch":
        pairs = _minibatch_pairs(cloud, other, method.batch, samples, rounds, random)
    z, x = jnp.asarray(cloud), jnp.asarray(other, cloud.dtype)
    centre, scale = _columns(np.concatenate([cloud, other]))
    start = NetworkVelocity.random(
        keys[3], jnp.asarray(centre, z.dtype), jnp.asarray(scale, z.dtype), width=width, depth=depth
    )
    first, second = Empirical(z), Empirical(x)
    chosen = None if pairs is None else (jnp.asarray(pairs[0]), jnp.asarray(pairs[1]))
    measured = _draw_pairs(first, second, chosen, _MEASURED, keys[4])
    # Evenly spread over [0, 1]: all times count alike.
    times = (jnp.arange(_MEASURED, dtype=z.dtype) + 0.5) / _MEASURED
    tolerance = 1e-6 if z.dtype == jnp.float64 else 1e-4
    solution = solve(
        first,
        second,
        method=dataclasses.replace(method, pairs=chosen),
        initial=FlowMap(start, 0.0, 1.0, tolerance=tolerance),
        key=keys[5],
        metric=MatchingLoss(*measured, times),
        callback=callback,
        checkpoint=checkpoint,
        throw=throw,
    )
    cost = _pair_cost(cloud, other, pairs)
    return Solution(solution.map, solution.result, {**solution.stats, "pair_cost": cost})


def _columns(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column (d,); 1 for one that does not vary."""
    wide = points.astype(np.float64)
    deviations = wide.std(axis=0)
    return wide.mean(axis=0), np.where(np.ptp(wide, axis=0) > 0.0, deviations, 1.0)


def _draw_pairs(
    source: AbstractMeasure, target: AbstractMeasure, pairs: Pairs | None, count: int, key: Key
) -> tuple[Points, Points]:
    """z (n, d) and x (n, d): independent samples, or random ones of the given pairs of atoms."""
    first, second = jax.random.split(key)
    if pairs is None:
        return source.sample(first, count), target.sample(second, count)
    assert isinstance(source, Empirical)  # init has seen it
    assert isinstance(target, Empirical)
    chosen = jax.random.randint(first, (count,), 0, pairs[0].shape[0])
    return source.points[pairs[0][chosen]], target.points[pairs[1][chosen]]


def _matching_loss(
    velocity: AbstractVelocity, z: Points, x: Points, times: Float[Array, " n"]
) -> Scalar:
    return float64_mean(jnp.sum(_misses(velocity, z, x, times) ** 2, axis=1))


def _misses(velocity: AbstractVelocity, z: Points, x: Points, times: Float[Array, " n"]) -> Points:
    """v_s(x_s) − (x − z)."""
    s = times[:, None]
    return jax.vmap(velocity.at)(times, (1.0 - s) * z + s * x) - (x - z)


def _network_velocity(map: AbstractMap) -> NetworkVelocity:
    if isinstance(map, FlowMap) and isinstance(map.velocity, NetworkVelocity):
        return map.velocity
    raise ValueError(f"initial: got {type(map).__name__}; wants the FlowMap of a NetworkVelocity.")


def _with_network(velocity: NetworkVelocity, network: eqx.nn.MLP) -> NetworkVelocity:
    return eqx.tree_at(lambda v: v.network, velocity, network)


def _cloud(
    name: str,
    value: AbstractMeasure | ArrayLike,
    key: Key,
    samples: int,
    *,
    dimension: int | None = None,
) -> np.ndarray:
    drawn = value.sample(key, samples) if isinstance(value, AbstractMeasure) else value
    points = check_points(name, drawn, dimension=dimension, min_points=2)
    check_digits(name, points)
    return points


def _exact_pairs(
    z: np.ndarray, x: np.ndarray, samples: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of z and of x, drawn from the optimal plan."""
    if max(len(z), len(x)) > _MOST_EXACT:
        raise ValueError(
            f"coupling: got 'exact' for {len(z):,} and {len(x):,} points; wants "
            f"at most {_MOST_EXACT:,} a side (take 'minibatch')."
        )
    plan = solve_assignment(z, x).stats["plan"]
    chosen = random.choice(
        len(plan.mass), size=max(samples, len(plan.mass)), p=plan.mass / plan.mass.sum()
    )
    return plan.rows[chosen], plan.columns[chosen]


def _minibatch_pairs(
    z: np.ndarray, x: np.ndarray, batch: int, samples: int, rounds: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of z and of x, matched within random batches."""
    size = min(batch, len(z), len(x))
    pairs = []
    for _ in range(rounds * max(1, samples // size)):
        rows = random.choice(len(z), size, replace=False)
        columns = random.choice(len(x), size, replace=False)
        order = linear_sum_assignment(cdist(z[rows], x[columns], "sqeuclidean"))[1]
        pairs.append((rows, columns[order]))
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _pair_cost(z: np.ndarray, x: np.ndarray, pairs: tuple[np.ndarray, np.ndarray] | None) -> float:
    if pairs is None:
        apart = np.sum((x.mean(axis=0) - z.mean(axis=0)) ** 2)
        return float(apart + z.var(axis=0).sum() + x.var(axis=0).sum())
    return float(np.mean(np.sum((x[pairs[1]] - z[pairs[0]]) ** 2, axis=1)))
