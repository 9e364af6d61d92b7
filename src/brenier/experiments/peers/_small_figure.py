"""The picture of the study: error against n, a panel a problem."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from brenier.experiments.peers._small_problems import PROBLEMS
from brenier.report import BLUE, GREEN, INK, RED, new_figure, png_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OCHRE, _PURPLE, _BROWN, _GREY = "#b9770e", "#7d3c98", "#795548", "#909497"
_COLUMNS, _LABEL_POINTS = 4, 7.0
_HINDSIGHT = "best candidate"
_BAND = "#eef0f2"


class _Style(NamedTuple):
    """How a method is drawn, and its label at the end of its line."""

    label: str
    colour: str
    width: float = 1.1
    dashes: str = "-"


# Drawn in this order, ours on top.
_STYLES = {
    "mean shift": _Style("mean shift", _GREY),
    "POT linear": _Style("POT linear", _PURPLE),
    "POT mapping, gaussian": _Style("POT mapping", _BROWN),
    "POT EMD": _Style("POT EMD", RED),
    "POT Sinkhorn, validated": _Style("POT Sinkhorn, val.", _OCHRE),
    _HINDSIGHT: _Style("best in hindsight", GREEN, 1.4, "--"),
    "best": _Style("ours, best", BLUE, 1.4, ":"),
    "default": _Style("ours", BLUE, 2.2),
}


def errors_figure(cells: list[dict[str, Any]]) -> bytes:
    """Mean errors and their standard errors over seeds, on logarithmic axes, labelled in place.

    A squared energy distance within the noise of its measure lies in the grey band, at its lower
    edge where it is less than half of the noise.
    """
    panels = [
        own
        for problem in PROBLEMS.values()
        if (own := [c for c in cells if (c["problem"], c["d"]) == (problem.name, problem.shown)])
    ]
    columns = max(1, min(_COLUMNS, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = new_figure(3.6 * columns, 2.7 * rows + 0.2)
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.08)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for index, (axis, own) in enumerate(zip(axes.flat, panels, strict=False)):
        _draw(axis, sorted(own, key=lambda cell: cell["n"]))
        if index + columns >= len(panels):
            axis.set_xlabel("n, points a side", fontsize=8, color=INK)
    # Labels stand where the layout, which comes first, has put the axes.
    figure.draw_without_rendering()
    for axis in axes.flat[: len(panels)]:
        _spread(axis)
    return png_bytes(figure)


def _draw(axis: "Axes", cells: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import LogLocator

    first = cells[0]
    sizes = [cell["n"] for cell in cells]
    noises = [cell["noise"] for cell in cells]
    floor = 0.5 * max(noises)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for name, style in _STYLES.items():
        entries = [_entry(cell, name) for cell in cells]
        known = [(n, *entry) for n, entry in zip(sizes, entries, strict=True) if entry is not None]
        if not known:
            continue
        n, mean, spread = np.array(known).T
        mean = np.maximum(mean, floor) if floor else mean
        # A bar that reaches 0 has no lower end on this axis.
        below = np.minimum(spread, mean - np.maximum(floor, 0.1 * mean))
        axis.errorbar(
            n,
            mean,
            yerr=[below, spread],
            color=style.colour,
            linewidth=style.width,
            linestyle=style.dashes,
            marker="o",
            markersize=2.0 + style.width,
            elinewidth=0.7,
        )
        axis.annotate(
            style.label,
            (n[-1], mean[-1]),
            xytext=(1.03, 0.5),
            textcoords="axes fraction",
            color=style.colour,
            fontsize=_LABEL_POINTS,
            fontweight="bold" if name == "default" else "normal",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": style.colour, "lw": 0.4, "shrinkA": 0},
        )
    if axis.get_ylim()[0] < max(noises):
        axis.set_ylim(bottom=0.8 * floor)
        axis.axhspan(0.8 * floor, max(noises), color=_BAND, linewidth=0, zorder=0)
    axis.set_xlim(sizes[0] / 1.25, sizes[-1] * 1.25)
    axis.set_xticks(sizes, [str(n) for n in sizes])
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.tick_params(labelsize=7, colors=INK)
    axis.spines[["top", "right"]].set_visible(False)
    unit = "L2-UVP, %" if first["measure"].startswith("L2") else "energy distance²"
    axis.set_title(f"{first['problem']}, d = {first['d']}", loc="left", fontsize=9, color=INK)
    axis.set_title(unit, loc="right", fontsize=7, color=INK)


def _entry(cell: dict[str, Any], name: str) -> tuple[float, float] | None:
    """A method's mean and standard error in a cell; None where it has none."""
    own = cell["methods"].get(cell["best_candidate"] if name == _HINDSIGHT else name)
    if own is None or own["mean"] is None:
        return None
    return own["mean"], own["stderr"] or 0.0


def _spread(axis: "Axes") -> None:
    """Labels beside the axes at the heights of their lines' ends, apart where these are close."""
    from matplotlib.text import Annotation

    height = axis.get_window_extent().height
    gap = 1.15 * _LABEL_POINTS / 72.0 * axis.figure.dpi / height
    labels = [text for text in axis.texts if isinstance(text, Annotation)]
    to_axes = axis.transData + axis.transAxes.inverted()
    labels.sort(key=lambda label: to_axes.transform(label.xy)[1])
    places = _apart([to_axes.transform(label.xy)[1] for label in labels], gap)
    for label, place in zip(labels, places, strict=True):
        label.set_position((1.04, place))


def _apart(places: list[float], gap: float) -> list[float]:
    """The nearest places in [0, 1], in squares, in the same order and a gap apart.

    >>> [round(place, 3) for place in _apart([0.5, 0.5, 1.0], 0.2)]
    [0.4, 0.6, 1.0]
    """
    # Less the gaps the places must only be in order: isotonic regression.
    pools: list[list[float]] = []
    for index, place in enumerate(places):
        pools.append([place - index * gap])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    level = np.repeat([np.mean(pool) for pool in pools], [len(pool) for pool in pools])
    steps = gap * np.arange(len(places))
    return [float(place) for place in np.clip(level, 0.0, 1.0 - steps[-1]) + steps]
