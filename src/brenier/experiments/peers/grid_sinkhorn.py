"""Sinkhorn on a grid of 256² nodes at the least ε of (4.12), beside OTT-JAX's grid geometry.

    brenier reproduce peers-grid-sinkhorn --json      (needs the extra ``bench``)

OTT's squared Euclidean cost is twice ours: its epsilon is 2ε. Both run so many iterations from
zero, in float64, after compilation; the first marginals' errors say that they did the same work.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._ott import require_ott
from brenier.experiments._run import Run
from brenier.numerics import grid_sinkhorn, squared_gaps, steepest_allowed

TIME = "minutes"

_NODES, _EPSILON, _SWEEPS, _RUNS = 256, 0.0125, 20, 3


def main(run: Run) -> dict[str, Any]:
    """Seconds per 100 iterations of each, the best of three runs."""
    require_ott()
    side = np.linspace(-3.0, 3.0, _NODES)
    x, y = np.meshgrid(side, side, indexing="ij")
    source = np.exp(-0.5 * (x**2 + y**2))
    target = np.exp(-((x - 1.0) ** 2) - y**2) + np.exp(-((x + 1.0) ** 2) - (y - 0.5) ** 2)
    a, b = jnp.asarray(source / source.sum()), jnp.asarray(target / target.sum())
    run.progress(Progress(0, 2, "brenier"))
    ours = _ours(a, b, side)
    run.progress(Progress(1, 2, "ott"))
    theirs = _ott(a, b, side)
    return {
        "nodes": _NODES,
        "epsilon": _EPSILON,
        "ours": ours,
        "ott": theirs,
        "ott_over_ours": theirs["seconds"] / ours["seconds"],
    }


def _ours(a: jax.Array, b: jax.Array, side: np.ndarray) -> dict[str, float]:
    gap = squared_gaps(side, side)
    zero, blocks = jnp.zeros_like(a), 1

    def run():
        return grid_sinkhorn(
            zero,
            jnp.log(a),
            jnp.log(b),
            (gap, gap),
            epsilon=_EPSILON,
            sweeps=_SWEEPS,
            blocks=blocks,
        )

    while float(run().steepest) > steepest_allowed(a.dtype):
        blocks *= 4
    return {"seconds": _timed(run), "error": float(run().error), "blocks": blocks}


def _ott(a: jax.Array, b: jax.Array, side: np.ndarray) -> dict[str, float]:
    from ott.geometry import grid
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    places = [jnp.asarray(side), jnp.asarray(side)]

    @jax.jit
    def run():
        geometry = grid.Grid(x=places, epsilon=2.0 * _EPSILON)
        problem = linear_problem.LinearProblem(geometry, a.ravel(), b.ravel())
        solver = sinkhorn.Sinkhorn(
            lse_mode=True,
            threshold=0.0,
            min_iterations=_SWEEPS,
            max_iterations=_SWEEPS,
            inner_iterations=_SWEEPS,
        )
        return solver(problem).errors

    errors = np.asarray(run())
    return {"seconds": _timed(run), "error": float(errors[errors >= 0][-1])}


def _timed(run: Callable[[], Any]) -> float:
    """Seconds per 100 iterations."""
    seconds = []
    for _ in range(_RUNS):
        started = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - started)
    return min(seconds) * 100.0 / _SWEEPS


if __name__ == "__main__":
    command(__spec__.name)
