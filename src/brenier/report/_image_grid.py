"""Grids of images: each column a code, each row a model or a label."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from brenier.report._figure import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Pixels between images, as a share of their side; and their side in inches.
_GAP, _INCHES = 0.08, 0.62


def image_grid_figure(rows: Sequence[tuple[str, Float[np.ndarray, "n h w c"]]]) -> "Figure":
    """Rows of images in [0, 1], one under the other, each behind its name.

    Args:
        rows: (name, images); the same number and size of images in each, grey or RGB.

    Raises:
        ValueError: no rows, rows that do not match, or channels that are no colours.

    >>> image_grid_figure([("a", np.zeros((3, 8, 8, 1))), ("b", np.ones((3, 8, 8, 1)))]).axes[0]
    <Axes: >
    """
    shapes = {images.shape for _, images in rows}
    if len(shapes) != 1 or next(iter(shapes))[3] not in (1, 3):
        raise ValueError(
            f"rows: got images of shapes {sorted(shapes)}; wants one shape (n, h, w, "
            "1 or 3) for all rows."
        )
    n, height, width, channels = next(iter(shapes))
    # One canvas, so that a pixel of an image is a square of the picture.
    gap = max(1, round(_GAP * height))
    canvas = np.ones((len(rows) * (height + gap) - gap, n * (width + gap) - gap, channels))
    for i, (_, images) in enumerate(rows):
        for j, image in enumerate(images):
            top, left = i * (height + gap), j * (width + gap)
            canvas[top : top + height, left : left + width] = image
    label = 0.2 + 0.065 * max(len(name) for name, _ in rows)
    inches = _INCHES / height
    figure = new_figure(label + inches * canvas.shape[1], inches * canvas.shape[0] + 0.1)
    axes = figure.add_subplot()
    picture = np.clip(canvas, 0.0, 1.0)
    axes.imshow(
        np.repeat(picture, 3, axis=2) if channels == 1 else picture, interpolation="nearest"
    )
    axes.set_anchor("E")
    axes.set_xticks([])
    axes.set_yticks(
        [i * (height + gap) + 0.5 * (height - 1) for i in range(len(rows))],
        [name for name, _ in rows],
        fontsize=9,
        color=INK,
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure
