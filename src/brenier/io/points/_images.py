"""Sets of images, from folders of pictures, arrays or IDX files."""

import mimetypes
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from brenier._checks import as_float_array, check_at_least
from brenier._extras import check_installed
from brenier.io._refusals import check_file
from brenier.io.points._arrays import read_npy
from brenier.io.points._idx import read_idx
from brenier.io.points._pictures import PICTURE_FORMATS
from brenier.io.points._points import read_points

_IDX = "-idx"
# Folders that systems leave among a user's, with small copies of pictures in them.
_LEFT_BEHIND = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
# Channels of a picture with opacity.
_MOST_CHANNELS = 4
_COLOURS = {"grey": 1, "rgb": 3}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """n images of one size, with what was done to make them so.

    Args:
        pixels: (n, h, w, c) in [0, 1], float32; c is 1 or 3, or as an array has it.
        labels: (n,) integers from 0, or None.
        file: where they come from; errors name it.
        levels: grey levels of a channel.
        class_names: of the labels 0, 1, ..., where they are names of folders.
        notes: what was changed: resized, cropped, converted; one sentence each.
        skipped: files that could not be read, with the reason.

    >>> images = ImageSet(np.zeros((3, 2, 2, 1), np.float32), np.array([0, 4, 4]), "digits")
    >>> images.levels, images.notes
    (256, ())
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    file: str
    levels: int = 256
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def of_classes(self, classes: Sequence[int]) -> "ImageSet":
        """The images with one of these labels, which are kept as they are.

        Raises:
            ValueError: no labels, or a class without images.

        >>> pixels = np.zeros((3, 2, 2, 1), np.float32)
        >>> ImageSet(pixels, np.array([0, 4, 4]), "digits").of_classes([4]).labels.tolist()
        [4, 4]
        """
        if self.labels is None:
            raise ValueError(
                f"{self.file}: got images without labels; wants labels to choose "
                "classes by (an IDX or .npy file of labels, or a folder a class)."
            )
        missing = sorted(set(classes) - set(self.labels.tolist()))
        if missing or not classes:
            raise ValueError(
                f"{self.file}: got no images of classes {missing}; wants some of "
                f"{sorted(set(self.labels.tolist()))}."
            )
        kept = np.isin(self.labels, list(classes))
        return replace(self, pixels=self.pixels[kept], labels=self.labels[kept])


def read_images(
    spec: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    size: tuple[int, int] | None = None,
    colours: Literal["grey", "rgb"] | None = None,
    levels: int = 256,
    strict: bool = False,
) -> ImageSet:
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

    Raises:
        ValueError: no images there, damaged ones, several sizes, values or labels out of range.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/grey.npy"
    >>> np.save(path, np.full((2, 8, 8), 255, np.uint8))
    >>> read_images(path).pixels.shape
    (2, 8, 8, 1)
    """
    path, name = Path(spec), os.fspath(spec)
    check_at_least("levels", levels, 2)
    if size is not None and min(size) < 1:
        raise ValueError(f"size: got {size}; wants (height, width) of at least 1.")
    if path.is_dir():
        idx = [file for file in _seen(path) if _IDX + "3" in file.name]
        if len(idx) > 1:
            raise ValueError(
                f"{name}: got {len(idx)} IDX files of images; wants the name of one, as {idx[0]}."
            )
        found = _from_idx(idx[0]) if idx else _from_folder(path, size, colours, strict)
    elif not path.is_file():
        check_file(path, "images, in a file or a folder", name)
    elif _IDX in path.name:
        found = _from_idx(path)
    elif path.suffix == ".npy":
        found = _from_array(name, _array(path), levels)
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
        found = _resized(found, size, colours)
    return found


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


def _from_array(name: str, values: np.ndarray, levels: int) -> ImageSet:
    if values.ndim == 3:
        values = values[..., None]
    if values.ndim != 4 or 0 in values.shape:
        raise ValueError(
            f"{name}: got shape {values.shape}; wants (n, height, width) or (n, "
            "height, width, channels)."
        )
    rows, channels = values.shape[1], values.shape[3]
    if channels not in (1, 3) and (rows in (1, 3) or rows <= _MOST_CHANNELS < channels):
        raise ValueError(
            f"{name}: got shape {values.shape}, whose channels seem to come first; wants (n, "
            "height, width, channels): x.transpose(0, 2, 3, 1)."
        )
    top = float(levels - 1) if values.dtype.kind in "iu" else 1.0
    pixels = as_float_array(name, values) / top
    if not np.isfinite(pixels).all() or pixels.min() < 0.0 or pixels.max() > 1.0:
        raise ValueError(
            f"{name}: got values from {values.min()} to {values.max()}; wants finite "
            f"ones from 0 to {top:g} (integers: below their count of grey levels)."
        )
    return ImageSet(pixels.astype(np.float32), None, name, levels)


def _from_idx(path: Path) -> ImageSet:
    found = _from_array(str(path), read_idx(path), 256)
    beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    if beside == path or not beside.exists():
        return found
    return replace(found, labels=_checked_labels(beside, read_idx(beside), found))


def _from_folder(
    folder: Path, size: tuple[int, int] | None, colours: str | None, strict: bool
) -> ImageSet:
    listed = [(file, 0) for file in _pictures(folder)]
    classes: tuple[str, ...] | None = None
    deeper = _with_pictures(folder)
    if not listed:
        homes, deeper = deeper, [inner for home in deeper for inner in _with_pictures(home)]
        listed = [(file, i) for i, home in enumerate(homes) for file in _pictures(home)]
        classes = tuple(home.name for home in homes)
    if not listed:
        raise ValueError(
            f"{folder}: got a folder without pictures; wants some of "
            f"{', '.join(sorted(PICTURE_FORMATS))}, or an IDX file."
        )
    check_installed(str(folder), "PIL")
    pictures, skipped, kept, clear = [], [], [], 0
    for file, label in listed:
        try:
            table = read_points(file)
        except ValueError as error:
            if strict:
                raise
            skipped.append((str(file), str(error).partition(": ")[2]))
            continue
        assert table.picture is not None  # the ending is a picture's
        clear += table.picture.alpha is not None and bool(
            (table.picture.alpha < table.picture.levels).any()
        )
        shape = (table.picture.height, table.picture.width, -1)
        pictures.append(table.values.reshape(shape).astype(np.float32))
        kept.append(label)
    if not pictures:
        raise ValueError(
            f"{folder}: got {len(skipped)} pictures, none of which can be read (the "
            f"first: {skipped[0][1]}); wants pictures."
        )
    channels = _COLOURS[colours] if colours else max(picture.shape[2] for picture in pictures)
    notes = [f"{clear} of {len(pictures)} pictures lost their transparency"] if clear else []
    if deeper:
        some = ", ".join(str(home.relative_to(folder)) for home in deeper[:3])
        notes.append(f"pictures in {len(deeper)} folders further in ({some}) were not read")
    changed = sum(picture.shape[2] != channels for picture in pictures)
    if changed:
        kind = "grey" if channels == 1 else "RGB"
        notes.append(f"{changed} of {len(pictures)} pictures were converted to {kind}")
        pictures = [_recoloured(picture, channels) for picture in pictures]
    sizes = Counter(picture.shape[:2] for picture in pictures)
    if size is None and len(sizes) > 1:
        some = ", ".join(f"{count} of {h} x {w}" for (h, w), count in sizes.most_common(3))
        raise ValueError(
            f"{folder}: got pictures of {len(sizes)} sizes ({some}); wants one: say "
            "by size (--size) which to crop and resize them to."
        )
    wanted = size or next(iter(sizes))
    changed = sum(count for own, count in sizes.items() if own != wanted)
    if changed:
        notes.append(
            f"{changed} of {len(pictures)} pictures were cropped about the centre and "
            f"resized to {wanted[0]} x {wanted[1]}"
        )
        pictures = [_fitted(picture, wanted) for picture in pictures]
    labels = None if classes is None else np.asarray(kept, np.int32)
    return ImageSet(
        np.stack(pictures), labels, str(folder), 256, classes, tuple(notes), tuple(skipped)
    )


def _seen(folder: Path) -> list[Path]:
    """What a user put in a folder, in order of name."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in _LEFT_BEHIND
    )


def _pictures(folder: Path) -> list[Path]:
    """The files of pictures in a folder."""
    return [path for path in _seen(folder) if _is_picture(path.name) and not path.is_dir()]


def _is_picture(name: str) -> bool:
    """Whether the ending says a picture, of whatever format: what is not read is named."""
    kind, _ = mimetypes.guess_type(name, strict=False)
    return Path(name).suffix.lower() in PICTURE_FORMATS or (kind or "").startswith("image/")


def _with_pictures(folder: Path) -> list[Path]:
    """The folders in a folder that hold pictures."""
    return [path for path in _seen(folder) if path.is_dir() and _pictures(path)]


def _resized(images: ImageSet, size: tuple[int, int] | None, colours: str | None) -> ImageSet:
    """An array's images at the size and in the colours asked for."""
    pixels, notes = images.pixels, list(images.notes)
    n, height, width, channels = pixels.shape
    if colours is not None and channels != _COLOURS[colours]:
        if channels not in (1, 3):
            raise ValueError(
                f"{images.file}: got {channels} channels, which are no colours; wants "
                "1 or 3 to convert."
            )
        pixels = np.stack([_recoloured(picture, _COLOURS[colours]) for picture in pixels])
        notes.append(f"{n} of {n} pictures were converted to {colours}")
    if size is not None and size != (height, width):
        pixels = np.stack([_fitted(picture, size) for picture in pixels])
        notes.append(
            f"{n} of {n} pictures were cropped about the centre and resized to "
            f"{size[0]} x {size[1]}"
        )
    return replace(images, pixels=pixels, notes=tuple(notes))


def _recoloured(picture: np.ndarray, channels: int) -> np.ndarray:
    if picture.shape[2] == channels:
        return picture
    if channels == 3:
        return np.repeat(picture, 3, axis=2)
    # Rec. 601, as Pillow's own conversion.
    return picture @ np.asarray([[0.299], [0.587], [0.114]], picture.dtype)


def _fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cropped about the centre to the shape of ``size``, resized with antialiasing."""
    if picture.shape[:2] == size:
        return picture
    check_installed("size", "PIL")
    from PIL import Image, ImageOps

    channels: list[Any] = [
        ImageOps.fit(Image.fromarray(picture[..., i]), (size[1], size[0]), Image.Resampling.LANCZOS)
        for i in range(picture.shape[2])
    ]
    return np.clip(np.stack([np.asarray(channel) for channel in channels], axis=-1), 0.0, 1.0)
