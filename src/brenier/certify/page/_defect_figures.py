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


def interval_figure(defect: "Defect", cost: float, tolerance: float | None) -> Spec:
    """The certified interval of D, the two means that it was made of, and the tolerance.

    In per cent of W₂²; in absolute numbers where a finite upper bound does not exclude W₂² = 0.
    """
    relative = math.isfinite(defect.relative_upper) or not math.isfinite(defect.upper)

    def place(value: float) -> float:
        if not relative:
            return value
        if defect.relative_upper == 0.0:
            return 0.0  # nothing but rounding, and W₂² may be 0
        share = value / (cost - value) if value < cost else (0.0 if value == 0.0 else math.inf)
        return 100.0 * share

    bound = None
    if tolerance is not None:
        bound = 100.0 * tolerance if relative else tolerance * cost / (1.0 + tolerance)
    interval = (
        (100.0 * defect.relative_lower, 100.0 * defect.relative_upper)
        if relative
        else (defect.lower, defect.upper)
    )
    unit = " %" if relative else ""
    rows = [
        ("permutation Δ<sub>n</sub>", "diamond", BLUE, defect.matched, defect.matched_stderr),
        ("Fenchel–Young gap", "circle", RED, defect.gap, defect.gap_stderr),
    ]
    ends = [*interval, *(place(m + s) for *_, m, s in rows), *([bound] if bound else [])]
    most = max([e for e in ends if math.isfinite(e)] + [1e-300])
    right = 1.08 * most if math.isfinite(interval[1]) else 1.5 * most
    data: list[Spec] = [
        {
            "type": "scatter",
            "x": [interval[0], min(interval[1], 0.97 * right)],
            "y": [2, 2],
            "mode": "lines+markers",
            "line": {"width": 9, "color": INK},
            "hoverinfo": "x",
            "marker": {
                "size": 20,
                "color": INK,
                "line": {"width": 3, "color": INK},
                "opacity": 1,
                "symbol": ["line-ns", "line-ns" if interval[1] <= right else "triangle-right"],
            },
        }
    ]
    says = " to ".join(dict.fromkeys(map(number, interval))) + unit
    if not math.isfinite(interval[1]):
        says = f"from {number(interval[0])}{unit},<br>no upper bound"
    labels = [f"<b>D(T), {100 * defect.level:g} %</b><br>{says}"]
    for row, (label, symbol, ink, mean, stderr) in zip((1, 0), rows, strict=True):
        centre, low, high = (place(v) for v in (mean, mean - stderr, mean + stderr))
        labels.append(f"{label}<br>{number(centre)}{unit}")
        shown = min(centre, right)
        data.append(
            {
                "type": "scatter",
                "x": [shown],
                "y": [row],
                "mode": "markers",
                "hoverinfo": "x",
                "marker": {"size": 11, "color": ink, "symbol": symbol},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "color": ink,
                    "thickness": 1.5,
                    "array": [min(high, right) - shown],
                    "arrayminus": [shown - min(low, right)],
                },
            }
        )
    shapes, notes = [vertical_line(0.0, INK, "solid")], []
    if tolerance is not None and bound is not None:
        shapes.append(vertical_line(bound, GREY, "dash"))
        left = bound > 0.6 * right
        notes.append(line_label(f"tolerance p = {number(100.0 * tolerance)} %", bound, left))
    title = "D(T) relative to W₂², per cent" if relative else "D(T)"
    axis = axis_of(title) | {"range": [-0.02 * right, right]}
    rows_axis = {
        "range": [-0.5, 2.9],
        "fixedrange": True,
        "tickvals": [2, 1, 0],
        "ticktext": labels,
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }
    layout = layout_of(250, axis, rows_axis)
    layout |= {"showlegend": False, "shapes": shapes, "annotations": notes}
    return {"data": data, "layout": layout}


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
