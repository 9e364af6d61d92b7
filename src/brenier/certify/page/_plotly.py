"""What the figures of a certificate share: axes, layouts and traces as plotly.js takes them.

Points in more than two dimensions can be seen along several directions (``layout.meta.labels``). A
trace then carries all of them, as ``meta.columns`` (points) or ``meta.margins`` (histograms), and
the page's script draws the two that the reader chooses.
"""

import math
from typing import Any

import numpy as np

from brenier.certify.page._views import Views
from brenier.report import INK

Spec = dict[str, Any]

GREY, FAINT = "#5f6b76", "#e6e9ec"


def choosable(columns: np.ndarray, trace: Spec) -> Spec:
    """A trace of n points along v directions, (v, n): two are drawn, the others can be chosen."""
    kept = [short(column) for column in columns]
    meta = {"columns": kept} if len(kept) > 2 else {}
    return {"type": "scatter", "x": kept[0], "y": kept[1], **trace, "meta": meta}


def short(values: np.ndarray) -> list[float | None]:
    """Values rounded to five digits of their range, enough for a picture; None for NaN."""
    spread = float(np.nanmax(values) - np.nanmin(values)) or float(np.nanmax(np.abs(values))) or 1.0
    digits = min(5 - math.floor(math.log10(spread)), 300)
    return [None if math.isnan(v) else round(v, digits) for v in values.tolist()]


def number(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.3g}"


def axis_of(title: str) -> Spec:
    return {
        "title": {"text": title, "font": {"size": 13}},
        "gridcolor": FAINT,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": GREY,
        "automargin": True,
        "exponentformat": "power",
    }


def layout_of(height: int, xaxis: Spec, yaxis: Spec) -> Spec:
    return {
        "height": height,
        "autosize": True,
        "margin": {"l": 56, "r": 16, "t": 34, "b": 48},
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', sans-serif",
            "size": 13,
            "color": INK,
        },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": xaxis,
        "yaxis": yaxis,
        "hovermode": "closest",
        "dragmode": "pan",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#aab2b9", "activecolor": GREY},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.01,
            "yanchor": "bottom",
            "itemsizing": "constant",
        },
    }


def plane_layout(views: Views, height: int) -> Spec:
    """Axes of equal units, unless their spreads differ too much for that."""
    across, up = views.scales().ravel()
    equal = {"scaleanchor": "x"} if across == up else {}
    meta = {"labels": views.labels, "spreads": views.spreads}
    layout = layout_of(height, axis_of(views.labels[0]), axis_of(views.labels[1]) | equal)
    return layout | ({"meta": meta} if len(views.labels) > 2 else {})


def vertical_line(at: float, ink: str, dash: str) -> Spec:
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": at,
        "x1": at,
        "y0": 0,
        "y1": 1,
        "line": {"color": ink, "width": 1.3, "dash": dash},
        "layer": "between",
    }


def line_label(text: str, at: float, left: bool) -> Spec:
    """A text beside the upper end of a vertical line, on its left or its right."""
    return {
        "text": text,
        "x": at,
        "yref": "paper",
        "y": 1.0,
        "yanchor": "top",
        "showarrow": False,
        "xanchor": "right" if left else "left",
        "xshift": -5 if left else 5,
        "font": {"size": 12},
    }
