"""Figures: what is drawn, and that the same data draw the same bytes."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from brenier.report import (
    figure_of,
    image_grid_figure,
    legend_above,
    new_axes,
    palette_figure,
    picture_figure,
    png_bytes,
    summary_table,
    svg_text,
    words_table,
)

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.uniform(-0.2, 1.2, (8, 12, 3))


def test_pictures_stand_side_by_side_with_their_titles():
    from PIL import Image

    figure = picture_figure([("one", PICTURE), ("two", 1 - PICTURE)])
    left, right = figure.axes
    assert [left.get_title(), right.get_title()] == ["one", "two"]
    shown = left.images[0].get_array()
    np.testing.assert_array_equal(shown, np.clip(PICTURE, 0, 1))
    drawn = Image.open(io.BytesIO(png_bytes(figure)))
    assert drawn.width > 1.2 * drawn.height
    assert left.get_position().x1 < right.get_position().x0


def test_palettes_show_each_colour_where_it_is():
    colours = RANDOM.uniform(size=(50, 3))
    colours = colours[np.argsort(colours[:, 0])]
    figure = palette_figure([("palette", colours)], columns=1)
    png_bytes(figure)  # drawing sorts the points by depth
    cloud = figure.axes[0].collections[0]
    at, painted = np.stack(cloud._offsets3d, axis=1), cloud.get_facecolor()[:, :3]
    for found in (at, painted):
        np.testing.assert_allclose(found[np.argsort(found[:, 0])], colours)


def test_the_same_data_draw_the_same_bytes_and_pyplot_is_not_touched():
    import sys

    colours = RANDOM.uniform(size=(9000, 3))
    first, second = (png_bytes(palette_figure([("p", colours)], columns=1)) for _ in range(2))
    assert first == second
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_a_table_shows_every_row():
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(summary_table("Title", {"seconds": "1.5", "file": "a/b.png"}))
    text = console.export_text()
    assert all(word in text for word in ("Title", "seconds", "1.5", "file", "a/b.png"))


def test_a_table_of_words_shows_every_column():
    console = Console(record=True, width=80, file=io.StringIO())
    lines = [("map", "J"), ("affine", "2.0"), ("bent *", "1.5")]
    console.print(words_table("Maps", lines, numbers=[1], best=1))
    text = console.export_text()
    assert all(word in text for word in ("Maps", "map", "J", "affine", "2.0", "bent *", "1.5"))


def test_rows_of_images_that_do_not_match_are_named():
    one, other = np.zeros((2, 8, 8, 1)), np.zeros((3, 8, 8, 1))
    for rows in ([], [("a", one), ("b", other)], [("a", np.zeros((2, 8, 8, 2)))]):
        with pytest.raises(ValueError, match=r"rows: got images of shapes .*; wants one shape"):
            image_grid_figure(rows)


def test_an_svg_keeps_all_digits_of_its_words():
    axes = new_axes(3.0, 2.0)
    axes.annotate("0.00512 to 0.0216 %", (0.5, 0.5))
    text = svg_text(figure_of(axes), "words")
    assert ">0.00512 to 0.0216 %</text>" in text
    assert not re.search(r"d=\"[^\"]*\d\.\d{3}", text)  # of lines hundredths of a point are enough


@pytest.mark.parametrize("count", [3, 4])
def test_a_legend_ends_with_its_figure(count):
    axes = new_axes(5.2, 2.4)
    for i in range(count):
        axes.plot([0, 1], label=f"99 %: 0.21{i}")
    legend_above(axes)
    figure = figure_of(axes)
    png_bytes(figure)
    drawn = axes.get_legend().get_window_extent()
    assert drawn.x1 < 0.93 * figure.get_window_extent().x1  # letters of a browser may be wider
    # Nor does room for it make the axes narrow.
    assert axes.get_window_extent().width > 0.8 * figure.get_window_extent().width
