"""Images from folders of pictures, arrays or IDX files."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from brenier._checks import check_at_least
from brenier.io._refusals import check_file
from brenier.io.points._array_rows import ArrayRows, as_images, in_unit_interval
from brenier.io.points._arrays import read_npy
from brenier.io.points._idx import read_idx
from brenier.io.points._image_set import ImageSet
from brenier.io.points._picture_folder import COLOURS, PictureFolder, fitted, recoloured, seen
from brenier.io.points._picture_rows import PictureRows

# Bytes of the images of a set that are held: those of larger ones are read when they are asked for.
_HELD = 2**28
_IDX = "-idx"


def read_images(
    spec: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    size: tuple[int, int] | None = None,
    colours: Literal["grey", "rgb"] | None = None,
    levels: int = 256,
    strict: bool = False,
    limit: int | None = None,
) -> ImageSet[np.ndarray]:
    """The images at a path.

    A folder of pictures, or of folders of pictures, which are the classes, in order of name (what
    is hidden, as ``.ipynb_checkpoints`` and ``._1.png``, or left behind by a system, as
    ``__MACOSX``, is none); an ``.npy`` (n, h, w) or (n, h, w, c), floats in [0, 1] or integers
    below ``levels``; an IDX file, ``.gz`` or not, whose labels beside it are found by their name;
    or a folder with one such file.

    Pictures of several sizes are refused unless ``size`` is given: then each is cropped about its
    centre to that shape, and resized. Grey and coloured ones together become coloured. ``notes``
    says what was done to how many. A picture that cannot be read is skipped, and named in
    ``skipped``; with ``strict`` it is refused.

    Args:
        spec: where they are.
        labels: an ``.npy`` or IDX file of integers, one for each image.
        size: (height, width) to resize to.
        colours: to convert to.
        levels: grey levels of integer arrays.
        strict: refuse a set with a damaged file.
        limit: take at most so many, spread over the set; no others are read, but of IDX files.

    Raises:
        ValueError: no images there, damaged ones, several sizes, values or labels out of range.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/grey.npy"
    >>> np.save(path, np.full((2, 8, 8), 255, np.uint8))
    >>> read_images(path).pixels.shape
    (2, 8, 8, 1)
    """
    return _opened(spec, labels, size, colours, levels, strict, limit, None)


def open_images(
    spec: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    size: tuple[int, int] | None = None,
    colours: Literal["grey", "rgb"] | None = None,
    levels: int = 256,
    strict: bool = False,
    most: int = _HELD,
) -> "ImageSet[np.ndarray] | ImageSet[PictureRows] | ImageSet[ArrayRows]":
    """``read_images``, of which large folders of pictures, and large arrays, stay in their files.

    Each image is read once, to find damaged ones. Where all take more than ``most`` bytes as
    float32, ``pixels`` is an array whose rows are read again when they are asked for, the same
    ones: training takes batches of it. IDX files are held.

    Raises:
        ValueError: as ``read_images``.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/grey.npy"
    >>> np.save(path, np.full((2, 8, 8), 255, np.uint8))
    >>> open_images(path).pixels[:1].shape
    (1, 8, 8, 1)
    """
    return _opened(spec, labels, size, colours, levels, strict, None, most)


def image_blocks(
    spec: str | os.PathLike[str],
    rows: int,
    *,
    size: tuple[int, int],
    colours: Literal["grey", "rgb"] | None,
    levels: int = 256,
    strict: bool = False,
    limit: int | None = None,
) -> tuple[int, Iterator[ImageSet[np.ndarray]]]:
    """``read_images``, ``rows`` at a time, and how many there are at most.

    Of a folder of pictures, or of an array, only one block is held; an IDX file is read whole.
    Where there is no folder, or no ``colours``, all are looked at before the first block. ``notes``
    and ``skipped`` of a block are those of all pictures up to it, of the last block those of all.

    Raises:
        ValueError: as ``read_images``, some of it while blocks are read.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/grey.npy"
    >>> np.save(path, np.full((5, 8, 8), 255, np.uint8))
    >>> n, blocks = image_blocks(path, 2, size=(8, 8), colours="grey")
    >>> n, [len(block.pixels) for block in blocks]
    (5, [2, 2, 1])
    """
    check_at_least("rows", rows, 1)
    path = Path(spec)
    if not path.is_dir() or colours is None or any(_IDX + "3" in file.name for file in seen(path)):
        found = _opened(spec, None, size, colours, levels, strict, limit, 0)
        n = len(found.pixels)
        return n, (found.rows(slice(at, at + rows)).held() for at in range(0, n, rows))
    source = PictureFolder.of(path, size, colours, strict).spread(limit)
    return len(source.listed), _blocks_of(source, rows)


def _opened(
    spec: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    size: tuple[int, int] | None,
    colours: Literal["grey", "rgb"] | None,
    levels: int,
    strict: bool,
    limit: int | None,
    most: int | None,
) -> ImageSet[Any]:
    """``read_images``, and with a number of bytes ``open_images``."""
    path, name = Path(spec), os.fspath(spec)
    check_at_least("levels", levels, 2)
    if size is not None and min(size) < 1:
        raise ValueError(f"size: got {size}; wants (height, width) of at least 1.")
    if path.is_dir():
        idx = [file for file in seen(path) if _IDX + "3" in file.name]
        if len(idx) > 1:
            raise ValueError(
                f"{name}: got {len(idx)} IDX files of images; wants the name of one, as {idx[0]}."
            )
        found = (
            _from_idx(idx[0])
            if idx
            else _from_folder(
                # Labels are of all images.
                path,
                size,
                colours,
                strict,
                limit if labels is None else None,
                most,
            )
        )
    elif not path.is_file():
        check_file(path, "images, in a file or a folder", name)
    elif _IDX in path.name:
        found = _from_idx(path)
    elif path.suffix == ".npy":
        found = ImageSet(ArrayRows.of(path, levels), None, name, levels)
    else:
        raise ValueError(
            f"{name}: got the ending {path.suffix!r}; wants a folder of pictures, an "
            ".npy file, or an IDX file (-idx3-ubyte, .gz or not)."
        )
    if labels is not None:
        given = Path(labels)
        values = read_idx(given) if _IDX in given.name else _array(given)
        found = replace(found, labels=_checked_labels(given, values, found))
    if not (path.is_dir() and found.file == name):
        found = _resized(found.spread(limit), size, colours)
    found = found.spread(limit)
    return _held_where_small(found, most) if isinstance(found.pixels, ArrayRows) else found


def _held_where_small(images: ImageSet[ArrayRows], most: int | None) -> ImageSet[Any]:
    """The images of a file in memory; where they are too large for it, they are looked at once."""
    if most is None or 4 * math.prod(images.pixels.shape) <= most:
        return images.held()
    for _ in images.pixels.blocks():  # which raises where one is no image
        pass
    return images


def _blocks_of(source: PictureFolder, rows: int) -> Iterator[ImageSet]:
    held: list[tuple[np.ndarray, int]] = []
    for item in source:
        # A full block waits for the next picture: the last one knows all that was skipped.
        if len(held) == rows:
            yield _block(source, held)
            held = []
        held.append(item)
    if not held:
        raise ValueError(source.none_read())
    yield _block(source, held)


def _block(source: PictureFolder, held: Sequence[tuple[np.ndarray, int]]) -> ImageSet:
    return _image_set(
        source, np.stack([picture for picture, _ in held]), [label for _, label in held]
    )


def _array(path: Path) -> np.ndarray:
    check_file(path, "an .npy file")
    return read_npy(str(path), path)


def _checked_labels(path: Path, values: np.ndarray, images: ImageSet) -> np.ndarray:
    n, damaged = len(images.pixels), len(images.skipped)
    whole = values.dtype.kind in "iu" or (
        values.dtype.kind == "f" and np.isfinite(values).all() and (values % 1 == 0).all()
    )
    if values.shape != (n,) or not whole:
        lost = f" ({damaged} of {n + damaged} files could not be read: take them away)"
        raise ValueError(
            f"{path}: got labels of shape {values.shape} and dtype {values.dtype} for "
            f"{n} images{lost if damaged else ''}; wants one integer for each."
        )
    if values.min() < 0:
        raise ValueError(f"{path}: got the label {int(values.min())}; wants integers from 0 up.")
    if values.max() >= 2**31:
        raise ValueError(
            f"{path}: got the label {int(values.max())}; wants integers from 0 up, below 2^31."
        )
    return values.astype(np.int32)


def _from_idx(path: Path) -> ImageSet:
    values = as_images(str(path), read_idx(path))
    found = ImageSet(in_unit_interval(str(path), values, 256), None, str(path))
    beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    if beside == path or not beside.exists():
        return found
    return replace(found, labels=_checked_labels(beside, read_idx(beside), found))


def _from_folder(
    folder: Path,
    size: tuple[int, int] | None,
    colours: str | None,
    strict: bool,
    limit: int | None,
    most: int | None,
) -> ImageSet[Any]:
    source = PictureFolder.of(folder, size, colours, strict).spread(limit)
    pictures: list[np.ndarray] = []
    files, labels, needed = [], [], 0
    sizes: Counter[tuple[int, int]] = Counter()
    colourings: Counter[int] = Counter()
    for picture, label, file in source.with_files():
        files.append(file)
        labels.append(label)
        sizes[picture.shape[0], picture.shape[1]] += 1
        colourings[picture.shape[2]] += 1
        needed += picture.nbytes
        if most is None or needed <= most:
            pictures.append(picture)
        else:
            pictures.clear()
    if not files:
        raise ValueError(source.none_read())
    if len(sizes) > 1:
        some = ", ".join(f"{count} of {h} x {w}" for (h, w), count in sizes.most_common(3))
        raise ValueError(
            f"{folder}: got pictures of {len(sizes)} sizes ({some}); wants one: say "
            "by size (--size) which to crop and resize them to."
        )
    ((height, width),), channels = sizes, max(colourings)
    if len(colourings) > 1:
        source.count_recoloured(len(files) - colourings[channels], channels)
    if not pictures:
        return _image_set(source, PictureRows(tuple(files), (height, width), channels), labels)
    pixels = np.empty((len(pictures), height, width, channels), np.float32)
    for i, picture in enumerate(pictures):
        # Each is let go when it is copied: none is held twice.
        pixels[i], pictures[i] = recoloured(picture, channels), pixels[i]
    return _image_set(source, pixels, labels)


def _image_set(
    source: PictureFolder, pixels: np.ndarray | PictureRows, labels: Sequence[int]
) -> ImageSet[Any]:
    named = source.class_names is not None
    return ImageSet(
        pixels,
        np.asarray(labels, np.int32) if named else None,
        str(source.folder),
        256,
        source.class_names,
        source.notes(),
        tuple(source.skipped),
    )


def _resized(images: ImageSet[Any], size: tuple[int, int] | None, colours: str | None) -> ImageSet:
    """An array's images at the size and in the colours asked for."""
    pixels, notes = images.pixels, list(images.notes)
    n, height, width, channels = pixels.shape
    wanted = channels if colours is None else COLOURS[colours]
    if wanted != channels:
        if channels not in (1, 3):
            raise ValueError(
                f"{images.file}: got {channels} channels, which are no colours; wants "
                "1 or 3 to convert."
            )
        notes.append(f"{n} of {n} pictures were converted to {colours}")
    shape = (height, width) if size is None else size
    if shape != (height, width):
        notes.append(
            f"{n} of {n} pictures were cropped about the centre and resized to "
            f"{shape[0]} x {shape[1]}"
        )
    if isinstance(pixels, ArrayRows):  # each when it is read
        pixels = replace(pixels, size=shape, channels=wanted)
    elif pixels.shape[1:] != (*shape, wanted):
        pixels = np.stack([fitted(recoloured(picture, wanted), shape) for picture in pixels])
    return replace(images, pixels=pixels, notes=tuple(notes))
