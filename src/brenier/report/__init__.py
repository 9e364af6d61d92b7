"""Figures and tables: arrays in, a figure or a table out; nothing here opens a file."""

from brenier.report._figure import new_figure, png_bytes
from brenier.report._pictures import palette_figure, picture_figure
from brenier.report._tables import summary_table

__all__ = ["new_figure", "palette_figure", "picture_figure", "png_bytes", "summary_table"]
