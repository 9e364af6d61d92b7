"""The driver: determinism, checkpoints, interruption, failure."""

import re
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.array import ArrayImpl

from brenier import Checkpoint, Result, SolveError, solve
from brenier.flows import (
    ConstrainedDrift,
    Distillation,
    EuclideanDescent,
    FlowMatching,
    HeldOutDual,
    KLNewton,
    MirrorFlow,
    ParabolicMongeAmpere,
    SemiDual,
    WassersteinNatural,
    _driver,
    _pace,
    check_method,
)
from brenier.flows._method import lasting
from brenier.images import DDPM
from brenier.maps import GradientMap
from brenier.measures import Empirical, Gaussian
from brenier.potentials import ICNN, LogSumExp, Quadratic
from brenier.problems import affine

_PROBLEM = affine()
_METHOD = ConstrainedDrift(steps=8, particles=40)
_START = GradientMap(LogSumExp.identity(jax.random.key(1), 2, 6))


def _solve(**changes):
    arguments = {"method": _METHOD, "initial": _START, "key": jax.random.key(0), "blocks": 4}
    return solve(_PROBLEM.source, _PROBLEM.target, **(arguments | changes))


def _leaves(map):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(map, eqx.is_array))]


def _same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(_leaves(first), _leaves(second), strict=True))


@pytest.mark.slow
def test_the_same_key_gives_the_same_map_bit_for_bit():
    first, second = _solve(), _solve()
    assert first.result is Result.successful
    assert _same(first.map, second.map)
    assert not _same(first.map, _solve(key=jax.random.key(1)).map)


def test_the_best_map_seen_is_returned():
    solution = _solve()
    assert solution.stats["best_metric"] == min(solution.stats["history"])
    assert solution.stats["steps"] == 8
    assert len(solution.stats["history"]) == 5


def test_a_callback_sees_every_block():
    seen = []
    _solve(callback=seen.append)
    assert [progress.step for progress in seen] == [2, 4, 6, 8]
    assert all(progress.steps == 8 for progress in seen)


def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path):
    whole = _solve()
    store = Checkpoint(tmp_path / "run.ckpt", every=100)

    def stop(progress):
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _solve(callback=stop, checkpoint=store)
    resumed = _solve(checkpoint=store)
    assert _same(whole.map, resumed.map)
    assert resumed.stats["history"] == whole.stats["history"]


def test_an_interruption_is_a_result_where_nothing_is_thrown():
    def stop(progress):
        raise KeyboardInterrupt

    solution = _solve(callback=stop, throw=False)
    assert solution.result is Result.interrupted
    assert solution.stats["steps"] == 2


@pytest.mark.parametrize(
    "method",
    [
        ConstrainedDrift(),
        Distillation(),
        EuclideanDescent(),
        KLNewton(),
        MirrorFlow(),
        ParabolicMongeAmpere(),
        SemiDual(),
        WassersteinNatural(),
    ],
    ids=lambda method: type(method).__name__,
)
def test_a_method_chooses_a_start_near_the_identity(method):
    x = 3.0 * jax.random.normal(jax.random.key(2), (200, 2))
    map = method.default_initial(jax.random.key(3), x)
    assert isinstance(map.potential, ICNN)
    off = jnp.mean(jnp.sum((map(x) - x) ** 2, axis=1)) / jnp.mean(jnp.sum(x**2, axis=1))
    # In mean square over the source's points: random units bend it a little everywhere.
    assert off < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        ConstrainedDrift(steps=2, particles=40),
        Distillation(steps=2),
        EuclideanDescent(steps=2, particles=40),
        KLNewton(steps=2),
        MirrorFlow(steps=2),
        ParabolicMongeAmpere(steps=2),
        SemiDual(steps=2),
        WassersteinNatural(steps=2),
    ],
    ids=lambda method: type(method).__name__,
)
def test_without_an_initial_map_a_method_starts_by_itself_and_says_from_where(method):
    source, target = _PROBLEM.source, _PROBLEM.target
    if isinstance(method, SemiDual | Distillation):
        source, target = (Empirical(m.sample(jax.random.key(4), 200)) for m in (source, target))
    solution = solve(source, target, method=method, key=jax.random.key(0), blocks=1)
    assert solution.stats["initial"] == "GradientMap of ICNN"
    assert solution.stats["best_metric"] <= solution.stats["history"][0]


