"""What the figures of KRCO22 are made of: densities, trajectories, coloured clouds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from brenier.measures import TensorTrain

_PIXELS = 160
_PATH, _START, _END = "#2471a3", "#c0392b", "#1e8449"


def square(axes: Any, reach: float) -> None:
    """The same square window for all panels."""
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")


def draw_density(axes: Any, law: TensorTrain, reach: float) -> None:
    """ρ, as an image."""
    side = np.linspace(-reach, reach, _PIXELS)
    points = np.stack(np.meshgrid(side, side), axis=-1)
    axes.imshow(
        np.exp(np.asarray(law.log_density(points))),
        origin="lower",
        cmap="Blues",
        extent=(-reach, reach, -reach, reach),
        interpolation="bilinear",
    )
    square(axes, reach)


def draw_paths(axes: Any, paths: np.ndarray) -> None:
    """Trajectories (n, k, d), with their first and last points."""
    for path in paths:
        axes.plot(path[:, 0], path[:, 1], color=_PATH, linewidth=0.8, alpha=0.8)
    axes.scatter(*paths[:, 0].T, s=9, color=_START, label="x", zorder=3, linewidths=0)
    axes.scatter(*paths[:, -1].T, s=9, color=_END, label="E(x)", zorder=3, linewidths=0)
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def draw_images(axes: Sequence[Any], x: np.ndarray, z: np.ndarray, reach: float) -> None:
    """A cloud and its image, each point in the colour of where its image lies."""
    angle = np.arctan2(z[:, 1], z[:, 0])
    for panel, cloud in zip(axes, (x, z), strict=True):
        panel.scatter(cloud[:, 0], cloud[:, 1], c=angle, cmap="hsv", s=7, linewidths=0)
        square(panel, reach)
