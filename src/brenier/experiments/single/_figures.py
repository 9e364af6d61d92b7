"""The pictures of the single-cell experiment."""

from typing import Any

import numpy as np

from brenier.report import BLUE, GREEN, INK, RED, new_figure, png_bytes

_OCHRE, _PURPLE = "#b9770e", "#7d3c98"
_COLOURS = {"identity": _OCHRE, "mean shift": _PURPLE, "gaussian": GREEN, "ott": RED}
# The first whose name begins so.
_COLOURS |= {"ours, no condition": "0.45", "ours": BLUE}


def clouds_figure(clouds: dict[str, np.ndarray]) -> bytes:
    """Each method's held-out prediction over the observed cells, in two components."""
    names = [name for name in clouds if name != "observed"]
    observed = clouds["observed"]
    rows = -(-len(names) // 4)
    figure = new_figure(11.0, 2.9 * rows)
    axes = figure.subplots(rows, 4, sharex=True, sharey=True, squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        axis.plot(*observed.T, ".", color="0.7", markersize=4, label="observed")
        axis.plot(*clouds[name].T, ".", color=_colour(name), markersize=3, label="predicted")
        axis.set_title(name, fontsize=10)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("component 1")
    for axis in axes[:, 0]:
        axis.set_ylabel("component 2")
    axes[0, 0].legend(frameon=False, fontsize=8, markerscale=2)
    return png_bytes(figure)


def types_figure(tables: dict[str, Any]) -> bytes:
    """Energy distance of every method, a row a task, on a scale that shows 0."""
    figure = new_figure(8.0, 5.0)
    axis = figure.subplots()
    names = list(tables)[::-1]
    methods = list(tables[names[0]]["methods"])
    for method in methods:
        values = [tables[name]["methods"][method]["energy"] for name in names]
        errors = [tables[name]["methods"][method]["energy_stderr"] or 0.0 for name in names]
        filled = _colour(method) if method == "ours" or method.endswith("(50)") else "white"
        if "(" not in method:
            filled = _colour(method)
        axis.errorbar(
            values,
            range(len(names)),
            xerr=errors,
            fmt="D" if method == "ours" else "o",
            color=_colour(method),
            markerfacecolor=filled,
            markersize=6,
            linewidth=1.0,
            label=method,
            zorder=3 if method == "ours" else 2,
        )
    axis.set_xscale("symlog", linthresh=0.1)
    axis.axvline(0.0, color="0.85", linewidth=0.8)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_xlabel("energy distance to the observed cells, unbiased (linear below 0.1)", color=INK)
    axis.grid(axis="y", color="0.93")
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return png_bytes(figure)


def _colour(name: str) -> str:
    return next(colour for start, colour in _COLOURS.items() if name.startswith(start))
