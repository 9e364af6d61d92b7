"""A map seen: the graph on the line, arrows and a deformed grid in the plane, components above."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from brenier._checks import check_points
from brenier.report._figure import BLUE, GREY, RED, WARP, figure_of, new_axes, plain
from brenier.report._plane import Plane, column_names, spaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ARROWS, _LINES, _NODES, _GRAPH = 80, 15, 81, 2000
# Inches of a legend: about a line and the space beside it, and a letter.
_HANDLE, _LETTER = 0.47, 0.075


def plot_map(
    source: Any, moved: Any, *, names: Sequence[str] | None = None, ax: "Axes | None" = None
) -> "Axes":
    """A map by points and their images: x ↦ T(x).

    On the line the graph of T, beside that of the identity. In the plane arrows from some points,
    evenly chosen, to their images, and what T makes of a straight grid (linear between the points).
    Above, arrows in the two leading principal components of points and images together, where a map
    is no function of what is seen.

    Args:
        source, moved: points and images (n, d), row by row.
        names: of the columns.
        ax: where it is drawn; axes of a new figure where None.

    Raises:
        ValueError: what is no points, or shapes that differ.

    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> plot_map(x, 2.0 * x, names=["height", "weight"]).get_xlabel()
    'height'
    """
    x, tx = (
        check_points(name, points).astype(np.float64)
        for name, points in (("source", source), ("moved", moved))
    )
    if x.shape != tx.shape:
        raise ValueError(
            f"moved: got shape {tx.shape} beside source of {x.shape}; wants equal shapes."
        )
    axes = plain(new_axes(5.2, 4.6) if ax is None else ax)
    if x.shape[1] == 1:
        return _graph(axes, x[:, 0], tx[:, 0], column_names(1, names)[0])
    plane = Plane.of(x, tx, names=names)
    start, end = plane(x), plane(tx)
    if x.shape[1] == 2:
        _grid(axes, start, end)
    scale = np.ptp(np.concatenate([start, end]), axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    rows = spaced(start / (scale.max() if plane.equal else scale), _ARROWS)
    axes.quiver(
        *start[rows].T,
        *(end - start)[rows].T,
        angles="xy",
        scale_units="xy",
        scale=1.0,
        color=GREY,
        width=0.0022,
        alpha=0.75,
        headwidth=5.5,
        zorder=2,
    )
    for points, ink, label in ((start, BLUE, "x, source"), (end, RED, "T(x), image")):
        axes.plot(
            *points[rows].T,
            "o",
            color=ink,
            label=label,
            markersize=3.4,
            markeredgewidth=0,
            zorder=3,
        )
    axes.autoscale_view()
    return in_plane(axes, plane)


def in_plane(axes: "Axes", plane: Plane) -> "Axes":
    """Axes with the names and units of a plane, and a legend above.

    >>> in_plane(new_axes(2.0, 2.0), Plane.of(np.eye(2), names=["a", "b"])).get_ylabel()
    'b'
    """
    if plane.equal:
        axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel=plane.labels[0], ylabel=plane.labels[1])
    return legend_above(axes)


def legend_above(axes: "Axes") -> "Axes":
    """A legend above the axes, of what has a label: in a row, or in two where it is too long.

    >>> legend_above(new_axes(2.0, 2.0)).get_legend() is None
    True
    """
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=_columns(axes, labels),
            frameon=False,
            fontsize=9,
            labelcolor=GREY,
            borderpad=0.2,
            handletextpad=0.5,
            columnspacing=1.2,
        )
    return axes


def _columns(axes: "Axes", labels: Sequence[str]) -> int:
    """So many columns of a legend that it ends with the axes, or in half as many."""
    long = sum(_HANDLE + _LETTER * len(label) for label in labels)
    room = axes.get_position().width * figure_of(axes).get_figwidth()
    return len(labels) if long <= room else -(-len(labels) // 2)


def _graph(
    axes: "Axes", x: Float[np.ndarray, " n"], tx: Float[np.ndarray, " n"], name: str
) -> "Axes":
    order = np.argsort(x)[:: max(1, len(x) // _GRAPH)]
    ends = [float(x.min()), float(x.max())]
    axes.plot(ends, ends, color=GREY, linewidth=1.0, linestyle="--", label="T(x) = x")
    axes.plot(x[order], tx[order], "o", color=RED, markersize=2.6, markeredgewidth=0, label="T(x)")
    axes.set(xlabel=name, ylabel=f"image of {name}")
    return legend_above(axes)


def _grid(axes: "Axes", x: Float[np.ndarray, "n 2"], tx: Float[np.ndarray, "n 2"]) -> None:
    """The images of straight lines through the points, where they are inside of their hull."""
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    low, high = np.quantile(x, [0.01, 0.99], axis=0)
    along = np.linspace(low, high, _NODES)
    lines = np.tile(along, (2, _LINES, 1, 1))
    for side in (0, 1):
        lines[side, ..., side] = np.linspace(low[side], high[side], _LINES)[:, None]
    try:
        # Its factorisations are of two rows: threads would only wait for each other, for seconds.
        with threadpool_limits(1, user_api="blas"):
            images = LinearNDInterpolator(x, tx)(lines)
    except QhullError:  # fewer than three points, or all on one line: there are no triangles
        return
    for image in images.reshape(-1, _NODES, 2):
        axes.plot(*image.T, color=WARP, linewidth=0.8, zorder=1)
