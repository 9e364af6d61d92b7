"""What is measured on an accelerator: the parts, and the device."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import brenier
from brenier.experiments.peers._gpu_digits import (
    compiled_seconds,
    digits_of_conjugates,
    digits_of_held_out_dual,
    timed,
    transport,
)
from brenier.experiments.w2._pairs import Pair, errors, pair, sampled
from brenier.flows import SemiDual, advance
from brenier.maps import GradientMap
from brenier.measures import Empirical
from brenier.numerics import cast_floats
from brenier.potentials import ICNN
from brenier.problems import convex_networks

# The fit of D = 16 on two cores, and what is aimed at (docs/choices.md).
_ON_CPU = {"l2_uvp": 0.60, "cpu_seconds": 300}
_TARGET = 60.0
# Milliseconds of 100 iterations of FlashSinkhorn at d = 64, on an A100.
_FLASH = {5_000: 24.0, 10_000: 61.0, 50_000: 1450.0}
_RATIOS = (0.05, 0.01)
_ROOMS = ("numerics", "potentials", "maps", "functionals", "estimators", "exact")
_SUMMARY = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


@dataclass(frozen=True)
class Task:
    """The seed, the files that are read, and whether sizes are a CPU's."""

    seed: int = 0
    data: tuple[Path, ...] = ()
    small: bool = False


class Measured(NamedTuple):
    """How a part is measured, row by row; its limit in seconds; whether it computes by JAX."""

    measure: Callable[[Task], Iterator[dict[str, Any]]]
    limit: float
    on_device: bool = True


def device() -> dict[str, Any]:
    """The device, its memory, and JAX's version."""
    first = jax.local_devices()[0]
    memory = (first.memory_stats() or {}).get("bytes_limit")  # none of a CPU
    return {
        "device": first.device_kind,
        "platform": first.platform,
        "devices": jax.local_device_count(),
        "memory_gib": None if memory is None else memory / 2**30,
        "jax": jax.__version__,
        "cores": os.cpu_count(),
    }


def _fit_d64(task: Task) -> Iterator[dict[str, Any]]:
    """The family of the Wasserstein-2 benchmark in d = 64, three minutes of effort."""
    dimension, effort = (4, 3.0) if task.small else (64, 180.0)
    yield _fitted(_networks(task, dimension), brenier.MongeMap(effort=effort))


def _fit_d16(task: Task) -> Iterator[dict[str, Any]]:
    """The defaults on the benchmark's own pair, where its file is given."""
    if task.data:
        found = _fitted(pair(task.data[0], task.seed), brenier.MongeMap())
        beside = _ON_CPU if task.data[0].stem == "w2bench_D16" else {}
    else:
        found = _fitted(_networks(task, 4 if task.small else 16), brenier.MongeMap())
        beside = {}
    yield {**found, "target_seconds": _TARGET, "on_cpu": beside}


def _networks(task: Task, dimension: int) -> Pair:
    problem = convex_networks(dimension)
    return sampled(problem, task.seed, 400, 200) if task.small else sampled(problem, task.seed)


def _fitted(own: Pair, estimator: "brenier.MongeMap") -> dict[str, Any]:
    before, started = compiled_seconds(), time.perf_counter()
    estimator.set_params(random_state=0).fit(own.x, own.y)
    seconds = time.perf_counter() - started
    return {
        "pair": own.name,
        "n": len(own.x),
        "seconds": seconds,
        "compile_seconds": compiled_seconds() - before,
        **errors(estimator.transform, estimator.inverse_transform, own),
        "chosen": estimator.candidates_.sentence,
        "steps": estimator.solution_.stats.get("steps"),
        "peak_gib": _peak_gib(),
    }


def _peak_gib() -> float | None:
    peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return None if peak is None else peak / 2**30


def _sinkhorn(task: Task) -> Iterator[dict[str, Any]]:
    """To a marginal error of 1e-3, as asked for and as it is."""
    for n in (300, 600) if task.small else _FLASH:
        for ratio in _RATIOS:
            found = transport(n, 8 if task.small else 64, ratio, task.seed)
            flash = {} if task.small else {"flash_a100_ms_100_iterations": _FLASH[n]}
            yield {**found, **flash}


