"""The picture of the time experiment."""

import numpy as np

from brenier.report import BLUE, GREEN, RED, new_figure, png_bytes


def time_figure(
    snapshots: list[np.ndarray], left_out: np.ndarray, ours: np.ndarray, paths: np.ndarray
) -> bytes:
    """Snapshots and the paths of some points; beside them the one left out, and ours."""
    figure = new_figure(11.0, 4.2)
    series, compared = figure.subplots(1, 2, sharex=True, sharey=True)
    for i, snapshot in enumerate(snapshots):
        shade = 0.85 - 0.2 * i
        series.plot(*snapshot.T, ".", color=str(shade), markersize=3)
    for line in paths:
        series.plot(*line.T, "-", color=BLUE, linewidth=0.7, alpha=0.7)
    series.set_title("snapshots of times 0, 1, 3, 4, and paths of forty points", fontsize=9)
    compared.plot(*snapshots[1].T, ".", color="0.88", markersize=3, label="times 1 and 3")
    compared.plot(*snapshots[2].T, ".", color="0.88", markersize=3)
    compared.plot(*left_out.T, ".", color=GREEN, markersize=3, label="time 2, left out")
    compared.plot(*ours.T, ".", color=RED, markersize=3, label="time 2, interpolated")
    compared.legend(frameon=False, fontsize=8, markerscale=2, loc="upper left")
    for axis in (series, compared):
        axis.set_aspect("equal")
    return png_bytes(figure)
