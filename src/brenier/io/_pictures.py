"""Pictures as points: a pixel is a point in [0, 1]^3, or [0, 1] where the picture is grey."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brenier.io._table import Picture, Table

PICTURE_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_WITH_ALPHA = ("PNG", "WEBP", "TIFF")
_WITH_16_BITS = ("PNG", "TIFF")
# Lossless where the format can be; a JPEG keeps all of its colour.
_QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
}


def read_picture(name: str, path: Path) -> Table:
    """The pixels of a picture, row by row and upright, in [0, 1]."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path, formats=sorted(set(PICTURE_FORMATS.values()))) as opened:
            if getattr(opened, "n_frames", 1) > 1:
                raise ValueError(f"{name}: got several pictures in one file; wants one picture.")
            image = ImageOps.exif_transpose(opened)
            image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        reason = "the file is not one" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(f"{name}: got no readable picture ({reason}); wants a picture.") from None
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float64)
        picture = Picture(image.height, image.width, levels=65535)
        return Table(grey.reshape(-1, 1) / picture.levels, name, picture=picture)
    has_alpha = image.has_transparency_data
    mode = (
        ("LA" if has_alpha else "L")
        if image.mode in ("1", "L", "LA")
        else ("RGBA" if has_alpha else "RGB")
    )
    pixels = np.asarray(image.convert(mode))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    alpha = pixels[..., -1].copy() if has_alpha else None
    colours = pixels[..., :-1] if has_alpha else pixels
    picture = Picture(image.height, image.width, alpha=alpha)
    return Table(colours.reshape(-1, colours.shape[-1]) / 255.0, name, picture=picture)


def check_picture(name: str, suffix: str, like: Table) -> None:
    """Raise where points like these are not a picture, or the format cannot hold its opacity."""
    if like.picture is None:
        raise ValueError(
            f"{name}: got points that are not a picture's; wants an ending for tables "
            "(.npy, .npz, .csv, .parquet)."
        )
    if like.picture.alpha is not None and PICTURE_FORMATS[suffix] not in _WITH_ALPHA:
        raise ValueError(
            f"{name}: got a picture with transparency, which {suffix} cannot hold; wants .png, "
            ".webp or .tiff."
        )


def write_picture(handle: BinaryIO, suffix: str, values: np.ndarray, picture: Picture) -> None:
    """Colours, clipped to [0, 1] and rounded, in the shape and with the opacity of ``picture``."""
    from PIL import Image

    n, channels = values.shape
    if n != picture.height * picture.width or channels not in (1, 3):
        raise ValueError(
            f"values: got shape {values.shape}; wants ({picture.height * picture.width}, 1 or 3), "
            "a colour for each pixel."
        )
    kind = PICTURE_FORMATS[suffix]
    deep = picture.levels == 65535 and channels == 1 and kind in _WITH_16_BITS
    levels, dtype = (65535, np.uint16) if deep else (255, np.uint8)
    pixels = np.rint(np.clip(values, 0.0, 1.0) * levels).astype(dtype)
    pixels = pixels.reshape(picture.height, picture.width, channels)
    if picture.alpha is not None:
        pixels = np.concatenate([pixels, picture.alpha[..., None]], axis=-1)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.save(handle, format=kind, **_QUALITY.get(kind, {}))