def _audit(task: Task) -> Iterator[dict[str, Any]]:
    """A network's map, first and again."""
    n, d = (200, 3) if task.small else (2000, 10)
    keys = jax.random.split(jax.random.key(task.seed), 3)
    map = GradientMap(ICNN.identity(keys[0], d, (64, 64), activation="squareplus"))
    x, y = (jax.random.normal(key, (n, d)) for key in keys[1:])
    laps = []
    for _ in range(2):
        found, seconds = timed(lambda: brenier.audit(map, x, map(y), key=keys[0]))
        laps.append(seconds)
    said = {"optimality": found.verdict.optimality, "target": found.verdict.target}
    first, again = laps
    yield {"n": n, "dimension": d, "first_seconds": first, "seconds": again, **said}


def _precision(task: Task) -> Iterator[dict[str, Any]]:
    """What is said in float32 against what it is in float64."""
    n, count, d = (300, 64, 4) if task.small else (10_000, 8192, 64)
    yield {"of": "sinkhorn", **transport(n, 3, _RATIOS[0], task.seed)}
    yield {"of": "conjugates", **digits_of_conjugates(count, min(d, 16), task.seed)}
    yield {"of": "held-out dual", **digits_of_held_out_dual(count, d, task.seed)}


def _step(task: Task) -> Iterator[dict[str, Any]]:
    """A step of ``MongeMap``'s training by itself, in the compiled loop."""
    points, batch, count = (256, 64, 3) if task.small else (16_384, 1024, 200)
    for d in (2, 4) if task.small else (2, 16, 64):
        keys = jax.random.split(jax.random.key(task.seed), 3)
        method = SemiDual(steps=4096, batch=batch)
        pieces, sharpness = int(np.clip(16 * d, 32, 128)), float(np.clip(20.0 / d, 2.0, 10.0))
        network = ICNN.identity(
            keys[0], d, (128, 128), activation="squareplus", pieces=pieces, sharpness=sharpness
        )
        x, y = (Empirical(jax.random.normal(key, (points, d), np.float32)) for key in keys[1:])
        start = GradientMap(cast_floats(network, jnp.float32))
        state = method.init(x, y, start, key=keys[0])
        block = eqx.filter_jit(advance)
        state, first = timed(lambda: block(method, state, x, y, count))  # noqa: B023
        _, again = timed(lambda: block(method, state, x, y, count))  # noqa: B023
        yield {
            "dimension": d,
            "batch": batch,
            "compile_seconds": first - again,
            "ms_a_step": 1e3 * again / count,
        }


def _tests(task: Task) -> Iterator[dict[str, Any]]:
    """The tests of each room, in a process of its own."""
    home = Path(brenier.__file__).parents[2]
    for room in _ROOMS[-1:] if task.small else _ROOMS:
        if not (home / "tests" / room).is_dir():
            yield {"room": room, "absent": f"{home / 'tests' / room}"}
            continue
        started = time.perf_counter()
        asked = [sys.executable, "-m", "pytest", "-rfE", f"tests/{room}"]
        run = subprocess.run(asked, cwd=home, capture_output=True, text=True)
        lines = run.stdout.strip().splitlines() or [""]
        counts = {kind: int(count) for count, kind in _SUMMARY.findall(lines[-1])}
        failures = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        seconds = time.perf_counter() - started
        yield {"room": room, **counts, "seconds": seconds, "failures": failures[:20]}


PARTS: dict[str, Measured] = {
    "fit-d64": Measured(_fit_d64, 260.0),
    "fit-d16": Measured(_fit_d16, 150.0),
    "sinkhorn": Measured(_sinkhorn, 200.0),
    "audit": Measured(_audit, 90.0),
    "precision": Measured(_precision, 90.0),
    "step": Measured(_step, 90.0),
    "tests": Measured(_tests, 400.0, on_device=False),
}