def test_methods_of_networks_with_a_format_want_an_initial_map():
    for method in (DDPM(), FlowMatching()):
        with pytest.raises(ValueError, match="initial: got None; wants the"):
            _solve(method=method, initial=None)


_OF_ANOTHER_KIND = """
import jax, numpy as np, brenier
from brenier.flows import ConstrainedDrift

problem = brenier.problems.affine()
right = {
    "source": problem.source, "target": problem.target, "method": ConstrainedDrift(),
    "key": jax.random.key(0),
}
for changes in (
    {"method": 3}, {"method": ConstrainedDrift}, {"initial": lambda x: x}, {"checkpoint": "run"},
    {"patience": 0}, {"key": 0}, {"key": jax.random.split(jax.random.key(0))},
    {"source": np.zeros((5, 2))}, {"target": np.zeros((5, 2))},
):
    try:
        brenier.solve(**right | changes)
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
def test_what_is_of_another_kind_is_named():
    """In a process of its own: here beartype would refuse it first."""
    run = subprocess.run(
        [sys.executable, "-c", _OF_ANOTHER_KIND], check=True, capture_output=True, text=True
    )
    wish = "a measure (of points (n, d), measures.Empirical(x))."
    assert run.stdout.splitlines() == [
        "method: got int; wants a method, as flows.ConstrainedDrift().",
        "method: got the class ConstrainedDrift; wants a method, as flows.ConstrainedDrift().",
        "initial: got function; wants a map, as maps.GradientMap(potential).",
        "checkpoint: got str; wants a brenier.Checkpoint.",
        "patience: got 0; wants an integer of at least 1.",
        "key: got int; wants a JAX random key (jax.random.key(0)).",
        "key: got (2,) keys; wants one JAX random key.",
        f"source: got ndarray; wants {wish}",
        f"target: got ndarray; wants {wish}",
    ]


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("semidual", "flows.SemiDual()"),
        ("Semi-Dual", "flows.SemiDual()"),
        ("kl_newton", "flows.KLNewton()"),
        ("constrained drift", "flows.ConstrainedDrift()"),
        ("mirrorflow", "flows.MirrorFlow()"),
        ("flow matchign", "flows.FlowMatching()"),
        ("ddpm", "images.DDPM()"),
        ("simplex", "flows.KLNewton()"),
        ("", "flows.KLNewton()"),
    ],
)
def test_a_name_is_answered_with_the_method_that_is_called_so(name, method):
    said = f"method: got the name {name!r}; wants a method, as {method}."
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        check_method(name, "flows.KLNewton()")


def _told(values):
    """A metric of these values, one after the other."""
    left = iter(values)
    number = jax.ShapeDtypeStruct((), jnp.float64)
    return lambda map: jax.pure_callback(lambda: np.asarray(next(left)), number)


def test_success_says_that_all_steps_were_taken_and_the_metric_what_came_of_them():
    worse = _solve(metric=_told([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert worse.result is Result.successful
    assert worse.stats["best_metric"] == worse.stats["history"][0] == 1.0
    assert _same(worse.map, _START)


def test_a_metric_of_nan_loses_to_any_number():
    solution = _solve(metric=_told([np.nan, np.nan, 3.0, 2.0, 2.5]), throw=False)
    assert solution.result is Result.diverged  # NaN after a block ends it
    first = _solve(metric=_told([np.nan, 3.0, 2.0, 2.5, 2.0]))
    assert first.stats["best_metric"] == 2.0
    assert np.array_equal(first.stats["history"], [np.nan, 3.0, 2.0, 2.5, 2.0], equal_nan=True)
    assert not _same(first.map, _START)


class _Steepness(eqx.Module):
    """A metric that tells when it is compiled."""

    traced: list = eqx.field(static=True)
    point: jax.Array

    def __call__(self, map):
        self.traced.append(1)
        return jnp.sum(map(self.point) ** 2)


def test_a_metric_with_fields_is_compiled_once_for_all_its_points():
    traced = _Traced()
    for k in range(3):
        _solve(metric=_Steepness(traced, jnp.ones((2, 2)) * k), blocks=2)
    assert len(traced) == 1


class _Traced(list):
    """A list that is what it is: equal to itself alone, as a static field must be."""

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other


@pytest.fixture
def reads(monkeypatch):
    """How often the host has waited for a number of an array, ``np.asarray`` apart."""
    seen = []
    value = ArrayImpl._value

    def read(self):
        seen.append(1)
        return value.fget(self)

    monkeypatch.setattr(ArrayImpl, "_value", property(read))
    return seen


def test_the_host_reads_no_number_of_a_block_by_itself(reads, monkeypatch):
    counts, together = [], []
    whole = np.asarray

    def told(array, *args, **kwargs):
        if isinstance(array, jax.Array):
            together.append(1)
        return whole(array, *args, **kwargs)

    monkeypatch.setattr(_driver.np, "asarray", told)
    for blocks in (4, 8):
        _solve(blocks=blocks, patience=8)  # compiling reads constants
        reads.clear()
        together.clear()
        _solve(blocks=blocks, patience=8)
        counts.append((len(reads), len(together)))
    (alone, at_once), (alone_of_more, at_once_of_more) = counts
    # The same few before and after, whatever the number of blocks; one look at each block.
    assert alone_of_more == alone
    assert at_once_of_more - at_once == 4


def test_divergence_is_named_and_the_best_map_kept():
    method = EuclideanDescent(name="sgd", learning_rate=1e6, steps=8, particles=40)
    with pytest.raises(SolveError, match="smaller step size") as error:
        _solve(method=method)
    assert error.value.solution.result is Result.diverged
    assert all(np.isfinite(leaf).all() for leaf in _leaves(error.value.solution.map))
    assert _solve(method=method, throw=False).result is Result.diverged


def test_patience_stops_early():
    solution = _solve(metric=_told([1.0, 0.5, 0.7, 0.8, 0.1]), patience=2)
    assert solution.result is Result.stopped_early
    assert solution.stats["best_metric"] == 0.5


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"blocks": 0}, "blocks: got 0"),
        ({"initial": GradientMap(LogSumExp.identity(jax.random.key(1), 3, 6))}, "source: got dim"),
    ],
)
def test_arguments_are_checked(changes, match):
    with pytest.raises(ValueError, match=match):
        _solve(**changes)


def test_a_target_without_density_is_refused_by_the_kl():
    cloud = Empirical(jnp.eye(2))
    with pytest.raises(ValueError, match="target: got Empirical, which has no density"):
        solve(Gaussian.standard(2), cloud, method=_METHOD, initial=_START, key=jax.random.key(0))


@pytest.mark.slow
def test_seconds_take_as_many_steps_as_they_leave_time_for():
    x = Empirical(np.linspace(-1.0, 1.0, 64)[:, None])
    y = Empirical(2.0 * x.points)
    told = []
    solution = solve(
        x,
        y,
        method=SemiDual(steps=3, batch=16, learning_rate=0.1),
        initial=GradientMap(Quadratic.identity(1)),
        key=jax.random.key(0),
        metric=HeldOutDual(x.points, y.points),
        blocks=5,
        seconds=5.0,
        callback=told.append,
    )
    steps = [now.step for now in told]
    assert steps == sorted(set(steps))
    assert steps[-1] == told[-1].steps == solution.stats["steps"] > 100
    assert solution.stats["best_metric"] < solution.stats["history"][0]
    # The looks are compiled within the seconds too, but a slow machine may be late.
    assert solution.stats["seconds"] < 40.0


@pytest.mark.parametrize("step", [0.001, 0.05])
@pytest.mark.parametrize("look", [0.0, 0.1, 4.0, 40.0])
def test_looks_take_little_of_the_seconds(monkeypatch, step, look):
    now = 0.0
    monkeypatch.setattr(_pace.time, "perf_counter", lambda: now)
    pace, steps, done, total = _pace.Timed(12, 100.0, 100.0), 0, 0, 0
    while not pace.over(done):
        count, total = pace.next(done, steps)
        slower = 1.0 + 0.1 * (done % 2)
        now += slower * (count * step + look)
        pace.saw(count, slower * count * step, slower * look)
        steps, done = steps + count, done + 1
    assert steps == total  # the schedule was ended
    assert done == 2 or done * look <= 0.25 * 100.0
    assert done == 12 or look >= 1.0
    assert 90.0 < now < 111.0


@pytest.mark.slow
def test_the_schedule_ends_with_the_steps_that_time_leaves():
    method = SemiDual(steps=3)
    x = Empirical(np.linspace(-1.0, 1.0, 20)[:, None])
    state = method.init(x, x, GradientMap(Quadratic.identity(1)), key=jax.random.key(0))
    assert int(state.steps) == 3
    assert int(lasting(method, state, 500).steps) == 500


def test_seconds_must_be_positive():
    with pytest.raises(ValueError, match=r"seconds: got -1\.0"):
        _solve(seconds=-1.0)
