"""Files in and out: maps, checkpoints, and the points people bring."""

from brenier.io._atomic import atomic_write, check_folder
from brenier.io._checkpoint import Checkpoint
from brenier.io._maps import load, read_manifest, save
from brenier.io._points import check_output, read_points, write_points
from brenier.io._table import Picture, Table

__all__ = [
    "Checkpoint",
    "Picture",
    "Table",
    "atomic_write",
    "check_folder",
    "check_output",
    "load",
    "read_manifest",
    "read_points",
    "save",
    "write_points",
]
