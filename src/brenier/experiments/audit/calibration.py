"""Coverage and width of the audit's bounds at laws whose defect is known (MATH_6, and others).

Each case is audited on independent samples: how often the bound from below is above the true
defect, how close both are, and how often there is a bound or a verdict at all, so that silence is
no coverage. 400 samples a case, fewer where one takes longer than a second; ``--seeds`` bounds
them. A bound from above is of a core, whose own defect is not computed here: its median over the
defect of the whole is reported, and no misses of it are counted. Twenty samples at a time are kept
in ``blocks/``: a run that was stopped goes on with the same command.
"""

import json
import time
from typing import Any

import jax
import numpy as np

from brenier import audit, audit_pairs
from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.audit._cases import CASES
from brenier.io import atomic_write
from brenier.report import new_figure, png_bytes

_BLOCK = 20
_BUDGET = 1.0
# Defects that are known by quantiles of so many draws of a heavy tail are known to this part.
_KNOWN = 0.01
_WORDS = ("optimal", "not optimal", "not exactly optimal", "undecided", "no bound")


def main(run: Run) -> dict[str, Any]:
    """Audit every case on every sample; the table of misses and widths, and its picture."""
    report: dict[str, dict[str, Any]] = {}
    bounds: dict[str, np.ndarray] = {}
    for name, make in CASES.items():
        case = make()
        count = min(case.samples, run.seeds_or(case.samples))
        starts = range(0, count, _BLOCK)
        blocks = [(name, run.seed, s, min(s + _BLOCK, count)) for s in starts]

        def tick(done: int, name: str = name, total: int = len(blocks)) -> None:
            run.progress(Progress(done, total, name))

        rows = np.concatenate(map_blocks(_block, blocks, tick, run.out / "blocks"))
        report[name], bounds[name] = _summary(rows, case.defect, case.n), rows
        with atomic_write(run.out / "cases.json") as handle:
            handle.write(json.dumps(report, indent=2).encode())
    (run.out / "bounds.png").write_bytes(_figure(report, bounds))
    return {"cases": report}


def _block(name: str, seed: int, start: int, end: int) -> list[list[float]]:
    """lower, upper, mass outside, the wasted share's ends, the verdict's place, seconds: a row."""
    case = CASES[name]()
    rows = []
    for sample in range(start, end):
        key = jax.random.fold_in(jax.random.key(seed), sample)
        began = time.perf_counter()
        if case.declared is not None:
            found = audit(case.map, case.declared, key=key, samples=case.n, budget=_BUDGET)
        else:
            x = case.law(np.random.default_rng([seed, sample]), case.n)
            found = audit_pairs(x, case.map(x), key=key, budget=_BUDGET)
        d, core = found.defect, found.defect.core
        outside, low, high = (1.0, 0.0, 1.0)
        if core is not None:
            share = core.wasted_beyond_shift
            outside, low, high = core.outside, share.lower, share.upper
        word = _WORDS.index(found.verdict.optimality)
        seconds = time.perf_counter() - began
        rows.append([d.lower, d.upper, outside, low, high, float(word), seconds])
    return rows


def _summary(rows: np.ndarray, defect: float, n: int) -> dict[str, Any]:
    lower, upper, outside = rows[:, 0], rows[:, 1], rows[:, 2]
    count = len(rows)
    slack = 1e-9 + _KNOWN * defect
    words = {word: int(np.sum(rows[:, 5] == i)) for i, word in enumerate(_WORDS)}
    return {
        "defect": defect,
        "n": n,
        "samples": count,
        "most_misses": float(0.025 * count + 3.0 * np.sqrt(0.025 * 0.975 * count)),
        "lower_above": int(np.sum(lower > defect + slack)),
        "crossed": int(np.sum(lower > upper)),
        "called_not_optimal_at_no_defect": words["not optimal"] if defect == 0.0 else 0,
        "lower_over_defect": float(np.median(lower) / defect) if defect > 0 else None,
        "upper_over_defect": float(np.median(upper) / defect) if defect > 0 else None,
        "mass_outside": float(np.median(outside)),
        "wasted": [float(np.median(rows[:, 3])), float(np.median(rows[:, 4]))],
        "bounded_from_below": int(np.sum(lower > 0)),
        "verdicts": words,
        "seconds": float(np.median(rows[:, 6])),
    }


def _figure(report: dict[str, dict[str, Any]], bounds: dict[str, np.ndarray]) -> bytes:
    """Median bounds over the true defect, a line a case, with the middle nine tenths."""
    names = [name for name in report if report[name]["defect"] > 0][::-1]
    figure = new_figure(8.0, 0.32 * len(names) + 1.0)
    axes = figure.subplots()
    for row, name in enumerate(names):
        ends = bounds[name][:, :2] / report[name]["defect"]
        low, middle, high = np.quantile(ends, [0.05, 0.5, 0.95], axis=0)
        for side, ink in ((0, "C0"), (1, "C3")):
            axes.plot([low[side], high[side]], [row, row], color=ink, lw=4, alpha=0.35)
            axes.plot(middle[side], row, "o", color=ink, ms=4)
    axes.axvline(1.0, color="black", lw=0.8)
    axes.set_xlim(0.0, 3.0)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("bound / true defect: from below (blue), from above on the core (red)")
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
