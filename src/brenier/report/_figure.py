"""Figures without pyplot: no global state, no window, the same bytes for the same data."""

import html
import io
import re
from typing import TYPE_CHECKING

from brenier._extras import check_installed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 160
# The colours of every figure.
INK, WALL = "#222222", "#d4d6da"
RED, GREEN, BLUE = "#c0392b", "#1e8449", "#2471a3"
# Of axes and their words, and of what is only felt.
GREY, FAINT = "#5f6b76", "#e6e9ec"
# Of what stands behind the rest, and of bars that are not the chosen one.
WARP, BAR = "#a9b9c6", "#9aa5ae"
# What a page calls them, so that it can have others in the dark.
_VARIABLES = {
    INK: "ink",
    RED: "red",
    GREEN: "green",
    BLUE: "blue",
    GREY: "soft",
    FAINT: "faint",
    WARP: "warp",
    BAR: "bar",
}
# Digits of an SVG beyond hundredths of a point are seen by nobody; those of its words are.
_LONG, _TAG = re.compile(r"(\d\.\d\d)\d+"), re.compile(r"<[^>]*>")
_COLOUR = re.compile("|".join(_VARIABLES))


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of the house's style, in inches.

    >>> new_figure(4.0, 3.0).get_size_inches().tolist()
    [4.0, 3.0]
    """
    check_installed("figure", "matplotlib")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def new_axes(width: float, height: float) -> "Axes":
    """Axes alone in a figure of the house's style, in inches.

    >>> new_axes(4.0, 3.0).figure.get_size_inches().tolist()
    [4.0, 3.0]
    """
    return new_figure(width, height).add_subplot()


def figure_of(axes: "Axes") -> "Figure":
    """The figure that axes are in.

    >>> figure_of(new_axes(4.0, 3.0)).get_size_inches().tolist()
    [4.0, 3.0]
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def plain(axes: "Axes") -> "Axes":
    """The axes with two spines and quiet ticks.

    >>> plain(new_axes(1.0, 1.0)).spines["top"].get_visible()
    False
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=9, color=GREY, labelcolor=GREY)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=INK, fontsize=10)
    return axes


def png_bytes(figure: "Figure") -> bytes:
    """The figure as a PNG.

    >>> png_bytes(new_figure(1.0, 1.0))[1:4]
    b'PNG'
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()


def svg_text(figure: "Figure", label: str) -> str:
    """The figure as an SVG element of an HTML page; it says ``label`` to those who see none.

    The house's colours are variables of the page (``--ink``, ``--red``, ...), letters are text.

    >>> svg_text(new_figure(1.0, 1.0), "a < b")[:38]
    '<svg role="img" aria-label="a &lt; b" '
    """
    from matplotlib import rc_context

    stream = io.StringIO()
    # The label salts the names of what is drawn once: figures of a page do not share theirs.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": label, "font.family": "sans-serif"}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>\s*|<!--.*?-->\s*", "", body, flags=re.DOTALL)
    # Its own names ("figure_1", "axes_1") stand in every figure.
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r"font: [\d.]+px [^;\"]*", _font, body)
    body = _TAG.sub(lambda tag: _LONG.sub(r"\1", tag[0]), body)
    body = _COLOUR.sub(lambda found: f"var(--{_VARIABLES[found[0]]}, {found[0]})", body)
    width, height = (72.0 * inches for inches in figure.get_size_inches())
    return (
        f'<svg role="img" aria-label="{html.escape(label)}" viewBox="0 0 {width:g} {height:g}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" stroke-linejoin="round">{body}'
    )


def _font(found: re.Match[str]) -> str:
    """The size of a font that stands as it was drawn, in the family of the page."""
    size = found[0].split()[1]
    return f"font-size: {size}; font-family: inherit"
