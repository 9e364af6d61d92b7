"""Figures, grids of images and tables: arrays in, a picture or a text out; no file is written."""

from typing import TYPE_CHECKING

from brenier._moved import absent
from brenier.report._bars import Bar, bars_figure
from brenier.report._figure import BLUE, GREEN, INK, RED, new_figure, png_bytes
from brenier.report._image_grid import image_grid_figure
from brenier.report._pictures import palette_figure, picture_figure
from brenier.report._progress_bar import progress_bar
from brenier.report._tables import summary_table, words_table

__all__ = [
    "BLUE",
    "GREEN",
    "INK",
    "RED",
    "Bar",
    "bars_figure",
    "image_grid_figure",
    "new_figure",
    "palette_figure",
    "picture_figure",
    "png_bytes",
    "progress_bar",
    "summary_table",
    "words_table",
]

if not TYPE_CHECKING:  # a type checker would take any name for one that there is
    __getattr__ = absent(__name__)
