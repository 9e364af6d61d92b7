"""Images of an ``.npy`` file as one array, whose rows are read when they are asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from brenier._checks import as_float_array
from brenier.io._refusals import check_file
from brenier.io.points._arrays import read_npy
from brenier.io.points._picture_folder import fitted, recoloured

# Floats that are converted at a time: 64 MB of float64.
_BLOCK = 2**23
# Channels of a picture with opacity.
_MOST_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class ArrayRows:
    """An array (n, h, w, c) in [0, 1], float32, that lies in a file; ``[rows]`` reads some.

    As ``PictureRows``, of an ``.npy``, which is mapped into memory while it is read.

    Args:
        file: where it lies: (m, h', w') or (m, h', w', c'), floats in [0, 1] or integers.
        held: (m, h', w', c'), of which it is; a file that has changed is refused.
        levels: grey levels of integers.
        places: (n,), rows of the file.
        size: (h, w) that each is cropped and resized to.
        channels: c, that each is converted to.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "grey.npy")
    >>> np.save(path, np.full((3, 8, 8), 255, np.uint8))
    >>> rows = ArrayRows.of(path)
    >>> rows.shape, rows[1:].max().item()
    ((3, 8, 8, 1), 1.0)
    """

    file: Path
    held: tuple[int, ...]
    levels: int
    places: np.ndarray
    size: tuple[int, int]
    channels: int

    @classmethod
    def of(cls, file: Path, levels: int = 256) -> "ArrayRows":
        """All images of a file, whose values are not looked at yet.

        Raises:
            ValueError: a damaged file, or another shape.
        """
        held = _mapped(file).shape
        return cls(file, held, levels, np.arange(held[0]), (held[1], held[2]), held[3])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, h, w, c)."""
        return (len(self.places), *self.size, self.channels)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The images at an index, a slice, a mask or an array of rows.

        Raises:
            ValueError: values that are no grey levels, or a file that has changed.
        """
        if isinstance(rows, int | np.integer):
            return self[[rows]][0]
        chosen = self.rows(rows)
        found = np.empty(chosen.shape, np.float32)
        for block, pictures in chosen.blocks():
            if pictures.shape[1:] == self.shape[1:]:
                found[block] = pictures
            else:
                for i, picture in enumerate(pictures, block.start):
                    found[i] = fitted(recoloured(picture, self.channels), self.size)
        return found

    def rows(self, kept: Any) -> "ArrayRows":
        """Some of the images, which are not read yet."""
        return replace(self, places=self.places[kept])

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All images as they are in the file, in [0, 1], float32, some at a time.

        Raises:
            ValueError: as ``[rows]``.
        """
        step = max(1, _BLOCK // max(1, int(np.prod(self.held[1:]))))
        for start in range(0, len(self), step):
            block = slice(start, start + step)
            # Mapped anew for each: what was read of a file counts as memory while it is mapped.
            values = _mapped(self.file)
            if values.shape != self.held:
                raise ValueError(
                    f"{self.file}: got shape {values.shape}; wants {self.held}, as when it was "
                    "opened."
                )
            yield block, in_unit_interval(str(self.file), values[self.places[block]], self.levels)


def as_images(name: str, values: np.ndarray) -> np.ndarray:
    """An array (n, h, w) or (n, h, w, c) as (n, h, w, c).

    Raises:
        ValueError: another shape.
    """
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
    return values


def in_unit_interval(name: str, values: np.ndarray, levels: int) -> np.ndarray:
    """Floats in [0, 1], or integers below ``levels``, as float32 in [0, 1].

    Raises:
        ValueError: values out of range.
    """
    top = float(levels - 1) if values.dtype.kind in "iu" else 1.0
    pixels = as_float_array(name, values) / top
    if not np.isfinite(pixels).all() or pixels.min() < 0.0 or pixels.max() > 1.0:
        raise ValueError(
            f"{name}: got values from {values.min()} to {values.max()}; wants finite "
            f"ones from 0 to {top:g} (integers: below their count of grey levels)."
        )
    return pixels.astype(np.float32)


def _mapped(file: Path) -> np.ndarray:
    """The images of a file, which is mapped into memory as long as the array lives."""
    check_file(file, "an .npy file")
    return as_images(str(file), read_npy(str(file), file, mapped=True))
