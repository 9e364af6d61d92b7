"""One loop for every method: jitted, watched, checkpointed, interruptible."""

import math
import time
from collections.abc import Callable
from typing import Any, Generic, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_instance, check_key, check_positive
from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Array, Int, Key, Points, Scalar
from brenier.flows._method import AbstractMethod, Map, State, check_method, lasting, shared_work
from brenier.flows._pace import Counted, Timed
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import AbstractMeasure
from brenier.numerics import cast_floats, energy_distance_squared, over_devices, whole

# Held-out points of the default metric: its standard error is then about 1e-3 of a unit scale.
_HELD_OUT = 2000
# Source points that tell a default start how large the source is.
_SEEN = 1000


@runtime_checkable
class CheckpointStore(Protocol):
    """Where the driver keeps what it needs to resume; ``brenier.Checkpoint`` is one.

    >>> import brenier
    >>> isinstance(brenier.Checkpoint("run.checkpoint"), CheckpointStore)
    True
    """

    @property
    def every(self) -> int:
        """Blocks between two saves."""

    def load(self, template: Any) -> Any | None:
        """What was saved, in the shape of ``template``; None where nothing was."""

    def save(self, state: Any) -> None:
        """Replace what was saved, atomically."""


class _Run(eqx.Module, Generic[State, Map]):
    """All that a resumed run needs to end in the same bits."""

    state: State
    best_map: Map
    best_metric: jax.Array
    since_best: jax.Array
    history: jax.Array
    blocks: jax.Array
    steps: jax.Array


def advance(
    method: AbstractMethod[State, Any],
    state: State,
    source: AbstractMeasure,
    target: AbstractMeasure,
    count: int | Int[Array, ""],
) -> State:
    """``count`` steps as one pure function: jit it, vmap it over seeds.

    >>> from brenier import flows, functionals, maps, measures
    >>> rho, start = measures.Gaussian.standard(1), maps.AffineMap(jnp.eye(1), jnp.ones(1))
    >>> method = flows.EuclideanDescent(functionals.PotentialEnergy(lambda y: y @ y))
    >>> state = method.init(rho, rho, start, key=jax.random.key(0))
    >>> int(advance(method, state, rho, rho, 2).step)
    2
    """
    arrays, static = eqx.partition(state, eqx.is_array)

    def body(_, arrays):
        stepped = method.step(eqx.combine(arrays, static), source, target)
        return eqx.filter(stepped, eqx.is_array)

    return eqx.combine(jax.lax.fori_loop(0, count, body, arrays), static)


_advance = over_devices(shared_work, factorises=True)(eqx.filter_jit(advance))


@eqx.filter_jit
def _step(
    method: AbstractMethod[State, Any],
    state: State,
    source: AbstractMeasure,
    target: AbstractMeasure,
) -> State:
    return whole(method.step(state, source, target))


@over_devices(shared_work, factorises=True)
def _step_by_step(
    method: AbstractMethod[State, Any],
    state: State,
    source: AbstractMeasure,
    target: AbstractMeasure,
    count: int | Int[Array, ""],
) -> State:
    """``advance`` by one compiled step, called in turn: copied to the devices once for all."""
    for _ in range(int(count)):
        state = _step(method, state, source, target)
    return state


@eqx.filter_jit
def _value(metric: Callable[[Any], Any], map: AbstractMap) -> Scalar:
    return jnp.asarray(metric(map))


_measure = over_devices(shared_work, factorises=True)(_value)


@eqx.filter_jit
def _judged(
    value: Scalar,
    map: Map,
    best_map: Map,
    best_metric: Scalar,
    since_best: Array,
    history: Array,
    blocks: Array,
) -> tuple[Map, Scalar, Array, Array, Array, Array]:
    """The fields of the next ``_Run`` but its state, and the three numbers that the host reads."""
    # A first value of NaN loses to any number.
    better = (value < best_metric) | (jnp.isnan(best_metric) & ~jnp.isnan(value))
    arrays, rest = eqx.partition(map, eqx.is_array)
    kept = jax.tree.map(
        lambda now, best: jnp.where(better, now, best), arrays, eqx.filter(best_map, eqx.is_array)
    )
    best, since = jnp.where(better, value, best_metric), jnp.where(better, 0, since_best + 1)
    told = jnp.stack([value.astype(float), best.astype(float), since.astype(float)])
    history = history.at[blocks + 1].set(value)
    return eqx.combine(kept, rest), best, since, history, blocks + 1, told


