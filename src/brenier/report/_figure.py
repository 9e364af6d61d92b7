"""Figures without pyplot: no global state, no window, the same bytes for the same data."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 160
# The colours of every figure.
INK, WALL = "#222222", "#d4d6da"
RED, GREEN, BLUE = "#c0392b", "#1e8449", "#2471a3"


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of the house's style, in inches.

    >>> new_figure(4.0, 3.0).get_size_inches().tolist()
    [4.0, 3.0]
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def png_bytes(figure: "Figure") -> bytes:
    """The figure as a PNG.

    >>> png_bytes(new_figure(1.0, 1.0))[1:4]
    b'PNG'
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()
