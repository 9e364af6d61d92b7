"""Files in and out: maps, checkpoints, and the points people bring."""

from brenier._arithmetic import guard
from brenier._atomic import atomic_path, atomic_write, discard_parts, write_whole
from brenier._outputs import (
    FIGURE_ENDINGS,
    MAP_ENDINGS,
    PAGE_ENDINGS,
    check_apart,
    check_folder,
    check_output_folder,
    check_outside,
    is_stream,
)
from brenier.io._refusals import check_file
from brenier.io.cells import (
    BackedRows,
    Cells,
    cells_of,
    check_cells_output,
    check_name,
    is_cells,
    read_cells,
    rows_of_condition,
    write_cells,
)
from brenier.io.modules import (
    Checkpoint,
    check_model_folder,
    load,
    load_diffusers,
    load_model,
    read_manifest,
    read_model_config,
    read_record,
    save,
    save_model,
    write_record,
)
from brenier.io.points import (
    ImageSet,
    Picture,
    Table,
    check_output,
    read_array,
    read_images,
    read_points,
    write_points,
)

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
    "check_file",
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
    "write_whole",
]

# Tables, pictures and cells are read without JAX.
guard(
    globals(),
    [
        "Checkpoint",
        "load",
        "load_diffusers",
        "load_model",
        "read_record",
        "save",
        "save_model",
        "write_record",
    ],
)
