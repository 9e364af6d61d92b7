"""Pictures of a folder as one array, whose rows are read when they are asked for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from brenier.io.points._picture_folder import fitted, pixels_of, recoloured


@dataclass(frozen=True, eq=False)
class PictureRows:
    """An array (n, h, w, c) in [0, 1], float32, that lies in files; ``[rows]`` reads some.

    Args:
        files: the pictures, in order.
        size: (h, w) that each is cropped and resized to.
        channels: c, that each is converted to.

    >>> PictureRows((Path("1.png"), Path("2.png")), (8, 8), 3).shape
    (2, 8, 8, 3)
    """

    files: tuple[Path, ...]
    size: tuple[int, int]
    channels: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, h, w, c)."""
        return (len(self.files), *self.size, self.channels)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """The pictures at an index, a slice, a mask or an array of rows.

        Raises:
            ValueError: a picture that can no longer be read.
        """
        if isinstance(rows, int | np.integer):
            return self._read(self.files[rows])
        chosen = self.rows(rows)
        found = np.empty(chosen.shape, np.float32)
        for i, file in enumerate(chosen.files):
            found[i] = self._read(file)
        return found

    def rows(self, kept: Any) -> "PictureRows":
        """Some of the pictures, which are not read yet."""
        places = np.arange(len(self))[kept]
        return replace(self, files=tuple(self.files[place] for place in places))

    def _read(self, file: Path) -> np.ndarray:
        return fitted(recoloured(pixels_of(file)[0], self.channels), self.size)
