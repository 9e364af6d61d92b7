"""Figures of colour transfer: pictures side by side, and their palettes in the colour cube."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from brenier.report._figure import BLUE, GREEN, INK, RED, WALL, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AXES = (("x", "red", RED), ("y", "green", GREEN), ("z", "blue", BLUE))
# More points than these cover each other, and hide the shape of a palette.
_PALETTE_POINTS = 4000


def picture_figure(panels: Sequence[tuple[str, Float[np.ndarray, "height width 3"]]]) -> "Figure":
    """Pictures side by side, each under its title; colours are clipped to [0, 1].

    >>> picture_figure([("grey", np.full((2, 3, 3), 0.5))]).axes[0].get_title()
    'grey'
    """
    height, width = panels[0][1].shape[:2]
    inches = 4.2
    figure = new_figure(inches * len(panels), inches * height / width + 0.5)
    for i, (title, picture) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        axes.imshow(np.clip(picture, 0.0, 1.0), interpolation="antialiased")
        axes.set_title(title, fontsize=14, color=INK)
        axes.set_axis_off()
    return figure


def palette_figure(
    panels: Sequence[tuple[str, Float[np.ndarray, "n 3"]]], *, columns: int = 2
) -> "Figure":
    """Palettes as clouds in the colour cube, each point painted in its own colour.

    Of a large palette a random part is drawn, always the same one.

    >>> palette_figure([("white", np.ones((5, 3)))]).axes[0].get_title()
    'white'
    """
    random = np.random.default_rng(0)
    rows = -(-len(panels) // columns)
    figure = new_figure(4.8 * columns, 4.4 * rows)
    for i, (title, colours) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1, projection="3d")
        count = min(len(colours), _PALETTE_POINTS)
        shown = np.clip(random.choice(colours, count, replace=False), 0.0, 1.0)
        axes.scatter(*shown.T, c=shown, s=5, linewidths=0, depthshade=False)
        axes.set_title(title, fontsize=14, color=INK, y=1.0)
        for name, label, ink in _AXES:
            axis = getattr(axes, f"{name}axis")
            axis.set_pane_color(WALL)  # grey enough for white pixels to show
            axis.set_label_text(label, color=ink)
            axis.labelpad = 4
            getattr(axes, f"set_{name}lim")(0.0, 1.0)
            # The zeros of three axes meet in two corners: one of them is enough.
            getattr(axes, f"set_{name}ticks")([0.0, 0.5, 1.0], ["0" * (name == "x"), "0.5", "1"])
            axes.tick_params(axis=name, labelsize=9, colors="#555555", pad=0)
        axes.view_init(elev=22, azim=-58)
        axes.set_box_aspect((1, 1, 1), zoom=0.9)
    return figure
