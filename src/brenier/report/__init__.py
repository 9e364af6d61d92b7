"""Figures, tables and pages: arrays in, a picture or a text out; no file is written."""

from typing import TYPE_CHECKING

from brenier._moved import absent
from brenier.report._candidates import Candidate, plot_candidates
from brenier.report._figure import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    RED,
    figure_of,
    new_axes,
    new_figure,
    plain,
    png_bytes,
    svg_text,
)
from brenier.report._image_grid import image_grid_figure
from brenier.report._map import in_plane, legend_above, plot_map
from brenier.report._marginals import plot_marginals
from brenier.report._page import html_figure, html_fragment, html_page, html_table
from brenier.report._pictures import palette_figure, picture_figure
from brenier.report._plane import Plane, column_names
from brenier.report._progress_bar import progress_bar, progress_log
from brenier.report._tables import summary_table, words_table

__all__ = [
    "BLUE",
    "FAINT",
    "GREEN",
    "GREY",
    "INK",
    "RED",
    "Candidate",
    "Plane",
    "column_names",
    "figure_of",
    "html_figure",
    "html_fragment",
    "html_page",
    "html_table",
    "image_grid_figure",
    "in_plane",
    "legend_above",
    "new_axes",
    "new_figure",
    "palette_figure",
    "picture_figure",
    "plain",
    "plot_candidates",
    "plot_map",
    "plot_marginals",
    "png_bytes",
    "progress_bar",
    "progress_log",
    "summary_table",
    "svg_text",
    "words_table",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that there is
    __getattr__ = absent(__name__)
