"""Pictures as points: a pixel is a point in [0, 1]^3, or [0, 1] where the picture is grey."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brenier.io._refusals import check_unpacked, refusing
from brenier.io.points._deep_pictures import halves_of, joined, write_deep_png
from brenier.io.points._table import Picture, Table

PICTURE_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_FORMATS = sorted(set(PICTURE_FORMATS.values()))
_WITH_ALPHA = ("PNG", "WEBP", "TIFF")
_WITH_16_BITS = ("PNG", "TIFF")
# Lossless where the format can be; a JPEG keeps all of its colour.
_QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},  # exact below what is clear, too
}
# Tags of TIFF: bits of a sample, whether 0 is white, whether channels lie apart.
_BITS, _PHOTOMETRIC, _PLANES = 258, 262, 284
# Pillow's modes of colours by number, and those with opacity beside the colour.
_PALETTES, _CLEAR = ("P", "PA"), ("LA", "La", "RGBA", "RGBa")
# Pixels that are rounded at a time.
_BLOCK = 2**20


def read_picture(name: str, path: Path) -> Table:
    """The pixels of a picture, row by row and upright, in [0, 1]."""
    from PIL import Image

    damaged = (name, "no readable picture", f"a picture ({', '.join(_FORMATS)})")
    # In memory: of a file Pillow reads as many bytes as any part of it says that it has.
    data = path.read_bytes()
    with refusing(*damaged):
        opened = Image.open(io.BytesIO(data), formats=_FORMATS)
    with opened:
        with refusing(*damaged):
            # A phone keeps small copies or depths beside its picture: of these the first is meant.
            frames = 1 if opened.format == "MPO" else getattr(opened, "n_frames", 1)
            kind = _kind(opened)
        if frames > 1:
            raise ValueError(f"{name}: got several pictures in one file; wants one picture.")
        if kind is None:
            raise ValueError(
                f"{name}: got a picture of mode {opened.mode} in {opened.format}, whose white is "
                "not known; wants 8 or 16 bits a sample, or floats in [0, 1]."
            )
        size = opened.width * opened.height * len(opened.getbands())
        check_unpacked(name, len(data), size * np.dtype(kind).itemsize)
        with refusing(*damaged), _quiet(opened.format == "TIFF"):
            samples, alpha = _samples(opened, data, kind)
    levels = 1 if kind == "float32" else int(np.iinfo(kind).max)
    if kind == "float32" and not (samples.min() >= 0.0 and samples.max() <= 1.0):
        raise ValueError(
            f"{name}: got floats from {samples.min():g} to {samples.max():g}, whose white is not "
            "known; wants floats in [0, 1]."
        )
    height, width, channels = samples.shape
    samples = samples.reshape(-1, channels)
    values = np.empty(samples.shape)
    for start in range(0, len(samples), _BLOCK):
        values[start : start + _BLOCK] = samples[start : start + _BLOCK] / float(levels)
    return Table(values, name, picture=Picture(height, width, levels, alpha))


def _kind(opened: Any) -> str | None:
    """The dtype of a picture's samples; None where it is not known what stands for white."""
    tags = getattr(opened, "tag_v2", {})
    bits = max(tags.get(_BITS, (1,)))
    if opened.mode == "F":
        return "float32"
    if halves_of(_raw(opened)) or opened.mode.startswith("I;16"):
        return "uint16" if bits in (1, 16) and tags.get(_PLANES) != 2 else None
    if opened.mode == "I":
        return "uint16" if opened.format == "PNG" else None
    return "uint8" if bits <= 8 else None


def _raw(opened: Any) -> str:
    """What Pillow calls the form of the samples in the file."""
    args = opened.tile[0].args if opened.tile else ""
    return args if isinstance(args, str) else str(args[0])


