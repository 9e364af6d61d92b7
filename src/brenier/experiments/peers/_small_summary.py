"""What the rows of the study say: means, the best in hindsight, flags; and as Markdown."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from brenier.experiments.peers._small_cells import NOISE
from brenier.experiments.peers._small_methods import CANDIDATES, METHODS, OURS, POT, alone
from brenier.experiments.peers._small_problems import PROBLEMS

# Of the methods of one (problem, d, n): the errors by seed, failures left out.
_Errors: TypeAlias = dict[str, dict[int, float]]

_LEGEND = """\
L2-UVP in per cent where the true map is known, else the unbiased squared energy distance (±:
standard error over seeds). *Ratio*: of the default to the best candidate alone. **Bold**: the least
of the row. ⚑: worse than the best of POT by more than a standard error of the difference, or a fit
of the default failed.
"""


def summary(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Every (problem, d, n), the ratios over all of them, and CPU seconds.

    ``ratio`` is the mean error over that of the best candidate alone, the one of the least mean
    error there; flagged is a default worse than POT's best by more than one standard error of the
    difference, seed by seed, or that failed. Errors that differ by less than the measure's noise
    are equal, and none counts as less than the noise.
    """
    rows = list(rows)
    groups: dict[tuple[str, int, int], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["problem"], row["d"], row["n"]].append(row)
    order = list(PROBLEMS)
    places = sorted(groups, key=lambda place: (order.index(place[0]), *place[1:]))
    cells = [_cell(*place, groups[place]) for place in places]
    return {
        "cells": cells,
        "ratios": {name: _ratios(name, cells) for name in OURS},
        "flags": sum(cell["flagged"] for cell in cells),
        "failures": sum("failed" in row for row in rows),
        "cpu_seconds": _cpu_seconds(rows),
    }


def _cell(problem: str, d: int, n: int, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    noise = next((row["error"] for row in rows if row["method"] == NOISE), 0.0)
    own = [row for row in rows if row["method"] != NOISE]
    errors: _Errors = defaultdict(dict)
    failed: dict[str, int] = defaultdict(int)
    for row in own:
        if "failed" in row:
            failed[row["method"]] += 1
        else:
            errors[row["method"]][row["seed"]] = row["error"]
    best = _least(errors, [alone(name) for name in CANDIDATES])
    best_pot = _best_pot(errors)
    return {
        "problem": problem,
        "d": d,
        "n": n,
        "measure": "energy distance" if PROBLEMS[problem].map is None else "L2-UVP, %",
        "noise": noise,
        "methods": {
            name: {**_mean(errors[name]), "failed": failed[name]}
            for name in METHODS
            if name in errors or failed[name]
        },
        "best_candidate": best,
        "ratios": {name: _ratio(errors, name, best, noise) for name in OURS},
        "best_pot": best_pot,
        "flagged": failed["default"] > 0 or _worse(errors, best_pot, noise),
    }


def _mean(errors: Mapping[int, float]) -> dict[str, Any]:
    values = np.array(list(errors.values()))
    return {
        "mean": float(values.mean()) if values.size else None,
        "stderr": _stderr(values) if values.size > 1 else None,
        "seeds": values.size,
    }


def _stderr(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size))


def _least(errors: _Errors, names: Iterable[str]) -> str | None:
    """The name of the least mean error, over the seeds that did not fail."""
    means = {name: np.mean(list(errors[name].values())) for name in names if errors.get(name)}
    return min(means, key=lambda name: means[name]) if means else None


def _shared(errors: _Errors, name: str, other: str | None) -> np.ndarray:
    """The errors of both on the seeds that both have, (2, seeds)."""
    if other is None or not {name, other} <= errors.keys():
        return np.empty((2, 0))
    seeds = sorted(errors[name].keys() & errors[other].keys())
    return np.array([[errors[method][seed] for seed in seeds] for method in (name, other)])


def _ratio(errors: _Errors, name: str, best: str | None, noise: float) -> float | None:
    both = _shared(errors, name, best)
    if not both.size:
        return None
    mean, least = both.mean(axis=1)
    if abs(mean - least) <= noise:
        return 1.0
    return float(max(mean, noise) / max(least, noise))


def _best_pot(errors: _Errors) -> str | None:
    """The one of POT's that is better than the default by most, or worse by least."""
    gaps = {
        name: np.mean(both[0] - both[1])
        for name in POT
        if (both := _shared(errors, "default", name)).size
    }
    return max(gaps, key=lambda name: gaps[name]) if gaps else None


def _worse(errors: _Errors, best_pot: str | None, noise: float) -> bool:
    both = _shared(errors, "default", best_pot)
    if not both.size:
        return False
    gaps = both[0] - both[1]
    own = np.array(list(errors["default"].values()))
    # On one shared seed the difference is as uncertain as one fit of the default.
    spread = _stderr(gaps) if gaps.size > 1 else float(own.std(ddof=1)) if own.size > 1 else 0.0
    return bool(gaps.mean() > max(noise, spread))


