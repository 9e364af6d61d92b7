"""The figures of a certificate, as plain dictionaries that plotly.js draws.

A trace with ``meta.columns`` holds its points along every direction of ``layout.meta.labels``;
one with ``meta.margins`` the steps of each direction: the page's script shows the chosen two.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier.report._certificate_views import Views, spaced
from brenier.report._figure import BLUE, INK, RED

if TYPE_CHECKING:
    from brenier.certify import Asymmetry, Certificate, Defect, Ring

Spec = dict[str, Any]

_GREY, _FAINT = "#5f6b76", "#e6e9ec"
_SCALE = [[0.0, "#d9e4ed"], [0.5, BLUE], [1.0, "#0f2537"]]
_ARROWS, _CLOUD, _BINS = 250, 700, 40
_RING_DRAWN, _RING_ARROWS = 200, 24
_FLOOR = 1e-12  # asymmetries below this are rounding
_QUANTILES = ("50 %", "90 %", "99 %")


def interval_figure(defect: "Defect", cost: float, tolerance: float | None) -> Spec:
    """The certified interval of D, what it was made of, and the tolerance: relative where finite.

    Not relative where the upper bound leaves room for W₂² = 0.
    """
    relative = math.isfinite(defect.relative_upper) or not math.isfinite(defect.upper)

    def place(value: float) -> float:
        if not relative:
            return value
        if defect.relative_upper == 0.0:
            return 0.0  # all of it is rounding, and W₂² may be 0
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
    says = " to ".join(dict.fromkeys(map(_number, interval))) + unit
    if not math.isfinite(interval[1]):
        says = f"from {_number(interval[0])}{unit},<br>no upper bound"
    labels = [f"<b>D(T), {100 * defect.level:g} %</b><br>{says}"]
    for row, (label, symbol, ink, mean, stderr) in zip((1, 0), rows, strict=True):
        centre, low, high = (place(v) for v in (mean, mean - stderr, mean + stderr))
        labels.append(f"{label}<br>{_number(centre)}{unit}")
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
    shapes, notes = [_line(0.0, INK, "solid")], []
    if tolerance is not None and bound is not None:
        shapes.append(_line(bound, _GREY, "dash"))
        left = bound > 0.6 * right
        notes.append(_mark(f"tolerance p = {_number(100.0 * tolerance)} %", bound, left))
    title = "D(T) relative to W₂², per cent" if relative else "D(T)"
    axis = _axis(title) | {"range": [-0.02 * right, right]}
    rows_axis = {
        "range": [-0.5, 2.9],
        "fixedrange": True,
        "tickvals": [2, 1, 0],
        "ticktext": labels,
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }
    layout = _layout(250, axis, rows_axis)
    layout |= {"showlegend": False, "shapes": shapes, "annotations": notes}
    return {"data": data, "layout": layout}


def map_figure(x: np.ndarray, tx: np.ndarray, views: Views) -> Spec:
    """Arrows from x to T(x) (evenly chosen); on the line the graph of T."""
    if x.shape[1] == 1:
        order = np.argsort(x[:, 0])
        ends = [float(x.min()), float(x.max())]
        data = [
            {
                "type": "scatter",
                "x": ends,
                "y": ends,
                "mode": "lines",
                "name": "T(x) = x",
                "line": {"color": _GREY, "width": 1, "dash": "dash"},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "x": _short(x[order, 0]),
                "y": _short(tx[order, 0]),
                "mode": "markers",
                "name": "T(x)",
                "marker": {"size": 4, "color": RED},
            },
        ]
        name = views.labels[0]
        return {"data": data, "layout": _layout(440, _axis(name), _axis(f"T: image of {name}"))}
    start, end = views(x), views(tx)
    scales = views.scales()
    chosen = spaced(start[:2] / scales, _ARROWS)
    start, end = start[:, chosen], end[:, chosen]
    gaps = np.full_like(start, np.nan)
    arrows = np.stack([start, end, gaps], axis=2).reshape(len(start), -1)
    # The head of an arrow is no longer than the arrow, drawn some 600 pixels wide.
    lengths = np.linalg.norm((end - start)[:2] / scales, axis=0)
    heads = np.zeros((len(chosen), 3))
    heads[:, 1] = np.minimum(600.0 * lengths, 8.0)
    data = [
        _choosable(
            arrows,
            {
                "mode": "lines+markers",
                "name": "T(x), image",
                "hoverinfo": "skip",
                "line": {"color": "rgba(95, 107, 118, 0.55)", "width": 1},
                "marker": {
                    "symbol": "arrow",
                    "angleref": "previous",
                    "color": RED,
                    "size": heads.ravel().round(1).tolist(),
                    "opacity": 1,
                },
            },
        ),
        _choosable(
            start, {"mode": "markers", "name": "x, source", "marker": {"size": 4.5, "color": BLUE}}
        ),
    ]
    return {"data": data, "layout": _plane_layout(views, 560)}


def asymmetry_figure(asymmetry: "Asymmetry", ring: "Ring | None", views: Views) -> Spec:
    """Where DT is how asymmetric: its largest value marked, the ring drawn if it proves."""
    order = np.argsort(asymmetry.values[:_CLOUD])  # the darkest on top
    data = [
        _choosable(
            views(asymmetry.points[order]),
            {
                "mode": "markers",
                "name": "a(x)",
                "showlegend": False,
                "marker": {
                    "size": 6,
                    "color": _short(asymmetry.values[order]),
                    "colorscale": _SCALE,
                    "cmin": 0.0,
                    "cmax": max(asymmetry.max, 4.0 * asymmetry.error, _FLOOR),
                    "colorbar": {
                        "title": {"text": "a(x)", "font": {"size": 13}},
                        "len": 0.9,
                        "thickness": 12,
                        "outlinewidth": 0,
                        "exponentformat": "power",
                    },
                },
            },
        ),
        _choosable(
            views(np.array([asymmetry.argmax])),
            {
                "mode": "markers",
                "name": f"largest, a = {asymmetry.max:.3g}",
                "marker": {
                    "size": 15,
                    "color": RED,
                    "symbol": "circle-open",
                    "line": {"width": 3, "color": RED},
                },
            },
        ),
    ]
    if ring is not None and ring.proven:
        every = max(1, ring.k // _RING_DRAWN)
        closed = np.concatenate([ring.points[::every], ring.points[:1]])
        data.append(
            _choosable(
                views(closed),
                {
                    "mode": "lines",
                    "name": f"ring of {ring.k:,} neighbours",
                    "line": {"width": 2, "color": RED},
                },
            )
        )
    return {"data": data, "layout": _plane_layout(views, 500)}


def asymmetry_histogram(asymmetry: "Asymmetry") -> Spec:
    """How a(x) is distributed, with its mean and quantiles."""
    right = 1.05 * max(asymmetry.max, 4.0 * asymmetry.error, _FLOOR)
    counts, edges = np.histogram(asymmetry.values, bins=_BINS, range=(0.0, right))
    centres = 0.5 * (edges[1:] + edges[:-1])
    data = [
        {
            "type": "bar",
            "x": _short(centres),
            "y": (counts / counts.sum()).tolist(),
            "width": float(edges[1]),
            "marker": {"color": BLUE, "opacity": 0.45},
            "showlegend": False,
        }
    ]
    marks = [("mean", asymmetry.mean), *zip(_QUANTILES, asymmetry.quantiles, strict=True)]
    top = 1.08 * float((counts / counts.sum()).max())
    for (label, value), dash in zip(marks, ("solid", "dash", "dot", "dashdot"), strict=True):
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [value, value],
                "y": [0.0, top],
                "name": f"{label}: {value:.3g}",
                "hoverinfo": "name",
                "line": {"color": RED if label == "mean" else INK, "width": 1.5, "dash": dash},
            }
        )
    across = _axis("asymmetry a(x)") | {"range": [0.0, right]}
    layout = _layout(270, across, _axis("share of points") | {"range": [0.0, top]})
    return {"data": data, "layout": layout}


def ring_figure(ring: "Ring") -> Spec:
    """The ring and its images in its plane, both about their means: the shift is the cheaper."""
    around = ring.points - ring.points.mean(axis=0)
    plane = np.linalg.svd(around, full_matrices=False)[2][:2]
    x, t = (around @ plane.T).T, ((ring.images - ring.images.mean(axis=0)) @ plane.T).T
    every = np.unique(np.linspace(0, ring.k, _RING_ARROWS, endpoint=False).astype(int))
    shown = np.unique(np.linspace(0, ring.k, _RING_DRAWN, endpoint=False).astype(int))
    data: list[Spec] = []
    for name, to, ink, dash in (
        ("to its own image", t, _GREY, "solid"),
        ("to the next one's", np.roll(t, -1, axis=1), RED, "dot"),
    ):
        lines = np.stack([x[:, every], to[:, every], np.full((2, len(every)), np.nan)], axis=2)
        across, up = lines.reshape(2, -1)
        data.append(
            {
                "type": "scatter",
                "x": _short(across),
                "y": _short(up),
                "mode": "lines",
                "name": name,
                "line": {"color": ink, "width": 1.2, "dash": dash},
                "hoverinfo": "skip",
            }
        )
    # An image can lie right on a point: it is drawn as a circle about it.
    discs = (
        ("x<sub>j</sub>", x, {"size": 5, "color": BLUE}),
        (
            "T(x<sub>j</sub>)",
            t,
            {"size": 11, "color": RED, "symbol": "circle-open", "line": {"width": 1.5}},
        ),
    )
    for name, cloud, marker in discs:
        data.append(
            {
                "type": "scatter",
                "x": _short(cloud[0, shown]),
                "y": _short(cloud[1, shown]),
                "mode": "markers",
                "name": name,
                "marker": marker,
            }
        )
    return {"data": data, "layout": _layout(420, _axis(""), _axis("") | {"scaleanchor": "x"})}


def clouds_figure(samples: dict[str, np.ndarray], views: Views) -> Spec:
    """Source, images and target over each other, with their marginals."""
    clouds = [
        ("x, source", BLUE, "circle", samples["x"]),
        ("T(x), image", RED, "circle", samples["tx"]),
    ]
    if "y" in samples:
        clouds.append(("y, target", INK, "circle-open", samples["y"]))
    seen = [(name, ink, symbol, views(points)) for name, ink, symbol, points in clouds]
    line = len(views.labels) == 1
    data = []
    if not line:
        for name, ink, symbol, columns in seen:
            data.append(
                _choosable(
                    columns[:, :_CLOUD],
                    {
                        "mode": "markers",
                        "name": name,
                        "legendgroup": name,
                        "opacity": 0.55,
                        "marker": {"size": 4.5, "color": ink, "symbol": symbol},
                    },
                )
            )
    steps = [_densities([columns[v] for *_, columns in seen]) for v in range(len(views.labels))]
    for side in ("x",) if line else ("x", "y"):
        for i, (name, ink, _, _) in enumerate(seen):
            margins = [
                {"x": edges, "y": heights[i]} if side == "x" else {"x": heights[i], "y": edges}
                for edges, heights in steps
            ]
            data.append(
                {
                    "type": "scatter",
                    **margins[0 if side == "x" else 1],
                    "mode": "lines",
                    "name": name,
                    "legendgroup": name,
                    "showlegend": line,
                    "hoverinfo": "skip",
                    "line": {
                        "color": ink,
                        "width": 1.5,
                        "shape": "hv" if side == "x" else "vh",
                        "dash": "dot" if name.startswith("y") else "solid",
                    },
                    "meta": {"margins": margins, "side": side},
                    **({} if line else {"yaxis": "y2"} if side == "x" else {"xaxis": "x2"}),
                }
            )
    if line:
        up = _axis("density") | {"rangemode": "tozero"}
        return {"data": data, "layout": _layout(380, _axis(views.labels[0]), up)}
    layout = _plane_layout(views, 640)
    hidden = {"showticklabels": False, "showgrid": False, "rangemode": "tozero", "zeroline": False}
    layout["xaxis"]["domain"] = layout["yaxis"]["domain"] = [0.0, 0.8]
    layout |= {
        "xaxis2": {**hidden, "domain": [0.82, 1.0]},
        "yaxis2": {**hidden, "domain": [0.82, 1.0]},
    }
    return {"data": data, "layout": layout}


def growth_figure(defect: "Defect") -> Spec:
    """Δ_n against n; the bounds; and the extrapolation, which is an estimate and no bound."""
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
    across = _axis("pairs n") | {
        "type": "log",
        "range": [low, high],
        "tickvals": sizes,
        "ticktext": [f"{n:,}" for n in sizes],
    }
    up = _axis("D(T)") | {"range": [-0.04 * most, 1.12 * most]}
    return {"data": data, "layout": _layout(360, across, up)}


def figures(certificate: "Certificate", views: Views) -> dict[str, Spec]:
    """All figures of a certificate by name; those that it has no data for are left out."""
    c, d = certificate, certificate.samples["x"].shape[1]
    drawn = {
        "interval": interval_figure(c.defect, c.cost.value, c.how.get("tolerance")),
        "map": map_figure(c.samples["x"], c.samples["tx"], views),
    }
    # On the line every derivative is symmetric: there is nothing to see.
    if c.asymmetry is not None and d > 1:
        drawn["asymmetry"] = asymmetry_figure(c.asymmetry, c.ring, views)
        drawn["histogram"] = asymmetry_histogram(c.asymmetry)
    if c.ring is not None and c.ring.proven and d > 1:
        drawn["ring"] = ring_figure(c.ring)
    drawn["clouds"] = clouds_figure(c.samples, views)
    drawn["growth"] = growth_figure(c.defect)
    return drawn


def _choosable(columns: np.ndarray, trace: Spec) -> Spec:
    kept = [_short(column) for column in columns]
    meta = {"columns": kept} if len(kept) > 2 else {}
    return {"type": "scatter", "x": kept[0], "y": kept[1], **trace, "meta": meta}


def _densities(clouds: list[np.ndarray]) -> tuple[list, list[list]]:
    """Edges that all clouds share, and each cloud's density: steps that start and end at 0."""
    low, high = min(c.min() for c in clouds), max(c.max() for c in clouds)
    if low == high:
        low, high = low - 0.5, high + 0.5
    heights = [np.histogram(c, bins=_BINS, range=(low, high), density=True)[0] for c in clouds]
    edges = np.linspace(low, high, _BINS + 1)
    return _short(np.r_[edges[0], edges]), [_short(np.r_[0.0, h, 0.0]) for h in heights]


