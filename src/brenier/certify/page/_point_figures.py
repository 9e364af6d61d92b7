"""Figures of points: the map's arrows, and the clouds of source, images and target."""

import numpy as np

from brenier.certify.page._plotly import (
    GREY,
    Spec,
    axis_of,
    choosable,
    layout_of,
    plane_layout,
    short,
)
from brenier.certify.page._views import Views, spaced
from brenier.report import BLUE, INK, RED

_ARROWS, _CLOUD, _BINS = 250, 700, 40


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
                "line": {"color": GREY, "width": 1, "dash": "dash"},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "x": short(x[order, 0]),
                "y": short(tx[order, 0]),
                "mode": "markers",
                "name": "T(x)",
                "marker": {"size": 4, "color": RED},
            },
        ]
        name = views.labels[0]
        return {
            "data": data,
            "layout": layout_of(440, axis_of(name), axis_of(f"T: image of {name}")),
        }
    start, end = views(x), views(tx)
    scales = views.scales()
    chosen = spaced(start[:2] / scales, _ARROWS)
    start, end = start[:, chosen], end[:, chosen]
    gaps = np.full_like(start, np.nan)
    arrows = np.stack([start, end, gaps], axis=2).reshape(len(start), -1)
    # The head of an arrow is no longer than the arrow; the figure is about 600 pixels wide.
    lengths = np.linalg.norm((end - start)[:2] / scales, axis=0)
    heads = np.zeros((len(chosen), 3))
    heads[:, 1] = np.minimum(600.0 * lengths, 8.0)
    data = [
        choosable(
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
        choosable(
            start, {"mode": "markers", "name": "x, source", "marker": {"size": 4.5, "color": BLUE}}
        ),
    ]
    return {"data": data, "layout": plane_layout(views, 560)}


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
                choosable(
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
        up = axis_of("density") | {"rangemode": "tozero"}
        return {"data": data, "layout": layout_of(380, axis_of(views.labels[0]), up)}
    layout = plane_layout(views, 640)
    hidden = {"showticklabels": False, "showgrid": False, "rangemode": "tozero", "zeroline": False}
    layout["xaxis"]["domain"] = layout["yaxis"]["domain"] = [0.0, 0.8]
    layout |= {
        "xaxis2": {**hidden, "domain": [0.82, 1.0]},
        "yaxis2": {**hidden, "domain": [0.82, 1.0]},
    }
    return {"data": data, "layout": layout}


def _densities(clouds: list[np.ndarray]) -> tuple[list, list[list]]:
    """Edges that all clouds share, and each cloud's density: steps that start and end at 0."""
    low, high = min(c.min() for c in clouds), max(c.max() for c in clouds)
    if low == high:
        low, high = low - 0.5, high + 0.5
    heights = [np.histogram(c, bins=_BINS, range=(low, high), density=True)[0] for c in clouds]
    edges = np.linspace(low, high, _BINS + 1)
    return short(np.r_[edges[0], edges]), [short(np.r_[0.0, h, 0.0]) for h in heights]
