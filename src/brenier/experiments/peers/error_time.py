"""Error against time of maps from samples: ``MongeMap``, its cheapest kinds, and POT's maps.

    brenier reproduce peers-error-time --seeds 3

Two problems of ``peers-small-samples`` whose true map is known, at 100, 300 and 1000 points a side:
L2-UVP on 4000 fresh points against the CPU seconds of the fit and of moving these, compilation
included. Means over seeds (three by default; POT's Sinkhorn has one at 1000 points). For the
picture of "How to choose"; the study itself has ten times the problems and more methods.
"""

import json
import math
from typing import Any

import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.peers._small_cells import Block, blocks_of, measure
from brenier.io import write_whole
from brenier.report import BLUE, INK, RED, new_figure, plain, png_bytes

TIME = "minutes"

_PANELS = (("convex", 2), ("convex", 10))
_SIZES = (100, 300, 1000)
_COLOURS = {
    "default": BLUE,
    "gaussian alone": "#7fb3d5",
    "entropic alone": "#148f77",
    "POT EMD": RED,
    "POT Sinkhorn": "#b9770e",
    "POT linear": "#7d3c98",
}
_LABELS = {
    "default": "MongeMap()",
    "gaussian alone": "MongeMap, gaussian",
    "entropic alone": "MongeMap, entropic",
    "POT EMD": "POT EMDTransport",
    "POT Sinkhorn": "POT SinkhornTransport",
    "POT linear": "POT LinearTransport",
}


def main(run: Run) -> dict[str, Any]:
    """Mean error and seconds of every method at every size, and the picture of them."""
    seeds = range(run.seed, run.seed + run.seeds_or(3))
    blocks = [
        block
        for block in blocks_of({name for name, _ in _PANELS}, _SIZES, _COLOURS, seeds, set())
        if (block.problem, block.d) in _PANELS
    ]
    rows: list[dict[str, Any]] = []
    for done, block in enumerate(blocks):
        run.progress(Progress(done, len(blocks), _said(block)))
        measure(block, math.inf, lambda line: rows.append(json.loads(line)))
    table = [
        _cell(rows, problem, d, n, method)
        for problem, d in _PANELS
        for method in _COLOURS
        for n in _SIZES
    ]
    write_whole(run.out / "error_time.png", error_time_figure(table))
    return {"rows": table, "failed": sum("failed" in row for row in rows)}


def _said(block: Block) -> str:
    return f"{block.problem}, d = {block.d}, n = {block.n}, seed {block.seed}"


def _cell(rows: list[dict[str, Any]], problem: str, d: int, n: int, method: str) -> dict[str, Any]:
    """Means over the seeds that did not fail."""
    own = [
        row
        for row in rows
        if (row["problem"], row["d"], row["n"], row["method"]) == (problem, d, n, method)
        and "error" in row
    ]
    means = {
        name: float(np.mean([row[name] for row in own])) if own else math.nan
        for name in ("error", "cpu_seconds")
    }
    return {"problem": problem, "d": d, "n": n, "method": method, "seeds": len(own), **means}


def error_time_figure(table: list[dict[str, Any]]) -> bytes:
    """A line a method through its sizes, on logarithmic axes; larger dots are more points."""
    from matplotlib.ticker import LogLocator

    figure = new_figure(8.6, 4.2)
    for axes, (problem, d) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        plain(axes)
        for method, colour in _COLOURS.items():
            own = [r for r in table if (r["problem"], r["d"], r["method"]) == (problem, d, method)]
            seconds, errors = ([row[name] for row in own] for name in ("cpu_seconds", "error"))
            width = 2.2 if method == "default" else 1.2
            axes.plot(seconds, errors, color=colour, linewidth=width, label=_LABELS[method])
            axes.scatter(seconds, errors, s=[12, 30, 62], color=colour, zorder=3)
        axes.set(xscale="log", yscale="log", xlabel="CPU seconds, fit and 4000 new points")
        axes.set_ylabel("error, L2-UVP in %")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set_title(f"{problem}, d = {d}", loc="left", fontsize=10, color=INK)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
