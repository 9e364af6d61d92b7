"""Flow matching learned from samples: a network regressed on X − Z."""

import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from brenier._checks import check_at_least, check_key, check_points, check_positive
from brenier._solution import Result, Solution
from brenier._types import Array, Float, Key, Point, Points, Scalar
from brenier.exact import solve_assignment
from brenier.measures import AbstractMeasure
from brenier.velocities._base import AbstractVelocity
from brenier.velocities._flow_map import FlowMap

_COUPLINGS = ("independent", "minibatch", "exact")
# Blocks of steps whose mean losses are kept.
_HISTORY = 50
# Of the running average of the parameters, which is the velocity.
_AVERAGING = 0.995
# The exact assignment holds all pairs.
_MOST_EXACT = 6_000


class NetworkVelocity(AbstractVelocity):
    """v_s(x) = w · MLP((x − c)/w, s, sin πs, cos πs): a learned velocity.

    Args:
        network: d + 3 numbers to d.
        centre, width: c (d,) and w (), of the data.
    """

    network: eqx.nn.MLP
    centre: Point
    width: Scalar

    @property
    def dimension(self) -> int:
        return self.centre.shape[-1]

    def at(self, time: Scalar, x: Point) -> Point:
        angle = jnp.pi * time
        moment = jnp.stack([jnp.asarray(time, x.dtype), jnp.sin(angle), jnp.cos(angle)])
        return self.width * self.network(
            jnp.concatenate([(x - self.centre) / self.width, moment.astype(x.dtype)])
        )


def fit_velocity(
    source: AbstractMeasure | ArrayLike,
    target: AbstractMeasure | ArrayLike,
    *,
    key: Key,
    coupling: str = "minibatch",
    steps: int = 3000,
    batch: int = 256,
    width: int = 64,
    depth: int = 3,
    rate: float = 3e-3,
    samples: int = 4096,
    rounds: int = 8,
    throw: bool = True,
) -> Solution:
    """A velocity learned by min E‖v_s(x_s) − (X − Z)‖², x_s = (1−s)Z + sX: flow matching.

    The coupling of Z and X decides which velocity: "independent", the one of ``MatchingVelocity``;
    "exact", pairs of the optimal assignment, close to McCann's interpolation, whose flow is
    optimal; "minibatch", pairs of optimal assignments of random batches, between the two. Adam with
    a cosine schedule, all steps in one compiled scan.

    Not for certified maps: the flow reaches the target and is optimal up to what the network
    learned; audit it. Not where a closed form exists (``MatchingVelocity``).

    Args:
        source: the law of Z: a measure, or points (n, d).
        target: the law of X: a measure, or points (m, d).
        key: of samples, pairs, network and batches.
        coupling: as above.
        steps: of Adam.
        batch: pairs a step, and a side of the minibatch assignments.
        width, depth: of the network's hidden layers.
        rate: of Adam, at its start.
        samples: drawn of a measure, and pairs of a round.
        rounds: of new random batches for the minibatch coupling.
        throw: raise where the loss is not finite.

    Returns:
        A ``Solution`` whose map is the ``FlowMap`` of a ``NetworkVelocity`` from s = 0 to 1. Its
        stats: ``loss``, means over blocks of steps; ``pair_cost``, E‖X − Z‖² of the coupling;
        ``seconds``.

    Raises:
        ValueError: bad points or settings, dimensions that do not match, more than 6,000 points a
            side for the exact coupling.
        SolveError: the loss became infinite or NaN.

    >>> import jax
    >>> from brenier.measures import Gaussian
    >>> solution = fit_velocity(Gaussian.standard(1), Gaussian.standard(1), key=jax.random.key(0),
    ...                         steps=50, samples=256, width=8, depth=1)
    >>> solution.result.name, len(solution.stats["loss"])
    ('successful', 50)

    Peyré (2024), (8); Tong et al. (2024), minibatch optimal transport.
    """
    began = time.perf_counter()
    check_key("key", key)
    if coupling not in _COUPLINGS:
        raise ValueError(f"coupling: got {coupling!r}; wants one of {list(_COUPLINGS)}.")
    for name, value in (
        ("steps", steps),
        ("batch", batch),
        ("width", width),
        ("depth", depth),
        ("samples", samples),
        ("rounds", rounds),
    ):
        check_at_least(name, value, 1)
    check_positive("rate", rate)
    keys = jax.random.split(key, 5)
    cloud = _cloud("source", source, keys[0], samples)
    other = _cloud("target", target, keys[1], samples, dimension=cloud.shape[1])
    random = np.random.default_rng(np.asarray(jax.random.key_data(keys[2])).ravel())
    first, second = _pairs(cloud, other, coupling, batch, samples, rounds, random)
    z, x = jnp.asarray(cloud), jnp.asarray(other, cloud.dtype)
    both = jnp.concatenate([z, x])
    start = NetworkVelocity(
        eqx.nn.MLP(
            z.shape[1] + 3, z.shape[1], width, depth, jax.nn.silu, key=keys[3], dtype=z.dtype
        ),
        jnp.mean(both, axis=0),
        jnp.maximum(jnp.std(both), jnp.finfo(z.dtype).tiny),
    )
    velocity, losses = _fit(
        start,
        z,
        x,
        jnp.asarray(first),
        jnp.asarray(second),
        keys[4],
        coupling == "independent",
        steps,
        batch,
        rate,
    )
    history = np.asarray([part.mean() for part in np.array_split(losses, min(_HISTORY, steps))])
    stats = {
        "loss": history.tolist(),
        "pair_cost": _pair_cost(cloud, other, first, second, coupling),
        "seconds": time.perf_counter() - began,
    }
    result = Result.successful if np.isfinite(history).all() else Result.diverged
    tolerance = 1e-6 if z.dtype == jnp.float64 else 1e-4
    return Solution(FlowMap(velocity, 0.0, 1.0, tolerance=tolerance), result, stats).checked(throw)