class _EnergyDistance(eqx.Module):
    """Squared energy distance between T(x) and y on held-out points drawn once."""

    # Fields, not constants of a closure: the next run's points meet the same program.
    x: Points
    y: Points

    def __call__(self, map: AbstractMap) -> Scalar:
        return energy_distance_squared(map(self.x), self.y)


def _energy_distance(source: AbstractMeasure, target: AbstractMeasure, key: Key) -> _EnergyDistance:
    x_key, y_key = jax.random.split(key)
    return _EnergyDistance(source.sample(x_key, _HELD_OUT), target.sample(y_key, _HELD_OUT))


def solve(
    source: AbstractMeasure,
    target: AbstractMeasure,
    *,
    method: AbstractMethod[State, Map],
    initial: AbstractMap | None = None,
    key: Key,
    metric: Callable[[Any], Any] | None = None,
    blocks: int = 20,
    seconds: float | None = None,
    patience: int | None = None,
    callback: ProgressCallback | None = None,
    checkpoint: CheckpointStore | None = None,
    throw: bool = True,
) -> Solution[Map]:
    """Run a method from an initial map, and return the best map seen on held-out points.

    The one loop of all methods. What is no such loop lives beside it: flows that are integrated to
    given times (``sinkhorn_flow``, ``parabolic_flow``, ...) and return their trajectory.

    Args:
        source: ρ.
        target: ν.
        method: what evolves the map.
        initial: the map to start from; its class is the class that is searched. None is the
            identity, about, in a class that suits the method (``method.default_initial``): the
            gradient of an ``ICNN`` that bends where the source has its points, small where the
            method forms matrices of all parameters. ``FlowMatching`` and image diffusions have no
            such start.
        key: a JAX random key; same key, same map, bit for bit on the same machine with as
            many cores; on another number, sums are rounded otherwise.
        metric: of a map (of the class that the method gives), a number to be small; by default the
            squared energy distance between 2,000 held-out T(x) and 2,000 target samples.
        blocks: how often the metric is taken, the callback called, the clock read.
        seconds: as many steps as these leave time for, in the place of the method's own number; its
            schedule, where it has one, ends with them. Another day may take more or fewer.
            Half of them are for steps, however long compilation takes; and of the blocks there are
            as many as take a fifth of the time for their metrics.
        patience: stop after so many blocks without a better metric.
        callback: told a ``Progress`` after each block.
        checkpoint: where to keep the run every ``checkpoint.every`` blocks and on Ctrl-C; a run
            whose checkpoint exists resumes, and ends in the same bits.
        throw: raise ``SolveError`` on failure and ``KeyboardInterrupt`` on Ctrl-C; else the
            ``Result`` says so.

    Returns:
        ``Solution(map, result, stats)``, stats with steps, seconds, best_metric, history (of the
        metric, the start's first) and ``initial``, the class of the map that it started from.
        No tolerance is asked of what is learned: ``Result.successful`` says that all steps were
        taken, ``best_metric`` beside the first of ``history`` what came of them.

    Raises:
        ValueError: dimensions that do not match, settings that are not what they should be, a
            measure or an initial map that the method cannot use.
        SolveError: the metric became infinite or NaN.

    >>> import brenier, jax
    >>> problem = brenier.problems.affine()
    >>> method = brenier.flows.ConstrainedDrift(steps=10, particles=256)
    >>> solution = solve(problem.source, problem.target, method=method, key=jax.random.key(0))
    >>> solution.stats["initial"], solution.stats["best_metric"] < 0.01
    ('GradientMap of ICNN', True)
    """
    check_key("key", key)
    check_at_least("blocks", blocks, 1)
    if seconds is not None:
        check_positive("seconds", seconds)
    if patience is not None:
        check_at_least("patience", patience, 1)
    for name, measure in (("source", source), ("target", target)):
        check_instance(
            name, measure, AbstractMeasure, "a measure (of points (n, d), measures.Empirical(x))"
        )
    check_method(method, "flows.ConstrainedDrift()")
    if checkpoint is not None:
        check_instance("checkpoint", checkpoint, CheckpointStore, "a brenier.Checkpoint")
    if initial is None:
        initial = _default_initial(method, source, jax.random.fold_in(key, 1))
    check_instance("initial", initial, AbstractMap, "a map, as maps.GradientMap(potential)")
    for name, measure in (("source", source), ("target", target)):
        if measure.dimension != initial.dimension:
            raise ValueError(
                f"{name}: got dimension {measure.dimension}; wants {initial.dimension}, "
                "the dimension of the initial map."
            )
    run_key, metric_key = jax.random.split(key)
    if metric is None:
        metric = _energy_distance(source, target, metric_key)
    started = time.perf_counter()
    pace: Counted | Timed = Counted(method.steps, blocks)
    if seconds is not None:
        pace = Timed(blocks, seconds, started + seconds)
    run = _start(source, target, method, initial, run_key, metric, pace.blocks)
    if checkpoint is not None:
        run = checkpoint.load(run) or run
    done, steps = int(run.blocks), int(run.steps)
    result = Result.successful
    try:
        if isinstance(pace, Timed) and not pace.over(done):
            # Compilation is not the pace of a step.
            _steps(method, run.state, source, target, 0)
            pace.compiled()
        while not pace.over(done):
            count, total = pace.next(done, steps)
            began = time.perf_counter()
            state = _steps(method, lasting(method, run.state, total), source, target, count)
            stepped = time.perf_counter()
            run, value, best, since_best = _looked(run, method, state, count, metric)
            pace.saw(count, stepped - began, time.perf_counter() - stepped)
            done, steps = done + 1, steps + count
            if callback is not None:
                elapsed = time.perf_counter() - started
                current = method.current_map(run.state)
                callback(Progress(steps, total, "learning", value, best, elapsed, current))
            if checkpoint is not None and done % checkpoint.every == 0:
                checkpoint.save(run)
            if not math.isfinite(value):
                result = Result.diverged
                break
            if patience is not None and since_best >= patience:
                result = Result.stopped_early
                break
    except KeyboardInterrupt:
        if checkpoint is not None:
            checkpoint.save(run)
        if throw:
            raise
        result = Result.interrupted
    stats = {
        "steps": int(run.steps),
        "seconds": time.perf_counter() - started,
        "initial": _described(initial),
        "best_metric": float(run.best_metric),
        "history": np.asarray(run.history)[: int(run.blocks) + 1].tolist(),
    }
    return Solution(run.best_map, result, stats).checked(throw)


