"""Known Monge maps: ``MongeMap`` with its defaults beside OTT-JAX's expectile-regularised dual.

    .venv-bench/bin/brenier bench known_maps_peers --json      (needs the extra ``bench``)

The same 16,384 + 16,384 unpaired points, the same seconds, one after the other in one run: the
rival's steps are as many as fit into the seconds that our fit took, compilation included in both.
"""

import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from brenier.cli import register_experiments
from brenier.cli._console import ProgressReport

_BATCH = 1024
_WARM_UP, _TIMED = 20, 100


def main(
    out: Path, seed: int, seeds: int | None, data: list[Path] | None, progress: ProgressReport
) -> dict[str, Any]:
    """Every problem: L2-UVP in per cent, cosine and seconds of ours, of the rival, of the line."""
    register_experiments()
    known_maps = importlib.import_module("brenier._experiments.dlv26.known_maps")
    makers: list[tuple[Any, tuple[Any, ...]]] = [
        (known_maps.random_clouds, (d, seed)) for d in known_maps.DIMENSIONS
    ]
    makers += [(known_maps.benchmark_clouds, (path,)) for path in data or []]
    problems: dict[str, Any] = {}
    for index, (maker, arguments) in enumerate(makers):
        clouds = maker(*arguments)
        progress(2 * index, 2 * len(makers), f"{clouds.name}: MongeMap")
        ours = known_maps.fitted(clouds, seed)
        progress(2 * index + 1, 2 * len(makers), f"{clouds.name}: OTT-JAX")
        problems[clouds.name] = {
            "brenier": ours,
            "ott_enot": _expectile_dual(clouds, ours["seconds"], seed, known_maps.errors),
            "linear": known_maps.errors(known_maps.gaussian_map(clouds), clouds),
        }
    return {"problems": problems}


def _expectile_dual(clouds: Any, seconds: float, seed: int, errors: Any) -> dict[str, Any]:
    """OTT-JAX's ``ExpectileNeuralDual`` with its defaults, for so many seconds."""
    from ott.neural.methods.expectile_neural_dual import ExpectileNeuralDual

    def batches(points: np.ndarray, stream: int) -> Iterator[jnp.ndarray]:
        random = np.random.default_rng([seed, stream])
        while True:
            yield jnp.asarray(points[random.integers(len(points), size=_BATCH)], jnp.float32)

    def solve(steps: int) -> tuple[Any, float]:
        started = time.perf_counter()
        solver = ExpectileNeuralDual(clouds.x.shape[1], num_train_iters=steps, valid_freq=10**9)
        potentials = solver(*(batches(points, i) for i, points in
                              enumerate((clouds.x, clouds.y, clouds.x, clouds.y))))  # fmt: skip
        return potentials, time.perf_counter() - started

    # Two short runs tell the time of compilation from that of a step.
    _, warm = solve(_WARM_UP)
    _, timed = solve(_WARM_UP + _TIMED)
    steps = max(_TIMED, int((seconds - warm) / max((timed - warm) / _TIMED, 1e-6)))
    potentials, spent = solve(steps)
    moved = errors(lambda x: potentials.transport(jnp.asarray(x, jnp.float32)), clouds)
    return {**moved, "steps": steps, "seconds": spent}