def _cloud(
    name: str, value: Any, key: Key, samples: int, *, dimension: int | None = None
) -> np.ndarray:
    drawn = value.sample(key, samples) if isinstance(value, AbstractMeasure) else value
    return check_points(name, drawn, dimension=dimension, min_points=2)


def _pairs(
    z: np.ndarray,
    x: np.ndarray,
    coupling: str,
    batch: int,
    samples: int,
    rounds: int,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of z and of x of the same weight: pair by pair, or to be drawn independently."""
    if coupling == "independent":
        return np.arange(len(z)), np.arange(len(x))
    if coupling == "exact":
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
    size = min(batch, len(z), len(x))
    pairs = []
    for _ in range(rounds * max(1, samples // size)):
        rows = random.choice(len(z), size, replace=False)
        columns = random.choice(len(x), size, replace=False)
        order = linear_sum_assignment(cdist(z[rows], x[columns], "sqeuclidean"))[1]
        pairs.append((rows, columns[order]))
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _pair_cost(
    z: np.ndarray, x: np.ndarray, first: np.ndarray, second: np.ndarray, coupling: str
) -> float:
    if coupling == "independent":
        apart = np.sum((x.mean(axis=0) - z.mean(axis=0)) ** 2)
        return float(apart + z.var(axis=0).sum() + x.var(axis=0).sum())
    return float(np.mean(np.sum((x[second] - z[first]) ** 2, axis=1)))


@eqx.filter_jit
def _fit(
    start: NetworkVelocity,
    z: Points,
    x: Float[Array, "m d"],
    first: Array,
    second: Array,
    key: Key,
    independent: bool,
    steps: int,
    batch: int,
    rate: float,
) -> tuple[NetworkVelocity, Float[Array, " steps"]]:
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def with_network(network, fixed):
        return eqx.tree_at(lambda v: v.network, start, eqx.combine(network, fixed))

    network, fixed = eqx.partition(start.network, eqx.is_inexact_array)

    def step(state, turn):
        network, average, moments = state
        count, key = turn
        pick, other, moment = jax.random.split(key, 3)
        rows = jax.random.randint(pick, (batch,), 0, first.shape[0])
        drawn = jax.random.randint(other, (batch,), 0, second.shape[0])
        columns = drawn if independent else rows
        begin, end = z[first[rows]], x[second[columns]]
        s = jax.random.uniform(moment, (batch,), z.dtype)

        def loss(network):
            velocity = with_network(network, fixed)
            here = (1.0 - s[:, None]) * begin + s[:, None] * end
            off = jax.vmap(velocity.at)(s, here) - (end - begin)
            return jnp.mean(jnp.sum(off**2, axis=1))

        value, gradient = jax.value_and_grad(loss)(network)
        # In units of the data, so that the rate means the same for all.
        gradient = jax.tree.map(lambda g: g / start.width**2, gradient)
        updates, moments = optimiser.update(gradient, moments)
        network = optax.apply_updates(network, updates)
        # Over a growing window at first: the start is soon forgotten.
        decay = jnp.minimum(_AVERAGING, (count + 1) / (count + 10)).astype(z.dtype)
        average = jax.tree.map(lambda a, b: decay * a + (1.0 - decay) * b, average, network)
        return (network, average, moments), value

    begin = (network, network, optimiser.init(network))
    turns = (jnp.arange(steps), jax.random.split(key, steps))
    (_, average, _), losses = jax.lax.scan(step, begin, turns)
    return with_network(average, fixed), losses
