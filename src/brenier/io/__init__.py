"""Files in and out: maps, checkpoints, and the points people bring."""

from brenier.io._atomic import atomic_write, check_folder
from brenier.io._checkpoint import Checkpoint
from brenier.io._diffusers import load_diffusers
from brenier.io._images import ImageSet, read_images
from brenier.io._maps import load, read_manifest, save
from brenier.io._model_folder import (
    check_model_folder,
    load_model,
    read_model_config,
    save_model,
)
from brenier.io._points import check_output, read_points, write_points
from brenier.io._table import Picture, Table

__all__ = [
    "Checkpoint",
    "ImageSet",
    "Picture",
    "Table",
    "atomic_write",
    "check_folder",
    "check_model_folder",
    "check_output",
    "load",
    "load_diffusers",
    "load_model",
    "read_images",
    "read_manifest",
    "read_model_config",
    "read_points",
    "save",
    "save_model",
    "write_points",
]
