"""Sinkhorn between two clouds of 20,000 points in 3-D, in bounded memory, beside OTT-JAX and POT.

    brenier reproduce peers-sample-sinkhorn --json      (needs the extra ``bench``)
    python -m brenier.experiments.peers.sample_sinkhorn --n 5000 --ratio 0.01

The cost is ½‖x − y‖² and ε is ``ratio`` times its mean; OTT's and POT's squared distance takes 2ε.
OTT runs first, to an L1 error of 1e-3 of one marginal, at the fastest of two batch sizes with and
without its adaptive momentum, chosen on 2000 points. The error of the plan it hands back, both
marginals together, is then computed by the same code for all, and is the tolerance that ours is
given. Compilation is not timed; runs alternate, and the least time of each counts. POT's lazy
solver makes the same iterates as OTT's plain one: one of them is timed, and the rest is their
number (on the 2000 points) times that. The peak of resident memory is that of a process of its own,
compilation included, after a few iterations (more take no more); ``floor_mib`` is what it held
before, libraries and points.
"""

import argparse
import itertools
import json
import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._arithmetic import keep_own_arithmetic
from brenier._progress import Progress, ProgressCallback
from brenier.experiments._ott import require_ott
from brenier.experiments._process import peak_mib, run_module
from brenier.experiments._run import Run
from brenier.numerics import SinkhornResult, entropic_potential, sinkhorn

TIME = "tens of minutes"

_TOLERANCE, _MOST = 1e-3, 5000
_BATCHES = (128, 1024)
_MOMENTUM_FROM = 20
_POT_ITERATIONS, _POT_BATCH = 1, 1000
# The number of points on which OTT's settings are chosen.
_CHOICE = 2000
# Iterations of a run whose memory is measured.
_FEW = 10


def main(run: Run) -> dict[str, Any]:
    """Both precisions at 20,000 points; ``--seeds`` counts timed runs (2 by default)."""
    return measure(run.progress, seed=run.seed, runs=run.seeds_or(2))


def measure(
    progress: ProgressCallback,
    *,
    n: int = 20_000,
    dimension: int = 3,
    ratio: float = 0.05,
    runs: int = 2,
    seed: int = 0,
    dtypes: tuple[str, ...] = ("float32", "float64"),
) -> dict[str, Any]:
    """Seconds, iterations and error of each, in both precisions, and the ratios."""
    require_ott()
    report: dict[str, Any] = {
        "n": n,
        "dimension": dimension,
        "epsilon_over_mean_cost": ratio,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg(),
    }
    for i, dtype in enumerate(dtypes):
        progress(Progress(i, len(dtypes), dtype))
        report[dtype] = _measured(n, dimension, ratio, runs, seed, dtype)
    report["load_after"] = os.getloadavg()
    return report


def _measured(
    n: int, dimension: int, ratio: float, runs: int, seed: int, dtype: str
) -> dict[str, Any]:
    x, y, spread = _clouds(n, dimension, dtype, seed)
    epsilon = ratio * spread
    tried = {}
    for batch, momentum in itertools.product(_BATCHES, (False, True)):
        run = _ott(x[:_CHOICE], y[:_CHOICE], epsilon, batch, momentum)
        _timed(run)
        (_, _, count), took = _timed(run)
        tried[batch, momentum] = took, int(count)
    best = min(tried, key=lambda setting: tried[setting][0])
    theirs = _ott(x, y, epsilon, *best)
    size = [
        "--n",
        str(n),
        "--dimension",
        str(dimension),
        "--ratio",
        str(ratio),
        "--seed",
        str(seed),
        "--dtypes",
        dtype,
        "--batch",
        str(best[0]),
    ]
    memory = {name: run_module(__spec__.name, ["--peak", name, *size]) for name in _PEAKS}
    seconds: dict[str, list[float]] = {"ott": [], "ours": []}
    (f, g, iterations), took = _timed(theirs)
    seconds["ott"].append(took)
    error = _error(x, y, f, g, epsilon)
    ours = partial(sinkhorn, x, y, epsilon=epsilon, tolerance=error, max_iterations=_MOST)
    _timed(ours)
    for turn in range(runs):
        result, took = _timed(ours)
        seconds["ours"].append(took)
        if turn > 0:
            seconds["ott"].append(_timed(theirs)[1])
    assert isinstance(result, SinkhornResult)
    plain = tried[best[0], False][1]
    pot = _pot(x, y, epsilon)
    least = {name: min(times) for name, times in seconds.items()}
    pot_total = pot * plain
    return {
        "ours": {
            "seconds": least["ours"],
            "iterations": int(result.iterations),
            "error": _error(x, y, result.f, result.g, epsilon),
            "converged": bool(result.converged),
            **memory["ours"],
        },
        "ott": {
            "seconds": least["ott"],
            "iterations": int(iterations),
            "error": error,
            "batch": best[0],
            "momentum": best[1],
            "tried": {
                f"{b}, {'momentum' if m else 'plain'}": value for (b, m), value in tried.items()
            },
            **memory["ott"],
        },
        "pot": {
            "seconds_per_iteration": pot,
            "iterations": plain,
            "seconds": pot_total,
            **memory["pot"],
        },
        "ott_over_ours": least["ott"] / least["ours"],
        "pot_over_ours": pot_total / least["ours"],
        "better_over_ours": min(least["ott"], pot_total) / least["ours"],
    }


