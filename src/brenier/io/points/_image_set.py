"""A set of images of one size, and what was done to make them so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from brenier.io.points._array_rows import ArrayRows
from brenier.io.points._picture_rows import PictureRows

_IN_FILES = (PictureRows, ArrayRows)
# Where the pixels are: in memory, or in files.
Pixels = TypeVar("Pixels", bound=np.ndarray | PictureRows | ArrayRows)


@dataclass(frozen=True, eq=False)
class ImageSet(Generic[Pixels]):
    """n images of one size, with what was done to make them so.

    Args:
        pixels: (n, h, w, c) in [0, 1], float32; c is 1 or 3, or as an array has it. Of
            ``open_images``, perhaps ``PictureRows`` or ``ArrayRows``.
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

    pixels: Pixels
    labels: np.ndarray | None
    file: str
    levels: int = 256
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def of_classes(self, classes: Sequence[int]) -> "ImageSet[Pixels]":
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
        return self.rows(np.isin(self.labels, list(classes)))

    def rows(self, kept: np.ndarray | slice) -> "ImageSet[Pixels]":
        """Some of the images, with their labels.

        >>> ImageSet(np.zeros((3, 2, 2, 1), np.float32), None, "digits").rows(slice(2)).pixels.shape
        (2, 2, 2, 1)
        """
        labels = None if self.labels is None else self.labels[kept]
        pixels: Any = self.pixels
        chosen: Any = pixels.rows(kept) if isinstance(pixels, _IN_FILES) else pixels[kept]
        return replace(self, pixels=chosen, labels=labels)

    def held(self) -> "ImageSet[np.ndarray]":
        """The same images, all of them in memory."""
        return ImageSet(**{**vars(self), "pixels": self.pixels[:]})

    def spread(self, limit: int | None) -> "ImageSet[Pixels]":
        """At most ``limit`` images, spread over the set, which is often sorted by class.

        >>> images = ImageSet(np.zeros((3, 2, 2, 1), np.float32), np.arange(3), "digits")
        >>> images.spread(2).labels.tolist()
        [0, 2]
        """
        n = len(self.pixels)
        if limit is None or limit >= n:
            return self
        return self.rows(np.linspace(0, n - 1, limit).astype(int))
