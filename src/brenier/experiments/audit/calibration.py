"""Coverage and width of the audit's bounds at laws whose defect is known.

The laws are those of Theory, chapter 6, and others.

Each case is audited on independent samples. Counted are misses of every bound at its level: of the
lower bound, of the asymptotic ones, of D, mass and wasted share of the core where that is known
(laws of a line), of a declared upper bound of the whole map. Beside them stand the widths, and how
often there is a bound or a verdict at all, so that silence is no coverage. A case whose declaration
is untrue shows what fails then. 400 samples a case, fewer where one takes longer than a second;
``--seeds`` bounds them. Twenty samples at a time are kept in ``blocks/``: a run that was stopped
goes on with the same command.
"""

import json
import time
from functools import cache
from typing import Any

import jax
import numpy as np

from brenier import audit, audit_pairs
from brenier._progress import Progress
from brenier.certify import Certificate, Core
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.audit._cases import CASES, Case
from brenier.io import atomic_write, write_whole
from brenier.report import new_figure, png_bytes

TIME = "hours"

_BLOCK = 20
_BUDGET = 1.0
# Defects that are known by quantiles of so many draws of a heavy tail are known to this part.
_KNOWN = 0.01
# Draws by which the defect of a core is known.
_MANY = 200_000
_WORDS = ("optimal", "not optimal", "not exactly optimal", "undecided", "no bound")
_WHOLE = "D of the whole map"
# What is kept of an audit; NaN where there is none.
_COLUMNS = (
    "lower",
    "upper",
    "whole_upper",
    "at_once",
    "by_symmetry",
    "core_lower",
    "core_upper",
    "outside",
    "wasted_lower",
    "wasted_upper",
    "core_defect",
    "core_outside",
    "core_wasted",
    "beyond_lower",
    "beyond_upper",
    "word",
    "seconds",
)


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

        rows = np.concatenate(map_blocks(_block, blocks, tick, run.out / "blocks")).astype(float)
        report[name], bounds[name] = _summary(rows, case), rows
        with atomic_write(run.out / "cases.json") as handle:
            handle.write(json.dumps(report, indent=2).encode())
    write_whole(run.out / "bounds.png", _figure(report, bounds))
    return {"cases": report}


def _block(name: str, seed: int, start: int, end: int) -> list[list[float]]:
    """A row of numbers for each sample."""
    return [_row(CASES[name](), name, seed, sample) for sample in range(start, end)]


def _row(case: Case, name: str, seed: int, sample: int) -> list[float]:
    key = jax.random.fold_in(jax.random.key(seed), sample)
    x = case.law(np.random.default_rng([seed, sample]), case.n)
    declared = dict(case.declared)
    began = time.perf_counter()
    if case.of_map:
        source = x if case.source is None else case.source
        found = audit(case.map, source, key=key, samples=case.n, budget=_BUDGET, **declared)
    else:
        found = audit_pairs(x, case.map(x), key=key, budget=_BUDGET, **declared)
    seconds = time.perf_counter() - began
    d, core = found.defect, found.defect.core or found.defect.beside
    assert core is not None
    known = _known_of_core(name, core) if case.line else [np.nan] * 3
    word = float(_WORDS.index(found.verdict.optimality))
    numbers = [
        d.lower,
        d.upper,
        min(
            (b.value for b in d.bounds if b.quantity == _WHOLE and b.side == "upper"),
            default=np.nan,
        ),
        *(_asymptotic(found, by) for by in ("at once", "(6.12)")),
        core.lower,
        core.upper,
        core.outside,
        core.wasted.lower,
        core.wasted.upper,
        *known,
        core.wasted_beyond_shift.lower,
        core.wasted_beyond_shift.upper,
        word,
        seconds,
    ]
    return [float(number) for number in numbers]


def _asymptotic(found: Certificate, by: str) -> float:
    """The best of the bounds for many rows of that kind."""
    own = [b.value for b in found.defect.bounds if b.level == "asymptotic" and by in b.by]
    return max(own, default=np.nan)