def _clouds(n: int, dimension: int, dtype: str, seed: int) -> tuple[jax.Array, jax.Array, float]:
    """A Gaussian and a stretched, shifted one, and the mean of ½‖x − y‖² about the centres."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dimension))
    y = 1.0 + rng.standard_normal((n, dimension)) * np.linspace(0.5, 2.0, dimension)
    spread = 0.5 * float(x.var(axis=0).sum() + y.var(axis=0).sum())
    return jnp.asarray(x, dtype), jnp.asarray(y, dtype), spread


def _ott(
    x: jax.Array, y: jax.Array, epsilon: float, batch: int, momentum: bool, most: int = _MOST
) -> Callable[[], Any]:
    from jax._src.interpreters import batching
    from ott.geometry import pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import acceleration
    from ott.solvers.linear import sinkhorn as ott_sinkhorn

    # OTT-JAX 0.6 looks for it where JAX 0.10 no longer shows it, and only when it batches.
    if "is_vmappable" not in vars(jax.interpreters.batching):
        vars(jax.interpreters.batching)["is_vmappable"] = batching.is_vmappable

    @jax.jit
    def run(x, y):
        geometry = pointcloud.PointCloud(x, y, epsilon=2.0 * epsilon, batch_size=batch)
        solver = ott_sinkhorn.Sinkhorn(
            threshold=_TOLERANCE,
            max_iterations=most,
            momentum=acceleration.Momentum(start=_MOMENTUM_FROM if momentum else 0),
        )
        out = solver(linear_problem.LinearProblem(geometry))
        # Potentials of the squared distance, weights inside.
        return 0.5 * out.f, 0.5 * out.g, out.n_iters

    # As its users of float32 run it: with x64 on, its momentum mixes precisions.
    with jax.enable_x64(x.dtype == jnp.float64):
        compiled = run.lower(x, y).compile()

    def scaled():
        with jax.enable_x64(x.dtype == jnp.float64):
            f, g, count = jax.block_until_ready(compiled(x, y))
        shift = jnp.asarray(epsilon * np.log(x.shape[0]), x.dtype)
        return f + shift, g + shift, count

    return scaled


def _pot(x: jax.Array, y: jax.Array, epsilon: float) -> float:
    """Seconds of one lazy iteration, the check of the error left out."""
    import ot

    a, b = np.asarray(x), np.asarray(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = time.perf_counter()
        ot.bregman.empirical_sinkhorn(
            a, b, 2.0 * epsilon, isLazy=True, batchSize=_POT_BATCH, numIterMax=_POT_ITERATIONS
        )
    return (time.perf_counter() - started) / _POT_ITERATIONS


def _error(x: jax.Array, y: jax.Array, f: jax.Array, g: jax.Array, epsilon: float) -> float:
    """The L1 error of both marginals of a plan exp((f + g − c)/ε)/nm, whoever made it."""
    x, y, f, g = (jnp.asarray(value, jnp.float64) for value in (x, y, f, g))
    gaps = (
        f - entropic_potential(x, y, g, epsilon=epsilon),
        g - entropic_potential(y, x, f, epsilon=epsilon),
    )
    return float(sum(jnp.mean(jnp.abs(jnp.expm1(gap / epsilon))) for gap in gaps))


def _peak(
    name: str, n: int, dimension: int, ratio: float, seed: int, dtype: str, batch: int
) -> dict[str, float]:
    """The peak of memory of this process after a few iterations of one of them."""
    x, y, spread = _clouds(n, dimension, dtype, seed)
    floor = peak_mib()
    _PEAKS[name](x, y, ratio * spread, batch)
    return {"peak_mib": peak_mib(), "floor_mib": floor}


_PEAKS: dict[str, Callable[[jax.Array, jax.Array, float, int], Any]] = {
    "ours": lambda x, y, epsilon, batch: jax.block_until_ready(
        sinkhorn(x, y, epsilon=epsilon, tolerance=_TOLERANCE, max_iterations=_FEW)
    ),
    "ott": lambda x, y, epsilon, batch: _ott(x, y, epsilon, batch, momentum=False, most=_FEW)(),
    "pot": lambda x, y, epsilon, batch: _pot(x, y, epsilon),
}


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = jax.block_until_ready(call())
    return result, time.perf_counter() - started


def command() -> None:
    """The same from a shell, of any size."""
    keep_own_arithmetic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20_000, help="points of each cloud")
    parser.add_argument("--dimension", type=int, default=3)
    parser.add_argument("--ratio", type=float, default=0.05, help="epsilon over the mean cost")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float64"])
    parser.add_argument("--peak", choices=sorted(_PEAKS), help="only the memory of this one")
    parser.add_argument("--batch", type=int, default=_BATCHES[0], help="OTT's, with --peak")
    given = vars(parser.parse_args())
    name, batch = given.pop("peak"), given.pop("batch")
    if name is None:
        print(json.dumps(measure(lambda *_: None, **given), indent=2))
        return
    dtype = given.pop("dtypes")[0]
    del given["runs"]
    print(json.dumps(_peak(name, **given, dtype=dtype, batch=batch)))


if __name__ == "__main__":
    command()
