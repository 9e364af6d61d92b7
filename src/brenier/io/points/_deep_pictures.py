"""Pictures of 16 bits a sample in several channels, of which Pillow hands over the upper 8."""

import re
import struct
import sys
import zlib
from typing import BinaryIO

import numpy as np

# How Pillow calls samples of 16 bits in a file: their channels, and which byte comes first.
_RAW = re.compile(r"(LA|RGB|RGBA|RGBX);16([BLN])")
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_PNG = b"\x89PNG\r\n\x1a\n"
# PNG's number for each kind of colour, by the channels.
_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def halves_of(raw: str) -> tuple[str, str] | None:
    """How to ask Pillow for the upper and for the lower bytes of such samples; None for others.

    It takes the first byte of each sample, or the second, by the order that it is told. Grey with
    opacity has one order only, but as many bytes as four channels of 8 bits.

    >>> halves_of("RGB;16B"), halves_of("LA;16B"), halves_of("RGB")
    (('RGB;16B', 'RGB;16L'), ('RGBA', 'RGBA'), None)
    """
    found = _RAW.fullmatch(raw)
    if found is None:
        return None
    channels, order = found.groups()
    if channels == "LA":
        return "RGBA", "RGBA"
    return raw, f"{channels};16{_OTHER_ORDER[order]}"


def joined(upper: np.ndarray, lower: np.ndarray, raw: str) -> np.ndarray:
    """Samples of 16 bits from their bytes, as ``halves_of`` says to ask for them."""
    if raw.startswith("LA"):
        upper, lower = upper[..., ::2], upper[..., 1::2]
    return (upper.astype(np.uint16) << 8) | lower


def write_deep_png(handle: BinaryIO, samples: np.ndarray) -> None:
    """A PNG of (h, w, 1 to 4) samples of 16 bits."""
    height, width, channels = samples.shape
    size = 2 * channels
    rows = samples.astype(">u2").view(np.uint8).reshape(height, width * size)
    # Differences to the pixel before, filter 1 of PNG, are smaller when packed.
    filtered = np.ones((height, 1 + width * size), np.uint8)
    filtered[:, 1:] = rows
    filtered[:, 1 + size :] -= rows[:, :-size]
    header = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0)
    handle.write(_PNG)
    for kind, data in (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(filtered.tobytes())),
        (b"IEND", b""),
    ):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        handle.write(struct.pack(">I", len(data)) + kind + data + checksum)
