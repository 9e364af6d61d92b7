"""Figures of the defect: its certified interval, and the lower bound as the sample grows."""

import math
from typing import TYPE_CHECKING

from brenier.certify.page._plotly import (
    GREY,
    Spec,
    axis_of,
    layout_of,
    line_label,
    number,
    vertical_line,
)
from brenier.report import BLUE, INK, RED

if TYPE_CHECKING:
    from brenier.certify import Defect


def interval_figure(defect: "Defect", tolerance: float | None) -> Spec:
    """The wasted share of what is moved, of all and beyond one common shift, and the tolerance."""
    bars = wasted_shares(defect)
    asked = None if tolerance is None else 100.0 * tolerance / (1.0 + tolerance)
    ends = [100.0 * end for _, *share in bars for end in share]
    most = max([*ends, *([] if asked is None else [asked])])
    right = 1.08 * most if most > 0 else 1.0
    data: list[Spec] = []
    labels = []
    for row, (label, low, high) in enumerate(reversed(bars)):
        own = (100.0 * low, 100.0 * high)
        says = " to ".join(dict.fromkeys(map(number, own)))
        labels.append(f"<b>{label}</b><br>{says} %")
        data.append(
            {
                "type": "scatter",
                "x": list(own),
                "y": [row, row],
                "mode": "lines+markers",
                "line": {"width": 9, "color": INK},
                "hoverinfo": "x",
                "marker": {
                    "size": 20,
                    "color": INK,
                    "line": {"width": 3, "color": INK},
                    "opacity": 1,
                    "symbol": "line-ns",
                },
            }
        )
    shapes, notes = [vertical_line(0.0, INK, "solid")], []
    if tolerance is not None and asked is not None:
        shapes.append(vertical_line(asked, GREY, "dash"))
        left = asked > 0.6 * right
        notes.append(line_label(f"tolerance p = {number(100.0 * tolerance)} %", asked, left))
    axis = axis_of("wasted, per cent of what is moved") | {"range": [-0.02 * right, right]}
    rows_axis = {
        "range": [-0.5, len(bars) - 0.1],
        "fixedrange": True,
        "tickvals": list(range(len(bars))),
        "ticktext": labels,
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }
    layout = layout_of(110 + 70 * len(bars), axis, rows_axis)
    layout |= {"showlegend": False, "shapes": shapes, "annotations": notes}
    return {"data": data, "layout": layout}


def wasted_shares(defect: "Defect") -> list[tuple[str, float, float]]:
    """(of what, lower, upper) of the wasted share; without a core from the bounds of W₂²."""
    bars = []
    for part in defect.parts:
        of = ""
        if len(defect.parts) > 1:
            of = ", whole map" if part.outside == 0.0 else ", core"
        shares = (
            (part.wasted, "of all that is moved"),
            (part.wasted_beyond_shift, "beyond one common shift"),
        )
        bars += [(f"{name}{of}", share.lower, share.upper) for share, name in shares]
    if bars:
        return bars
    ends = [
        r / (1.0 + r) if math.isfinite(r) else 1.0
        for r in (defect.relative_lower, defect.relative_upper)
    ]
    return [("of all that is moved", ends[0], ends[1])]


def growth_figure(defect: "Defect") -> Spec:
    """Δ_n against n, the certified bounds, and the extrapolated estimate."""
    sizes, means = [row.n for row in defect.growth], [row.mean for row in defect.growth]
    low, high = math.log10(sizes[0]) - 0.15, math.log10(sizes[-1]) + 0.35
    ends = [10**low, 10**high]
    data = [
        {
            "type": "scatter",
            "x": sizes,
            "y": means,
            "mode": "lines+markers",
            "name": "Δ<sub>n</sub>, mean of the batches",
            "line": {"color": BLUE, "width": 2},
            "marker": {"size": 9, "symbol": "diamond", "color": BLUE},
        }
    ]
    levels = [("certified lower bound", defect.lower, INK, "solid")]
    if not math.isnan(defect.estimate):
        levels.append(("extrapolated: an estimate, no bound", defect.estimate, RED, "dot"))
    top = max([*means, *(level for _, level, _, _ in levels)])
    # An upper bound far above would flatten the rest.
    if defect.upper <= 3.0 * top or (top == 0.0 and math.isfinite(defect.upper)):
        levels.append(("certified upper bound", defect.upper, INK, "dash"))
    for name, level, ink, dash in levels:
        data.append(
            {
                "type": "scatter",
                "x": ends,
                "y": [level, level],
                "mode": "lines",
                "name": name,
                "line": {"color": ink, "width": 1.5, "dash": dash},
            }
        )
    most = max([level for _, level, _, _ in levels] + means) or 1.0
    across = axis_of("pairs n") | {
        "type": "log",
        "range": [low, high],
        "tickvals": sizes,
        "ticktext": [f"{n:,}" for n in sizes],
    }
    up = axis_of("D(T)") | {"range": [-0.04 * most, 1.12 * most]}
    return {"data": data, "layout": layout_of(360, across, up)}