def _ratios(name: str, cells: list[dict[str, Any]]) -> dict[str, Any]:
    known = [(cell["ratios"][name], cell) for cell in cells if cell["ratios"][name] is not None]
    if not known:
        return {"mean": None, "worst": None, "worst_at": None, "cells": 0}
    worst, cell = max(known, key=lambda entry: entry[0])
    return {
        "mean": float(np.mean([ratio for ratio, _ in known])),
        "worst": worst,
        "worst_at": f"{cell['problem']}, d = {cell['d']}, n = {cell['n']}",
        "cells": len(known),
    }


def _cpu_seconds(rows: list[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Means over problems, dimensions and seeds, failed fits included, by method and n."""
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["method"] != NOISE:
            found[row["method"]][row["n"]].append(row["cpu_seconds"])
    return {
        name: {str(n): float(np.mean(found[name][n])) for n in sorted(found[name])}
        for name in METHODS
        if name in found
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The summary as tables."""
    cells = found["cells"]
    main, rest = _columns(cells)
    parts = [
        "# Small samples\n",
        _LEGEND,
        *(_ratio_line(name, own) for name, own in found["ratios"].items()),
        f"- flags: {found['flags']} of {len(cells)}; failed fits: {found['failures']}\n",
        "## Ours and POT\n",
        _table(
            ["problem", "d", "n", "seeds", *main, "best candidate", "ratio", "⚑", "noise"],
            [_row(cell, main, hindsight=True) for cell in cells],
        ),
        "## Each candidate alone\n",
        _table(["problem", "d", "n", "seeds", *rest], [_row(cell, rest) for cell in cells]),
        "## CPU seconds\n",
        "Of the fit and of moving the fresh points; a first fit's compilation is counted.\n",
        _seconds(found["cpu_seconds"]),
    ]
    return "\n".join(parts)


def _columns(cells: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """The methods that were run: ours and the peers, and the candidates."""
    present = [name for name in METHODS if any(name in cell["methods"] for cell in cells)]
    candidates = [alone(name) for name in CANDIDATES]
    return (
        [name for name in present if name not in candidates],
        [name for name in present if name in candidates],
    )


def _ratio_line(name: str, own: Mapping[str, Any]) -> str:
    if own["mean"] is None:
        return f"- {name}: not run"
    return (
        f"- {name} over the best candidate: {own['mean']:.3f} in the mean of {own['cells']}, "
        f"{own['worst']:.2f} at worst ({own['worst_at']})"
    )


def _row(cell: dict[str, Any], methods: list[str], *, hindsight: bool = False) -> list[str]:
    own = cell["methods"]
    means = [own[name]["mean"] for name in methods if name in own]
    least = min((mean for mean in means if mean is not None), default=None)
    seeds = max(entry["seeds"] + entry["failed"] for entry in own.values())
    row = [cell["problem"], str(cell["d"]), str(cell["n"]), str(seeds)]
    row += [_entry(own.get(name), least, seeds) for name in methods]
    if hindsight:
        best, ratio = cell["best_candidate"], cell["ratios"]["default"]
        row += [
            "" if best is None else f"{_number(own[best]['mean'])} ({best.removesuffix(' alone')})",
            "" if ratio is None else f"{ratio:.2f}",
            "⚑" if cell["flagged"] else "",
            _number(cell["noise"]) if cell["noise"] else "",
        ]
    return row


def _entry(entry: Mapping[str, Any] | None, least: float | None, seeds: int) -> str:
    """A mean with its standard error, and what differs from the row: fewer seeds, failures."""
    if entry is None:
        return ""
    if entry["mean"] is None:
        return f"failed ({entry['failed']})"
    text = _number(entry["mean"])
    text = f"**{text}**" if entry["mean"] == least else text
    if entry["stderr"] is not None:
        text += f" ± {_number(entry['stderr'])}"
    if entry["failed"]:
        text += f", {entry['failed']} failed"
    elif entry["seeds"] < seeds:
        text += f" ({entry['seeds']} seeds)"
    return text


def _number(value: float) -> str:
    """Three digits, and no exponent above a thousandth.

    >>> _number(12.345), _number(0.012345), _number(-0.000012)
    ('12.3', '0.0123', '-1.2e-05')
    """
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _seconds(seconds: Mapping[str, Mapping[str, float]]) -> str:
    sizes = sorted({int(n) for own in seconds.values() for n in own})
    return _table(
        ["", *(f"n = {n}" for n in sizes)],
        [
            [name, *(_number(own[str(n)]) if str(n) in own else "" for n in sizes)]
            for name, own in seconds.items()
        ],
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
