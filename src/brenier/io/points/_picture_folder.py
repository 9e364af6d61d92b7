"""Folders of pictures, one picture at a time."""

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from brenier._extras import check_installed
from brenier.io.points._pictures import PICTURE_FORMATS
from brenier.io.points._points import read_points

# Folders that systems leave among a user's, with small copies of pictures in them.
_LEFT_BEHIND = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
COLOURS = {"grey": 1, "rgb": 3}


@dataclass(eq=False)
class PictureFolder:
    """The pictures of a folder, read as they are asked for, with what was done to so many of them.

    Args:
        folder: of pictures, or of folders of them, which are the classes.
        listed: the files, with their classes.
        class_names: of the classes, or None.
        deeper: folders further in, whose pictures are not read.
        size: (height, width) that each is cropped and resized to, or None.
        colours: that each is converted to, or None.
        strict: refuse a damaged one, rather than skip it.
        skipped: damaged ones so far, with the reason.
    """

    folder: Path
    listed: list[tuple[Path, int]]
    class_names: tuple[str, ...] | None
    deeper: list[Path]
    size: tuple[int, int] | None
    colours: str | None
    strict: bool
    skipped: list[tuple[str, str]] = field(default_factory=list)
    _read: int = 0
    _clear: int = 0
    _recoloured: int = 0
    _resized: int = 0
    _channels: int = 0

    @classmethod
    def of(
        cls, folder: Path, size: tuple[int, int] | None, colours: str | None, strict: bool
    ) -> "PictureFolder":
        """What there is in a folder.

        Raises:
            ValueError: no pictures.
        """
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
        return cls(folder, listed, classes, deeper, size, colours, strict)

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        """Each picture (h, w, c) in [0, 1], float32, and its class.

        Raises:
            ValueError: a damaged one, where ``strict``.
        """
        return ((picture, label) for picture, label, _ in self.with_files())

    def with_files(self) -> Iterator[tuple[np.ndarray, int, Path]]:
        """The same, and the file of each."""
        for file, label in self.listed:
            try:
                picture, clear = pixels_of(file)
            except ValueError as error:
                if self.strict:
                    raise
                self.skipped.append((str(file), str(error).partition(": ")[2]))
                continue
            self._read += 1
            self._clear += clear
            if self.colours is not None:
                wanted = COLOURS[self.colours]
                self.count_recoloured(picture.shape[2] != wanted, wanted)
                picture = recoloured(picture, wanted)
            if self.size is not None:
                self._resized += picture.shape[:2] != self.size
                picture = fitted(picture, self.size)
            yield picture, label, file

    def spread(self, limit: int | None) -> "PictureFolder":
        """At most ``limit`` of the pictures, spread over the folder, which is sorted by class."""
        if limit is not None and limit < len(self.listed):
            places = np.linspace(0, len(self.listed) - 1, limit).astype(int)
            self.listed = [self.listed[place] for place in places]
        return self

    def count_recoloured(self, count: int, channels: int) -> None:
        """So many more are in so many channels now, and had others."""
        self._recoloured += count
        self._channels = channels

    def none_read(self) -> str:
        """What to say where all are damaged."""
        return (
            f"{self.folder}: got {len(self.skipped)} pictures, none of which can be read (the "
            f"first: {self.skipped[0][1]}); wants pictures."
        )

    def notes(self) -> tuple[str, ...]:
        """What was changed so far, one sentence each."""
        notes, n = [], self._read
        if self._clear:
            notes.append(f"{self._clear} of {n} pictures lost their transparency")
        if self.deeper:
            some = ", ".join(str(home.relative_to(self.folder)) for home in self.deeper[:3])
            notes.append(
                f"pictures in {len(self.deeper)} folders further in ({some}) were not read"
            )
        if self._recoloured:
            kind = "grey" if self._channels == 1 else "RGB"
            notes.append(f"{self._recoloured} of {n} pictures were converted to {kind}")
        if self._resized:
            assert self.size is not None  # else none is resized
            notes.append(
                f"{self._resized} of {n} pictures were cropped about the centre and "
                f"resized to {self.size[0]} x {self.size[1]}"
            )
        return tuple(notes)


def pixels_of(file: Path) -> tuple[np.ndarray, bool]:
    """A picture (h, w, c) in [0, 1], float32, and whether some of it was transparent.

    Raises:
        ValueError: a damaged one, or one of another format.
    """
    if file.suffix.lower() not in PICTURE_FORMATS:
        raise ValueError(
            f"{file}: got the ending {file.suffix!r}; wants one of {', '.join(PICTURE_FORMATS)}."
        )
    table = read_points(file)
    own = table.picture
    assert own is not None  # the ending is a picture's
    clear = own.alpha is not None and bool((own.alpha < own.levels).any())
    return table.values.reshape(own.height, own.width, -1).astype(np.float32), clear


def seen(folder: Path) -> list[Path]:
    """What a user put in a folder, in order of name."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in _LEFT_BEHIND
    )


def _pictures(folder: Path) -> list[Path]:
    """The files of pictures in a folder."""
    return [path for path in seen(folder) if _is_picture(path.name) and not path.is_dir()]


def _is_picture(name: str) -> bool:
    """Whether the ending says a picture, of whatever format: what is not read is named."""
    kind, _ = mimetypes.guess_type(name, strict=False)
    return Path(name).suffix.lower() in PICTURE_FORMATS or (kind or "").startswith("image/")


def _with_pictures(folder: Path) -> list[Path]:
    """The folders in a folder that hold pictures."""
    return [path for path in seen(folder) if path.is_dir() and _pictures(path)]


def recoloured(picture: np.ndarray, channels: int) -> np.ndarray:
    if picture.shape[2] == channels:
        return picture
    if channels == 3:
        return np.repeat(picture, 3, axis=2)
    # Rec. 601, as Pillow's own conversion.
    return picture @ np.asarray([[0.299], [0.587], [0.114]], picture.dtype)


def fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
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
