"""Figures of the witnesses: the asymmetry of the derivative, and the ring of neighbours."""

from typing import TYPE_CHECKING

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
from brenier.certify.page._views import Views
from brenier.report import BLUE, INK, RED

if TYPE_CHECKING:
    from brenier.certify import Asymmetry, Ring


_SCALE = [[0.0, "#d9e4ed"], [0.5, BLUE], [1.0, "#0f2537"]]
_CLOUD, _BINS = 700, 40
_RING_DRAWN, _RING_ARROWS = 200, 24
_FLOOR = 1e-12  # asymmetries below this are rounding
_QUANTILES = ("50 %", "90 %", "99 %")


def asymmetry_figure(asymmetry: "Asymmetry", ring: "Ring | None", views: Views) -> Spec:
    """a(x) as a colour at each point; its largest value is marked, and a ring that proves it."""
    order = np.argsort(asymmetry.values[:_CLOUD])  # the darkest on top
    data = [
        choosable(
            views(asymmetry.points[order]),
            {
                "mode": "markers",
                "name": "a(x)",
                "showlegend": False,
                "marker": {
                    "size": 6,
                    "color": short(asymmetry.values[order]),
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
        choosable(
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
            choosable(
                views(closed),
                {
                    "mode": "lines",
                    "name": f"ring of {ring.k:,} neighbours",
                    "line": {"width": 2, "color": RED},
                },
            )
        )
    return {"data": data, "layout": plane_layout(views, 500)}


def asymmetry_histogram(asymmetry: "Asymmetry") -> Spec:
    """How a(x) is distributed, with its mean and quantiles."""
    right = 1.05 * max(asymmetry.max, 4.0 * asymmetry.error, _FLOOR)
    counts, edges = np.histogram(asymmetry.values, bins=_BINS, range=(0.0, right))
    centres = 0.5 * (edges[1:] + edges[:-1])
    data = [
        {
            "type": "bar",
            "x": short(centres),
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
    across = axis_of("asymmetry a(x)") | {"range": [0.0, right]}
    layout = layout_of(270, across, axis_of("share of points") | {"range": [0.0, top]})
    return {"data": data, "layout": layout}


def ring_figure(ring: "Ring") -> Spec:
    """The ring and its images in the plane of the ring, each about its mean."""
    around = ring.points - ring.points.mean(axis=0)
    plane = np.linalg.svd(around, full_matrices=False)[2][:2]
    x, t = (around @ plane.T).T, ((ring.images - ring.images.mean(axis=0)) @ plane.T).T
    every = np.unique(np.linspace(0, ring.k, _RING_ARROWS, endpoint=False).astype(int))
    shown = np.unique(np.linspace(0, ring.k, _RING_DRAWN, endpoint=False).astype(int))
    data: list[Spec] = []
    for name, to, ink, dash in (
        ("to its own image", t, GREY, "solid"),
        ("to the next one's", np.roll(t, -1, axis=1), RED, "dot"),
    ):
        lines = np.stack([x[:, every], to[:, every], np.full((2, len(every)), np.nan)], axis=2)
        across, up = lines.reshape(2, -1)
        data.append(
            {
                "type": "scatter",
                "x": short(across),
                "y": short(up),
                "mode": "lines",
                "name": name,
                "line": {"color": ink, "width": 1.2, "dash": dash},
                "hoverinfo": "skip",
            }
        )
    # An image may lie on a point: drawn as a circle, it does not hide it.
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
                "x": short(cloud[0, shown]),
                "y": short(cloud[1, shown]),
                "mode": "markers",
                "name": name,
                "marker": marker,
            }
        )
    return {"data": data, "layout": layout_of(420, axis_of(""), axis_of("") | {"scaleanchor": "x"})}
