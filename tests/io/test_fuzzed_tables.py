"""Readers of points and pictures on changed files: values, or one line with the file's name."""

import gzip
import io
import resource
import struct

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brenier.io import read_images, read_points

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(40, 3))
PIXELS = RANDOM.integers(0, 256, (8, 9, 3), np.uint8)
# KiB that the process may grow by, on files of a few KiB.
_MOST_GROWTH = 2**19


def _written(write):
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _picture(kind, pixels=PIXELS, **options):
    return _written(lambda stream: Image.fromarray(pixels).save(stream, kind, **options))


def _frame(values):
    return pd.DataFrame(values, columns=["a", "b", "c"])


def _idx():
    return struct.pack(">HBB3I", 0, 8, 3, 4, 9, 6) + PIXELS.tobytes()


EXIF = Image.Exif()
EXIF[0x0112] = 6
WHOLE = {
    "a.npy": [
        _written(lambda stream: np.save(stream, VALUES)),
        _written(lambda stream: np.save(stream, np.asfortranarray(VALUES.astype(">f4")))),
    ],
    "a.npz": [
        _written(lambda stream: np.savez(stream, x=VALUES)),
        _written(lambda stream: np.savez_compressed(stream, x=VALUES)),
    ],
    "a.csv": [
        _frame(VALUES).to_csv(index=False).encode(),
        _frame(VALUES.round(2)).to_csv(index=False, quoting=1, lineterminator="\r\n").encode(),
    ],
    "a.parquet": [
        _written(_frame(VALUES).to_parquet),
        _written(
            lambda stream: (
                _frame(VALUES)
                .astype("float32")
                .to_parquet(stream, engine="pyarrow", compression="gzip")
            )
        ),
    ],
    "a.png": [
        _picture("PNG"),
        _picture("PNG", PIXELS[..., 0].astype(np.uint16) * 257),
        _written(
            lambda stream: (
                Image.fromarray(PIXELS).convert("P").save(stream, "PNG", transparency=0, exif=EXIF)
            )
        ),
    ],
    "a.tiff": [
        _picture("TIFF"),
        _picture("TIFF", compression="tiff_deflate"),
        _picture("TIFF", compression="tiff_lzw"),
        _picture("TIFF", PIXELS[..., 0].astype(np.float32) / 255),
    ],
    "a.jpg": [
        _picture("JPEG", exif=EXIF),
        _written(
            lambda stream: Image.fromarray(PIXELS).save(
                stream, "MPO", save_all=True, append_images=[Image.fromarray(PIXELS)]
            )
        ),
    ],
    "a.webp": [_picture("WEBP", lossless=True), _picture("WEBP")],
    "a.bmp": [_picture("BMP"), _picture("BMP", PIXELS[..., 0])],
    "a-idx3-ubyte": [_idx()],
    "a-idx3-ubyte.gz": [gzip.compress(_idx(), mtime=0)],
}


def _fuzzed(name, count, seed, path, mutations, read_or_refused):
    """How many changed files were read, and how many refused; stops at any other end."""
    read = read_images if "idx" in name else read_points
    counts = [0, 0]
    for i, whole in enumerate(WHOLE[name]):
        path.write_bytes(whole)
        assert read(path) is not None
        for changed in mutations(whole, seed + i, count // len(WHOLE[name])):
            path.write_bytes(changed)
            counts[read_or_refused(lambda: read(path), path) is None] += 1
    return counts


@pytest.mark.filterwarnings("ignore:.*of whole numbers above fractions:UserWarning")
@pytest.mark.parametrize("name", WHOLE)
def test_changed_files_are_read_or_refused(name, tmp_path, mutations, read_or_refused, capfd):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, refused = _fuzzed(name, 300, 0, tmp_path / name, mutations, read_or_refused)
    assert refused > 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < _MOST_GROWTH
    assert capfd.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*of whole numbers above fractions:UserWarning")
@pytest.mark.parametrize("name", WHOLE)
def test_ten_thousand_changed_files(name, tmp_path, mutations, read_or_refused, capfd):
    read, refused = _fuzzed(name, 10_000, 1, tmp_path / name, mutations, read_or_refused)
    with capfd.disabled():
        print(f"{name}: {read:,} read, {refused:,} refused")
    assert capfd.readouterr().err == ""
