"""Sinkhorn between two large clouds in bounded memory, and against POT where POT fits.

    brenier reproduce peers-sinkhorn-memory --json        (20,000 x 20,000)
    python -m brenier.experiments.peers.sinkhorn_memory --n 100000 --dtype float32

Seconds (compilation included), iterations, marginal error and peak memory of the large problem;
then both solvers in float64 at ``--pot-n`` points, to the same marginal error.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from brenier._arithmetic import keep_own_arithmetic
from brenier._progress import Progress, ProgressCallback
from brenier.experiments._process import peak_mib
from brenier.experiments._run import Run
from brenier.numerics import SinkhornResult, sinkhorn

TIME = "minutes"


def clouds(n: int, dimension: int, dtype: str, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """A Gaussian and a stretched, shifted one, and the mean of ½‖x − y‖² about the centres."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dimension))
    y = 1.0 + rng.standard_normal((n, dimension)) * np.linspace(0.5, 2.0, dimension)
    spread = 0.5 * float(x.var(axis=0).sum() + y.var(axis=0).sum())
    return x.astype(dtype), y.astype(dtype), spread


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a call and its seconds."""
    start = time.perf_counter()
    result = jax.block_until_ready(call())
    return result, time.perf_counter() - start


def large(
    n: int, dimension: int, ratio: float, tolerance: float, dtype: str, seed: int
) -> dict[str, Any]:
    """The large problem, streamed."""
    x, y, spread = clouds(n, dimension, dtype, seed)
    before = peak_mib()
    result, seconds = timed(lambda: sinkhorn(x, y, epsilon=ratio * spread, tolerance=tolerance))
    return {
        "n": n,
        "dimension": dimension,
        "dtype": dtype,
        "epsilon_over_mean_cost": ratio,
        "tolerance": tolerance,
        "seconds": seconds,
        "iterations": int(result.iterations),
        "marginal_error": float(result.error),
        "converged": bool(result.converged),
        "peak_memory_mib": peak_mib(),
        "peak_memory_before_mib": before,
        "kernel_matrix_mib": n * n * x.itemsize / 2**20,
    }


def against_pot(
    n: int, dimension: int, ratio: float, tolerance: float, seed: int
) -> dict[str, Any]:
    """Both solvers in float64 at n points; ours compiled, and to POT's error where that is less."""
    import ot

    x, y, spread = clouds(n, dimension, "float64", seed)
    epsilon, weights = ratio * spread, np.full(n, 1.0 / n)

    def pot() -> np.ndarray:
        # Ours starts from the points, so POT's cost matrix is timed too. POT measures L2 errors.
        cost = 0.5 * ot.dist(x, y)
        return ot.sinkhorn(
            weights,
            weights,
            cost,
            epsilon,
            method="sinkhorn",
            stopThr=tolerance / np.sqrt(n),
            numItermax=10_000,
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan, pot_seconds = timed(pot)
    pot_error = float(np.abs(plan.sum(0) - weights).sum() + np.abs(plan.sum(1) - weights).sum())

    def ours() -> SinkhornResult:
        return sinkhorn(x, y, epsilon=epsilon, tolerance=min(tolerance, pot_error))

    _, first_seconds = timed(ours)
    result, seconds = timed(ours)
    return {
        "n": n,
        "pot_seconds": pot_seconds,
        "pot_error": pot_error,
        "seconds": seconds,
        "first_call_seconds": first_seconds,
        "iterations": int(result.iterations),
        "marginal_error": float(result.error),
        "ratio": pot_seconds / seconds,
    }


def measure(
    progress: ProgressCallback,
    *,
    n: int = 20_000,
    pot_n: int = 2000,
    dimension: int = 3,
    ratio: float = 0.05,
    tolerance: float = 1e-3,
    dtype: str = "float64",
    seed: int = 0,
) -> dict[str, Any]:
    """Both measurements; the large one first, before POT's matrices raise the peak of memory."""
    progress(Progress(0, 2, f"{n} x {n}, streamed"))
    report = {"large": large(n, dimension, ratio, tolerance, dtype, seed)}
    progress(Progress(1, 2, f"{pot_n} x {pot_n}, against POT"))
    report["against_pot"] = against_pot(pot_n, dimension, ratio, tolerance, seed)
    progress(Progress(2, 2, "done"))
    return report


def main(run: Run) -> dict[str, Any]:
    """Both measurements, at their default sizes."""
    return measure(run.progress, seed=run.seed)


def command() -> None:
    """The same from a shell, of any size."""
    keep_own_arithmetic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20_000, help="points of each large cloud")
    parser.add_argument("--pot-n", type=int, default=2000, help="points of the comparison with POT")
    parser.add_argument("--dimension", type=int, default=3)
    parser.add_argument("--ratio", type=float, default=0.05, help="epsilon over the mean cost")
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--seed", type=int, default=0)
    report = measure(lambda _: None, **vars(parser.parse_args()))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    command()