@cache
def _many(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Many pairs of a case."""
    case = CASES[name]()
    x = case.law(np.random.default_rng(2), _MANY)
    return x, case.map(x)


def _known_of_core(name: str, core: Core) -> list[float]:
    """D of the core, the mass outside and the wasted share, of pairs of a line: sorted."""
    assert core.members is not None
    x, y = _many(name)
    inside = core.members(x, y)
    # Along the line, wherever it lies.
    a, b = x[inside].sum(axis=1), y[inside].sum(axis=1)
    unit = x.shape[1]
    cost = float(np.sum((a - b) ** 2)) / len(x) / unit
    defect = cost - float(np.sum((np.sort(a) - np.sort(b)) ** 2)) / len(x) / unit
    return [defect, float(np.mean(~inside)), defect / cost if cost > 0 else 0.0]


def _summary(rows: np.ndarray, case: Case) -> dict[str, Any]:
    own = dict(zip(_COLUMNS, rows.T, strict=True))
    count, defect = len(rows), case.defect
    slack = 1e-9 + _KNOWN * defect
    # What is known by many draws is known to about three of their standard errors.
    mass = own["core_outside"] - 3.0 * np.sqrt(own["core_outside"] / _MANY)
    near = (1.0 - _KNOWN) * own["core_defect"] - 1e-9
    words = {word: int(np.sum(own["word"] == i)) for i, word in enumerate(_WORDS)}

    def missed(bad: np.ndarray) -> int:
        return int(np.sum(bad))

    misses = {
        "lower": missed(own["lower"] > defect + slack),
        "asymptotic, at once": missed(own["at_once"] > defect + slack),
        "crossed": missed((own["lower"] > own["upper"]) | (own["core_lower"] > own["core_upper"])),
    }
    if not np.isnan(own["by_symmetry"]).all():
        misses["asymptotic, by symmetry"] = missed(own["by_symmetry"] > defect + slack)
    if not np.isnan(own["whole_upper"]).all():
        misses["upper of the whole"] = missed(own["whole_upper"] < defect - slack)
    if case.line:
        misses["lower of the core"] = missed(
            own["core_lower"] > own["core_defect"] * (1.0 + _KNOWN) + 1e-9
        )
        misses["upper of the core"] = missed(own["core_upper"] < near)
        misses["mass outside"] = missed(own["outside"] < mass)
        wasted = own["core_wasted"]
        misses["wasted, lower"] = missed(own["wasted_lower"] > wasted * (1.0 + _KNOWN) + 1e-9)
        misses["wasted, upper"] = missed(own["wasted_upper"] < wasted * (1.0 - _KNOWN) - 1e-9)
    if defect == 0.0:
        misses["called not optimal"] = words["not optimal"] + words["not exactly optimal"]
    return {
        "defect": defect,
        "n": case.n,
        "samples": count,
        "declared": [name for name, _ in case.declared] + ["source"] * (case.source is not None),
        "untrue": case.false,
        "most_misses": float(0.025 * count + 3.0 * np.sqrt(0.025 * 0.975 * count)),
        "misses": misses,
        "lower_over_defect": float(np.median(own["lower"]) / defect) if defect > 0 else None,
        "upper_over_defect": float(np.median(own["upper"]) / defect) if defect > 0 else None,
        "upper_over_core": float(np.median(own["core_upper"] / own["core_defect"]))
        if case.line and (own["core_defect"] > 0).all()
        else None,
        "whole_upper_over_defect": _median_over(own["whole_upper"], defect),
        "mass_outside": float(np.median(own["outside"])),
        "wasted": [float(np.median(own[f"beyond_{side}"])) for side in ("lower", "upper")],
        "bounded_from_below": int(np.sum(own["lower"] > 0)),
        "verdicts": words,
        "seconds": float(np.median(own["seconds"])),
    }


def _median_over(values: np.ndarray, defect: float) -> float | None:
    """None where there is no value, or none that is finite in the middle."""
    middle = float(np.median(values)) / defect if defect > 0 else float("nan")
    return middle if np.isfinite(middle) else None


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
    axes.set_ylim(-1.0, len(names))
    axes.set_xlabel("bound / defect of the whole:\nfrom below (blue), from above on the core (red)")
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
