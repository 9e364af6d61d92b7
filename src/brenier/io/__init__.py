"""Files in and out: maps, checkpoints, and the points people bring."""

from brenier.io._atomic import atomic_path, atomic_write, discard_parts
from brenier.io._backed import BackedRows
from brenier.io._cells import Cells, cells_of, is_cells, rows_of_condition
from brenier.io._checkpoint import Checkpoint
from brenier.io._diffusers import load_diffusers
from brenier.io._h5ad import check_cells_output, check_name, read_cells, write_cells
from brenier.io._images import ImageSet, read_images
from brenier.io._maps import load, read_manifest, save
from brenier.io._model_folder import check_model_folder, load_model, read_model_config, save_model
from brenier.io._outputs import (
    FIGURE_ENDINGS,
    MAP_ENDINGS,
    PAGE_ENDINGS,
    check_apart,
    check_folder,
    check_output_folder,
    check_outside,
    is_stream,
)
from brenier.io._points import check_output, read_array, read_points, write_points
from brenier.io._records import read_record, write_record
from brenier.io._table import Picture, Table

__all__ = [
    "FIGURE_ENDINGS",
    "MAP_ENDINGS",
    "PAGE_ENDINGS",
    "BackedRows",
    "Cells",
    "Checkpoint",
    "ImageSet",
    "Picture",
    "Table",
    "atomic_path",
    "atomic_write",
    "cells_of",
    "check_apart",
    "check_cells_output",
    "check_folder",
    "check_model_folder",
    "check_name",
    "check_output",
    "check_output_folder",
    "check_outside",
    "discard_parts",
    "is_cells",
    "is_stream",
    "load",
    "load_diffusers",
    "load_model",
    "read_array",
    "read_cells",
    "read_images",
    "read_manifest",
    "read_model_config",
    "read_points",
    "read_record",
    "rows_of_condition",
    "save",
    "save_model",
    "write_cells",
    "write_points",
    "write_record",
]