def _samples(opened: Any, data: bytes, kind: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The samples (h, w, 1 or 3) of a picture, upright, and its opacity (h, w), if any."""
    from PIL import Image

    raw, tags = _raw(opened), getattr(opened, "tag_v2", {})
    key = None if opened.mode in _PALETTES else opened.info.get("transparency")
    halves = halves_of(raw)
    if kind == "uint8":
        grey = opened.mode in ("1", "L", "LA", "La")
        clear = opened.mode in _CLEAR or (key is None and opened.has_transparency_data)
        pixels = _upright(opened, mode=("L" if grey else "RGB") + "A" * clear)
    elif halves:
        with Image.open(io.BytesIO(data), formats=[opened.format]) as again:
            pixels = joined(_upright(opened, halves[0]), _upright(again, halves[1]), raw)
    else:
        pixels = _upright(opened).astype(kind)
        if tags.get(_PHOTOMETRIC) == 0:  # 0 is white, which Pillow knows of 8 bits alone
            pixels = (1 if kind == "float32" else np.iinfo(kind).max) - pixels
    alpha = None
    if pixels.shape[-1] in (2, 4):
        pixels, alpha = pixels[..., :-1], pixels[..., -1].copy()
    elif key is not None:
        # The one colour that is clear; of 2 or 4 bits a sample as the file counts them.
        unit = {"L;2": 85, "L;4": 17}.get(raw, 1)
        is_clear = (pixels == np.asarray(key) * unit).all(axis=-1)
        alpha = np.where(is_clear, 0, np.iinfo(kind).max).astype(kind)
    return pixels, alpha


def _upright(opened: Any, raw: str | None = None, mode: str | None = None) -> np.ndarray:
    """The samples (h, w, channels), turned as the camera was; decoded as if they were ``raw``."""
    from PIL import ImageOps

    if raw is not None:
        opened.tile = [tile._replace(args=_renamed(tile.args, raw)) for tile in opened.tile]
    image = ImageOps.exif_transpose(opened)
    pixels = np.asarray(image if mode is None else image.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _renamed(args: Any, raw: str) -> Any:
    return raw if isinstance(args, str) else (raw, *args[1:])


@contextmanager
def _quiet(is_needed: bool) -> Iterator[None]:
    """Nothing on stderr: libtiff writes there, by itself, what is wrong with a file."""
    try:
        kept = os.dup(2) if is_needed else None
    except OSError:  # there is no stderr
        kept = None
    if kept is None:
        yield
        return
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def check_picture(name: str, suffix: str, like: Table) -> None:
    """Raise where points like these are not a picture, or the format cannot hold its samples."""
    if like.picture is None:
        raise ValueError(
            f"{name}: got points that are not a picture's; wants an ending for tables "
            "(.npy, .npz, .csv, .parquet)."
        )
    kind, has_alpha = PICTURE_FORMATS[suffix], like.picture.alpha is not None
    if has_alpha and kind not in _WITH_ALPHA:
        raise ValueError(
            f"{name}: got a picture with transparency, which {suffix} cannot hold; wants .png, "
            ".webp or .tiff."
        )
    if kind == "TIFF" and like.picture.levels == 65535 and (has_alpha or like.values.shape[1] > 1):
        raise ValueError(
            f"{name}: got a picture of 16 bits in several channels, which is not written as TIFF; "
            "wants .png."
        )


def write_picture(handle: BinaryIO, suffix: str, values: np.ndarray, picture: Picture) -> None:
    """Colours, clipped to [0, 1] and rounded, in the shape and with the opacity of ``picture``.

    In as many bits as it had, where the format has them; floats stay floats in TIFF.
    """
    from PIL import Image

    n, channels = values.shape
    if n != picture.height * picture.width or channels not in (1, 3):
        raise ValueError(
            f"values: got shape {values.shape}; wants ({picture.height * picture.width}, 1 or 3), "
            "a colour for each pixel."
        )
    kind = PICTURE_FORMATS[suffix]
    levels = 255
    if picture.levels != 255 and kind in _WITH_16_BITS:
        levels = 1 if picture.levels == 1 and kind == "TIFF" else 65535
    dtype: Any = {1: np.float32, 255: np.uint8, 65535: np.uint16}[levels]
    pixels: np.ndarray = np.empty((n, channels), dtype)
    for start in range(0, n, _BLOCK):
        block = np.clip(values[start : start + _BLOCK], 0.0, 1.0) * levels
        pixels[start : start + _BLOCK] = block if levels == 1 else np.rint(block)
    pixels = pixels.reshape(picture.height, picture.width, channels)
    if picture.alpha is not None:
        alpha = np.rint(picture.alpha * (levels / picture.levels)).astype(dtype)
        pixels = np.concatenate([pixels, alpha[..., None]], axis=-1)
    if levels == 65535 and pixels.shape[-1] > 1:
        write_deep_png(handle, pixels)
        return
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    # Through memory: into a file Pillow writes in one call, which hears no Ctrl-C.
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **_QUALITY.get(kind, {}))
    handle.write(buffer.getbuffer())
