"""Histograms of source, images and target, column by column."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._checks import check_points
from brenier.report._figure import BLUE, GREY, RED, new_figure, plain
from brenier.report._plane import column_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS, _MOST, _ACROSS = 30, 12, 3


def plot_marginals(
    source: Any,
    moved: Any,
    target: Any = None,
    *,
    names: Sequence[str] | None = None,
    ax: "Axes | Sequence[Axes] | np.ndarray | None" = None,
) -> np.ndarray:
    """Histograms of each column: source, images and target, in bins that the three share.

    The densities of images and target lie on each other where the map reaches its target. (Equal
    marginals do not prove equal laws.)

    Args:
        source, moved, target: points (n, d); no target where None.
        names: of the columns.
        ax: axes, one a column, the first columns where there are fewer; of a new figure where None,
            with the first 12 columns.

    Returns:
        The axes that were drawn on, (columns,).

    Raises:
        ValueError: what is no points, dimensions that differ, or more axes than columns.

    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> [axes.get_title() for axes in plot_marginals(x, 2.0 * x, names=["height", "weight"])]
    ['height', 'weight']
    """
    clouds = [
        (name, ink, check_points(name, points).astype(np.float64))
        for name, ink, points in (
            ("source", GREY, source),
            ("moved", RED, moved),
            ("target", BLUE, target),
        )
        if points is not None
    ]
    widths = {points.shape[1] for _, _, points in clouds}
    if len(widths) != 1:
        raise ValueError(f"moved, target: got dimensions {sorted(widths)}; wants that of source.")
    d = widths.pop()
    titles = column_names(d, names)
    drawn = _new_axes(min(d, _MOST)) if ax is None else np.atleast_1d(np.asarray(ax)).ravel()
    if len(drawn) > d:
        raise ValueError(f"ax: got {len(drawn)} axes; wants at most {d}, one a column.")
    for i, axes in enumerate(drawn):
        _column(axes, titles[i], [(label, ink, points[:, i]) for label, ink, points in clouds])
    handles, labels = drawn[0].get_legend_handles_labels()
    if ax is None:
        drawn[0].figure.legend(
            handles,
            labels,
            loc="outside upper left",
            ncols=len(labels),
            frameon=False,
            fontsize=9,
            labelcolor=GREY,
        )
    else:
        drawn[0].legend(frameon=False, fontsize=9, labelcolor=GREY)
    return drawn


def _new_axes(count: int) -> np.ndarray:
    across = min(count, _ACROSS)
    down = -(-count // across)
    figure = new_figure(5.2, 1.5 * down + 0.5 if across > 1 else 3.0)
    return np.array([figure.add_subplot(down, across, i + 1) for i in range(count)])


def _column(axes: "Axes", title: str, clouds: list[tuple[str, str, np.ndarray]]) -> None:
    plain(axes)
    low = min(column.min() for _, _, column in clouds)
    high = max(column.max() for _, _, column in clouds)
    if low == high:
        low, high = low - 0.5, high + 0.5
    for label, ink, column in clouds:
        heights, edges = np.histogram(column, bins=_BINS, range=(low, high), density=True)
        filled = label == "target"
        axes.stairs(
            heights,
            edges,
            fill=filled,
            color=ink,
            alpha=0.35 if filled else None,
            linewidth=0.0 if filled else 1.4,
            linestyle="--" if label == "source" else "-",
            label=label,
        )
    axes.set_title(title, fontsize=9.5, color=GREY)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(bottom=0.0)
    axes.locator_params(axis="x", nbins=3)