def _short(values: np.ndarray) -> list[float | None]:
    """Five digits of the range of the values, enough for a picture; gaps for NaN."""
    spread = float(np.nanmax(values) - np.nanmin(values)) or float(np.nanmax(np.abs(values))) or 1.0
    digits = min(5 - math.floor(math.log10(spread)), 300)
    return [None if math.isnan(v) else round(v, digits) for v in values.tolist()]


def _number(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.3g}"


def _axis(title: str) -> Spec:
    return {
        "title": {"text": title, "font": {"size": 13}},
        "gridcolor": _FAINT,
        "zeroline": False,
        "linecolor": _GREY,
        "ticks": "outside",
        "tickcolor": _GREY,
        "automargin": True,
        "exponentformat": "power",
    }


def _layout(height: int, xaxis: Spec, yaxis: Spec) -> Spec:
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
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#aab2b9", "activecolor": _GREY},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.01,
            "yanchor": "bottom",
            "itemsizing": "constant",
        },
    }


def _plane_layout(views: Views, height: int) -> Spec:
    """Axes of equal units, unless their spreads differ too much for that."""
    across, up = views.scales().ravel()
    equal = {"scaleanchor": "x"} if across == up else {}
    meta = {"labels": views.labels, "spreads": views.spreads}
    layout = _layout(height, _axis(views.labels[0]), _axis(views.labels[1]) | equal)
    return layout | ({"meta": meta} if len(views.labels) > 2 else {})


def _line(at: float, ink: str, dash: str) -> Spec:
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


def _mark(text: str, at: float, left: bool) -> Spec:
    """Beside the upper end of a vertical line, on its left or its right."""
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
