"""What is compared: each a function from a pair, a seed and seconds to its errors and its cost."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import brenier
from brenier._progress import Progress
from brenier.experiments._ott import neural_dual, ott_version
from brenier.experiments._process import peak_mib
from brenier.experiments.w2._pairs import Pair, errors, gaussian_map, pair
from brenier.maps import EntropicMap, GradientMap
from brenier.potentials import Preconditioned

_ENOT_BATCH = 1024
_WARM_UP, _TIMED = 20, 300
# What a fit of more than the usual effort may take.
_SECONDS = 600.0
# Points of the entropic map: Sinkhorn's time grows as their square.
_ENTROPIC_POINTS = 4096


def measured(name: str, what: Path | int, seed: int, seconds: float | None) -> dict[str, Any]:
    """One method on one pair, in a process of its own, so that its peak memory is its own."""
    own = pair(what, seed)
    before = time.process_time()
    found = METHODS[name](own, seed, seconds)
    # CPU time of all threads, errors on the test points included: it counts on a shared machine.
    return {**found, "cpu_seconds": time.process_time() - before, "peak_mib": peak_mib()}


def absent(name: str, what: Path | int) -> str | None:
    """Why a method cannot be run here on a pair; None where it can."""
    if name == "brenier_unlimited" and isinstance(what, Path):
        return "no more points than those of the file can be drawn"
    if name == "ott_enot" and ott_version() is None:
        return "ott-jax is not installed (the extra bench brings it)"
    return None


def _ours(own: Pair, seed: int, seconds: float | None) -> dict[str, Any]:
    """``MongeMap`` with its defaults; also what a choice by the truth would have given."""
    seen: list[tuple[float, Any]] = []

    def keep(now: Progress) -> None:
        if isinstance(now.map, GradientMap):  # of the network; other candidates tell no map
            seen.append((now.metric, now.map.potential))

    estimator = brenier.MongeMap(random_state=seed, callback=keep)
    found = _fitted(estimator, (own.x, own.y), own)
    assert isinstance(estimator.map_, GradientMap)  # of points, not of cells
    coordinates = estimator.map_.potential
    assert isinstance(coordinates, Preconditioned)
    truth, path = jnp.asarray(own.t_test), []
    for metric, potential in seen:
        map = GradientMap(dataclasses.replace(coordinates, potential=potential))
        moved = map(jnp.asarray(own.x_test))
        path.append([metric, float(brenier.problems.l2_uvp(moved, truth))])
    best = min(error for _, error in path)
    return {
        **found,
        # The stop by held-out points, against the best stop of all, which needs the truth.
        "l2_uvp_best_stop": best,
        "over_best_stop": found["l2_uvp"] / best,
        "held_out_dual_and_l2_uvp": path,
    }


def _patient(own: Pair, seed: int, seconds: float | None) -> dict[str, Any]:
    """``MongeMap`` with ten minutes."""
    return _with_candidates((own.x, own.y), own, seed)


def _unlimited(own: Pair, seed: int, seconds: float | None) -> dict[str, Any]:
    """The same with points drawn from both laws as it needs them."""
    assert own.laws is not None
    return _with_candidates(own.laws, own, seed)


def _with_candidates(sides: tuple[Any, Any], own: Pair, seed: int) -> dict[str, Any]:
    estimator = brenier.MongeMap(effort=_SECONDS, random_state=seed)
    found = _fitted(estimator, sides, own)
    return {**found, "candidates": estimator.candidates_.to_list()}


def _fitted(estimator: "brenier.MongeMap", sides: tuple[Any, Any], own: Pair) -> dict[str, Any]:
    """Fit to these sides; the errors, the seconds of the fit, and whether it failed."""
    started = time.perf_counter()
    estimator.fit(*sides)
    spent = time.perf_counter() - started
    found = errors(estimator.transform, estimator.inverse_transform, own)
    return {**found, "seconds": spent, "failed": estimator.solution_.result.failed}


def _ott_enot(own: Pair, seed: int, seconds: float | None) -> dict[str, Any]:
    """OTT-JAX's neural dual, for as many seconds as ours took."""
    assert seconds is not None

    def solve(steps: int) -> tuple[Any, float]:
        started = time.perf_counter()
        potentials = neural_dual(own.x, own.y, seed, steps=steps, batch=_ENOT_BATCH)
        return potentials, time.perf_counter() - started

    # Two short runs tell the time of compilation from that of a step; the run before them pays for
    # what is done once in a process.
    solve(_WARM_UP)
    _, warm = solve(_WARM_UP)
    _, timed = solve(_WARM_UP + _TIMED)
    if timed <= warm:
        raise RuntimeError(f"{_TIMED} steps more took no longer ({timed:.1f} s): a busy machine?")
    steps = max(_TIMED, int((seconds - warm) * _TIMED / (timed - warm)))
    potentials, spent = solve(steps)

    def moved(x: np.ndarray, forward: bool) -> Any:
        return potentials.transport(jnp.asarray(x, jnp.float32), forward=forward)

    found = errors(lambda x: moved(x, True), lambda y: moved(y, False), own)
    return {**found, "seconds": spent, "steps": steps}


def _linear(own: Pair, seed: int, seconds: float | None) -> dict[str, Any]:
    """The closed-form map between Gaussians of the same moments."""
    started = time.perf_counter()
    map = gaussian_map(own)
    spent = time.perf_counter() - started
    return {**errors(map, map.inverse(), own), "seconds": spent}


def _entropic(own: Pair, seed: int, seconds: float | None) -> dict[str, Any]:
    """The entropic maps of the first training points, each way, with the default ε."""
    x, y = (np.asarray(cloud[:_ENTROPIC_POINTS], np.float64) for cloud in (own.x, own.y))
    started = time.perf_counter()
    forward = EntropicMap.from_samples(x, y)
    backward = EntropicMap.from_samples(y, x)
    spent = time.perf_counter() - started
    return {**errors(forward, backward, own), "seconds": spent, "points": _ENTROPIC_POINTS}


METHODS: dict[str, Callable[[Pair, int, float | None], dict[str, Any]]] = {
    "brenier": _ours,
    "brenier_patient": _patient,
    "brenier_unlimited": _unlimited,
    "ott_enot": _ott_enot,
    "linear": _linear,
    "entropic": _entropic,
}
