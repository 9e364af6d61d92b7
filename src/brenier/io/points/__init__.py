"""Points as people bring them: tables, arrays, pictures and sets of images."""

from brenier.io.points._array_rows import ArrayRows
from brenier.io.points._image_set import ImageSet
from brenier.io.points._images import image_blocks, open_images, read_images
from brenier.io.points._picture_rows import PictureRows
from brenier.io.points._points import (
    check_output,
    read_array,
    read_points,
    read_weighted_points,
    write_points,
)
from brenier.io.points._table import Picture, Table
from brenier.io.points._words import check_words_file, read_conditions, read_words, write_columns

__all__ = [
    "ArrayRows",
    "ImageSet",
    "Picture",
    "PictureRows",
    "Table",
    "check_output",
    "check_words_file",
    "image_blocks",
    "open_images",
    "read_array",
    "read_conditions",
    "read_images",
    "read_points",
    "read_weighted_points",
    "read_words",
    "write_columns",
    "write_points",
]
