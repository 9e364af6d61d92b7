"""Single cells: AnnData and its files."""

from brenier.io.cells._backed import BackedRows
from brenier.io.cells._cells import (
    Cells,
    cells_of,
    check_obs_column,
    is_cells,
    obs_column,
    rows_of_condition,
)
from brenier.io.cells._h5ad import check_cells_output, check_name, read_cells, write_cells

__all__ = [
    "BackedRows",
    "Cells",
    "cells_of",
    "check_cells_output",
    "check_name",
    "check_obs_column",
    "is_cells",
    "obs_column",
    "read_cells",
    "rows_of_condition",
    "write_cells",
]
