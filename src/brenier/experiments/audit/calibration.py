"""Coverage and width of the audit's interval on maps whose defect is known (MATH_5).

Each case is audited on ``seeds`` independent samples of 20,000 points (100 by default): how often
the interval holds the true defect, and how wide it is. What is known exactly is used exactly; the
gradient map after a rotation has its defect from a million quasi-random points. Five repetitions at
a time are written to ``blocks/`` as they come, and the table to ``cases.json`` case by case: a run
that was stopped goes on with the same command.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier import audit
from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.io import atomic_write
from brenier.measures import AbstractMeasure, Gaussian, GaussianMixture, quasi_sample
from brenier.numerics import bures_squared
from brenier.problems import random_convex
from brenier.report import new_figure, png_bytes

_SAMPLES = 20_000
_BUDGET = 6.0
_QUASI = 2**20
_ANGLE = 0.3
_TURN = np.array([[np.cos(_ANGLE), -np.sin(_ANGLE)], [np.sin(_ANGLE), np.cos(_ANGLE)]])
_MATRIX = np.array([[1.5, 0.8], [-0.3, 0.6]])
_SOURCE = np.array([[1.0, 0.4], [0.4, 0.5]])


@dataclass(frozen=True)
class Case:
    """A map, its source and its defect."""

    map: Callable[[np.ndarray], np.ndarray]
    source: AbstractMeasure
    defect: float


def main(run: Run) -> dict[str, Any]:
    """Audit every case on every seed; the table of coverages and widths, and its picture."""
    count = run.seeds_or(100)
    report, intervals = {}, {}
    for name in CASES:
        started = time.perf_counter()
        parts = [part for part in np.array_split(np.arange(count), 20) if len(part)]
        blocks = [(name, _SAMPLES, run.seed, part.tolist()) for part in parts]

        def tick(done: int, name: str = name, total: int = len(blocks)) -> None:
            run.progress(Progress(done, total, name))

        rows = np.concatenate(map_blocks(_block, blocks, tick, run.out / "blocks"))
        truth = CASES[name]().defect
        # Rounding: a defect of exactly 0 is held by a bound of 1e-16 as well.
        held = (rows[:, 0] <= truth + 1e-12) & (truth <= rows[:, 1] + 1e-12)
        width = rows[:, 1] - rows[:, 0]
        report[name] = {
            "defect": truth,
            "repetitions": count,
            "covered": int(held.sum()),
            "mean_lower": float(rows[:, 0].mean()),
            "mean_upper": float(rows[:, 1].mean()),
            "mean_width": float(width.mean()),
            "relative_width": float(width.mean() / truth) if truth > 0 else None,
            "largest_relative_width": float(width.max() / truth) if truth > 0 else None,
            "verdicts_right": int(rows[:, 2].sum()),
            "seconds": time.perf_counter() - started,
        }
        intervals[name] = rows
        with atomic_write(run.out / "cases.json") as handle:
            handle.write(json.dumps(report, indent=2).encode())
    (run.out / "intervals.png").write_bytes(_figure(report, intervals))
    return {"samples": _SAMPLES, "cases": report}


def _identity() -> Case:
    return Case(lambda x: x, Gaussian.standard(2), 0.0)


def _translation() -> Case:
    return Case(lambda x: x + np.array([1.0, -2.0]), Gaussian.standard(2), 0.0)


def _symmetric() -> Case:
    return Case(lambda x: x @ _SOURCE.T, Gaussian.standard(2), 0.0)


def _rotation() -> Case:
    return Case(lambda x: x @ _TURN.T, Gaussian.standard(2), 4.0 * (1.0 - np.cos(_ANGLE)))


def _linear() -> Case:
    image = _MATRIX @ _SOURCE @ _MATRIX.T
    cost = np.trace(_SOURCE) + np.trace(image) - 2.0 * np.trace(_MATRIX @ _SOURCE)
    defect = cost - float(bures_squared(jnp.asarray(_SOURCE), jnp.asarray(image)))
    source = Gaussian(jnp.zeros(2), jnp.asarray(_SOURCE))
    return Case(lambda x: x @ _MATRIX.T, source, defect)


def _turned_gradient() -> Case:
    """∇φ after a rotation that leaves its Gaussian source as it is: ∇φ itself is optimal."""
    problem = random_convex(2)
    source, optimal = problem.source, problem.map
    assert isinstance(source, Gaussian)
    assert optimal is not None
    root = np.asarray(source.factor)
    mean = np.asarray(source.mean)
    turn = root @ _TURN @ np.linalg.inv(root)

    def turned(x: np.ndarray) -> np.ndarray:
        return mean + (x - mean) @ turn.T

    cloud = GaussianMixture(jnp.ones(1), source.mean[None], source.covariance[None])
    x = np.asarray(quasi_sample(cloud, _QUASI, key=jax.random.key(0)))
    # E‖X − ∇φ(RX)‖² − E‖X − ∇φ(X)‖² with RX for X in the second: one evaluation of ∇φ.
    again = turned(x)
    defect = float(2.0 * np.mean(np.sum(np.asarray(optimal(again)) * (again - x), axis=1)))
    return Case(lambda x: np.asarray(optimal(turned(x))), source, defect)


def _increasing() -> Case:
    return Case(np.sinh, Gaussian.standard(1), 0.0)


def _decreasing() -> Case:
    """−x³: optimal is x³, D = 4 E X⁴ = 12."""
    return Case(lambda x: -(x**3), Gaussian.standard(1), 12.0)


CASES: dict[str, Callable[[], Case]] = {
    "identity": _identity,
    "translation": _translation,
    "symmetric_linear": _symmetric,
    "increasing": _increasing,
    "rotation": _rotation,
    "linear": _linear,
    "turned_gradient": _turned_gradient,
    "decreasing": _decreasing,
}


def _block(name: str, samples: int, seed: int, repetitions: list[int]) -> list[list[float]]:
    """Lower, upper and whether the verdict is right, a row each."""
    case = CASES[name]()
    right = "optimal" if case.defect == 0.0 else "not optimal"
    rows = []
    for repetition in repetitions:
        key = jax.random.fold_in(jax.random.key(seed), repetition)
        found = audit(case.map, case.source, key=key, samples=samples, budget=_BUDGET)
        verdict = float(found.verdict.optimality == right)
        rows.append([found.defect.lower, found.defect.upper, verdict])
    return rows


def _figure(report: dict[str, dict[str, Any]], intervals: dict[str, np.ndarray]) -> bytes:
    names = [name for name in report if report[name]["defect"] > 0]
    figure = new_figure(3.0 * len(names), 3.2)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        truth = report[name]["defect"]
        rows = intervals[name][np.argsort(intervals[name][:, 1])] / truth
        axes.vlines(np.arange(len(rows)), rows[:, 0], rows[:, 1], lw=1.0)
        axes.axhline(1.0, color="black", lw=0.8)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("repetition")
    figure.axes[0].set_ylabel("interval / true defect")
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