def _default_initial(method: AbstractMethod, source: AbstractMeasure, key: Key) -> AbstractMap:
    """The start of the method's own choice, in the precision of the source."""
    sample_key, start_key = jax.random.split(key)
    points = source.sample(sample_key, _SEEN)
    return cast_floats(method.default_initial(start_key, points), points.dtype)


def _described(map: AbstractMap) -> str:
    name = type(map).__name__
    return f"{name} of {type(map.potential).__name__}" if isinstance(map, GradientMap) else name


def _start(source, target, method, initial, key, metric, blocks) -> _Run:
    state = method.init(source, target, initial, key=key)
    # The state's own map: a method may start elsewhere than at the initial map.
    first = method.current_map(state)
    value = _measure(metric, first)
    history = jnp.full(blocks + 1, jnp.nan, dtype=value.dtype).at[0].set(value)
    return _Run(state, first, value, jnp.asarray(0), history, jnp.asarray(0), jnp.asarray(0))


def _steps(method, state, source, target, count):
    """The state after so many steps, when it is there: the clock is read next."""
    go = _advance if method.compiled_loop else _step_by_step
    # A traced number: of any length, blocks are one program.
    return jax.block_until_ready(go(method, state, source, target, jnp.asarray(count)))


def _looked(run: _Run, method, state, count, metric) -> tuple[_Run, float, float, int]:
    """The run after a block and the look at it, the metric now and at its best, blocks since.

    The device is handed all of it before the host waits, once, for the three numbers.
    """
    map = method.current_map(state)
    value = _measure(metric, map)
    best_map, best_metric, since, history, blocks, told = _judged(
        value, map, run.best_map, run.best_metric, run.since_best, run.history, run.blocks
    )
    now, best, since_best = np.asarray(told).tolist()
    steps = run.steps + count
    seen = _Run(state, best_map, best_metric, since, history, blocks, steps)
    return seen, now, best, int(since_best)
