"""A figure of numbers that are compared: a bar each, with its error."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from brenier.report._figure import BLUE, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREY = "#b3b6b7"


class Bar(NamedTuple):
    """A bar: its name, a remark beside it, its length (NaN for none) and its standard error."""

    name: str
    remark: str
    length: float
    stderr: float


def bars_figure(title: str, label: str, bars: Sequence[Bar], *, best: int) -> "Figure":
    """Bars below each other, the first on top, with standard errors; the best in another colour.

    Args:
        title: above them.
        label: of the axis of lengths.
        bars: what is drawn.
        best: the one that stands out, counted from 0.

    >>> bars = [Bar("affine", "", 0.3, 0.02), Bar("bent", "8 pieces", 0.0, 0.0)]
    >>> bars_figure("Maps", "J, above the chosen", bars, best=1).axes[0].get_title(loc="left")
    'Maps'
    """
    figure = new_figure(7.2, 0.9 + 0.36 * len(bars))
    axes = figure.add_subplot()
    places = range(len(bars))
    lengths = [bar.length if math.isfinite(bar.length) else 0.0 for bar in bars]
    errors = [bar.stderr if math.isfinite(bar.stderr) else 0.0 for bar in bars]
    colours = [BLUE if place == best else _GREY for place in places]
    axes.barh(places, lengths, height=0.62, color=colours)
    drawn = [place for place in places if errors[place] > 0]
    axes.errorbar(
        [lengths[place] for place in drawn],
        drawn,
        xerr=[errors[place] for place in drawn],
        fmt="none",
        ecolor=INK,
        elinewidth=1.0,
        capsize=2.5,
    )
    for place, bar in enumerate(bars):
        end = max(lengths[place], 0.0) + errors[place]
        axes.annotate(
            bar.remark,
            (end, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=BLUE if place == best else "#555555",
        )
    axes.set_yticks(places, [bar.name for bar in bars], fontsize=10, color=INK)
    axes.get_yticklabels()[best].set_fontweight("bold")
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9, colors="#555555")
    # Room to the right for the remarks.
    least = min([0.0, *(a - b for a, b in zip(lengths, errors, strict=True) if a < 0.0)])
    longest = max(a + b for a, b in zip(lengths, errors, strict=True))
    axes.set_xlim(1.1 * least, 1.45 * longest or 1.0)
    axes.set_xlabel(label, fontsize=9, color="#555555")
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#aaaaaa")
    return figure
