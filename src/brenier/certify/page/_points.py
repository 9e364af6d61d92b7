"""Figures of points: clouds, the asymmetry of the derivative, the ring of neighbours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from brenier.report import (
    BLUE,
    GREEN,
    GREY,
    INK,
    RED,
    Plane,
    in_plane,
    legend_above,
    new_axes,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from brenier.certify import Asymmetry, Ring

_CLOUD, _BINS = 500, 40
_RING_DRAWN, _RING_ARROWS = 200, 24
# Of small and large values: seen on white and on black.
_SHADES = ("#8fa9bd", "#b07aa1", RED)
_QUANTILES = ("50 %", "90 %", "99 %")


def clouds_axes(samples: dict[str, np.ndarray], plane: Plane) -> "Axes":
    """Source, images and target over each other."""
    axes = plain(new_axes(5.2, 4.6))
    for name, label, ink in (
        ("y", "y, target", GREEN),
        ("x", "x, source", BLUE),
        ("tx", "T(x), image", RED),
    ):
        if name in samples:
            _dots(axes, plane(samples[name][:_CLOUD]), ink, label, alpha=0.6)
    return in_plane(axes, plane)


def asymmetry_axes(asymmetry: "Asymmetry", ring: "Ring | None", plane: Plane) -> "Axes":
    """a(x) as a shade at each point; its largest value is marked, and a ring that proves it."""
    axes = plain(new_axes(5.2, 4.6))
    points, values = plane(asymmetry.points), asymmetry.values
    cuts = np.linspace(0.0, float(values.max()), len(_SHADES) + 1)
    for shade, low, high in zip(_SHADES, cuts[:-1], cuts[1:], strict=True):
        inside = (values >= low) & ((values < high) | (high == cuts[-1]))
        label = f"{low:.2g} to {high:.2g}"
        _dots(axes, points[inside][:_CLOUD], shade, label, alpha=0.9)
    if ring is not None and ring.proven:
        every = max(1, ring.k // _RING_DRAWN)
        closed = plane(np.concatenate([ring.points[::every], ring.points[:1]]))
        axes.plot(*closed.T, color=INK, linewidth=1.5)
    axes.plot(
        *plane(np.array([asymmetry.argmax])).T,
        "o",
        color=INK,
        markersize=13,
        markerfacecolor="none",
        markeredgewidth=1.6,
        label="largest",
    )
    return in_plane(axes, plane)


def asymmetry_histogram(asymmetry: "Asymmetry") -> "Axes":
    """How a(x) is distributed, with its mean and quantiles."""
    axes = plain(new_axes(5.2, 2.4))
    right = 1.05 * asymmetry.max
    counts, edges = np.histogram(asymmetry.values, bins=_BINS, range=(0.0, right))
    axes.stairs(counts / counts.sum(), edges, fill=True, color=BLUE, alpha=0.45)
    marks = [("mean", asymmetry.mean), *zip(_QUANTILES, asymmetry.quantiles, strict=True)]
    for (label, value), dash in zip(marks, ("-", "--", ":", "-."), strict=True):
        ink = RED if label == "mean" else INK
        axes.axvline(value, color=ink, linewidth=1.3, linestyle=dash, label=f"{label}: {value:.3g}")
    axes.set(xlim=(0.0, right), ylim=(0.0, None))
    axes.set(xlabel="asymmetry a(x)", ylabel="share of points")
    return legend_above(axes)


def ring_axes(ring: "Ring") -> "Axes":
    """The ring and its images in the plane of the ring, each about its mean."""
    axes = plain(new_axes(5.2, 4.0))
    around = ring.points - ring.points.mean(axis=0)
    directions = np.linalg.svd(around, full_matrices=False)[2][:2].T
    x, t = around @ directions, (ring.images - ring.images.mean(axis=0)) @ directions
    every, shown = (_spread(ring.k, count) for count in (_RING_ARROWS, _RING_DRAWN))
    for label, to, ink, dash in (
        ("to its own image", t, GREY, "-"),
        ("to the next one's", np.roll(t, -1, axis=0), RED, ":"),
    ):
        lines = np.stack([x[every], to[every]])
        drawn = axes.plot(*lines.transpose(2, 0, 1), color=ink, linewidth=1.1, linestyle=dash)
        drawn[0].set_label(label)
    _dots(axes, x[shown], BLUE, "x", alpha=1.0)
    # An image may lie on a point: drawn as a circle, it does not hide it.
    axes.plot(*t[shown].T, "o", color=RED, markersize=7, markerfacecolor="none", label="T(x)")
    axes.set_aspect("equal", adjustable="datalim")
    return legend_above(axes)


def _spread(k: int, count: int) -> Sequence[int]:
    """At most ``count`` of k places, evenly."""
    return np.unique(np.linspace(0, k, count, endpoint=False).astype(int)).tolist()


def _dots(axes: "Axes", points: np.ndarray, ink: str, label: str, alpha: float) -> None:
    axes.plot(
        *points.T, "o", color=ink, markersize=3.6, markeredgewidth=0, alpha=alpha, label=label
    )
