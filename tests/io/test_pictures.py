"""Pictures of more bits and parts: the values that there are, a round trip, or a clear refusal."""

import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from brenier.io import check_output, read_points, write_points

RANDOM = np.random.default_rng(0)
DEEP = RANDOM.integers(0, 65536, (9, 7, 4)).astype(np.uint16)
GREY = np.linspace(0, 1, 63, dtype=np.float32).reshape(9, 7)


def _chunk(kind, data):
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def _png(rows, width, bits, colours, *more):
    """A PNG without filters of (h, bytes) rows."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colours, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), *more, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _deep_png(samples, *more):
    colours = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]]
    rows = samples.astype(">u2").reshape(len(samples), -1).view(np.uint8)
    return _png(rows, samples.shape[1], 16, colours, *more)


def _tiff(samples, *, order="<", packed=False, white=1, more=()):
    """A TIFF of one strip; whole numbers of 16 or 32 bits, or floats."""
    height, width, channels = samples.shape
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if packed else data
    bits = [8 * samples.dtype.itemsize] * channels
    words = struct.pack(f"{order}{channels}H", *bits) if channels > 2 else b""
    photometric = 2 if channels > 2 else white
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    entries = {256: (4, width), 257: (4, height), 258: (3, *bits), 259: (3, 8 if packed else 1)}
    entries |= {262: (3, photometric), 273: (4, 8), 277: (3, channels), 278: (4, height)}
    entries |= {279: (4, len(data)), 339: (3, kind), **dict(more)}
    out = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data + words))
    out += data + words + struct.pack(f"{order}H", len(entries))
    for tag, (form, *values) in sorted(entries.items()):
        letters = "H" * len(values) if form == 3 else "I" * len(values)
        field = struct.pack(order + letters, *values).ljust(4, b"\0")
        field = field if len(field) == 4 else struct.pack(f"{order}I", 8 + len(data))
        out += struct.pack(f"{order}HHI", tag, form, len(values)) + field
    return out + bytes(4)


def _opaque(alpha):
    return {338: (3, alpha)}.items()


FULL = {
    "grey": ("a.png", _deep_png(DEEP[..., :1]), DEEP[..., :1]),
    "grey with opacity": ("a.png", _deep_png(DEEP[..., :2]), DEEP[..., :2]),
    "colours": ("a.png", _deep_png(DEEP[..., :3]), DEEP[..., :3]),
    "colours with opacity": ("a.png", _deep_png(DEEP), DEEP),
    "TIFF": ("a.tif", _tiff(DEEP[..., :1]), DEEP[..., :1]),
    "TIFF of colours": ("a.tif", _tiff(DEEP[..., :3]), DEEP[..., :3]),
    "TIFF, big-endian": ("a.tif", _tiff(DEEP[..., :3], order=">"), DEEP[..., :3]),
    "TIFF, packed": ("a.tif", _tiff(DEEP[..., :3], packed=True), DEEP[..., :3]),
    "TIFF, both": ("a.tif", _tiff(DEEP[..., :3], order=">", packed=True), DEEP[..., :3]),
    "TIFF, opacity": ("a.tif", _tiff(DEEP, more=_opaque(2)), DEEP),
    "TIFF, grey packed": ("a.tif", _tiff(DEEP[..., :1], order=">", packed=True), DEEP[..., :1]),
    "TIFF, 0 is white": ("a.tif", _tiff(65535 - DEEP[..., :1], white=0), DEEP[..., :1]),
}


def _samples(table):
    """The 16-bit samples of a table, opacity and all."""
    shape = (table.picture.height, table.picture.width, -1)
    colours = table.values.reshape(shape) * table.picture.levels
    if table.picture.alpha is not None:
        colours = np.concatenate([colours, table.picture.alpha[..., None]], axis=-1)
    return colours


@pytest.mark.parametrize("case", FULL)
def test_all_16_bits_are_read_and_written(case, tmp_path):
    name, data, samples = FULL[case]
    (tmp_path / name).write_bytes(data)
    table = read_points(tmp_path / name)
    assert table.picture.levels == 65535
    np.testing.assert_allclose(_samples(table), samples, rtol=1e-15)
    write_points(tmp_path / "b.png", table.values, table)
    np.testing.assert_array_equal(_samples(read_points(tmp_path / "b.png")), _samples(table))
    with Image.open(tmp_path / "b.png") as written:  # Pillow shows the upper bytes of colours
        shown = np.asarray(written)
    if samples.shape[2] > 2:
        np.testing.assert_array_equal(shown, samples >> 8)


def test_a_colour_that_is_clear_is_opacity_in_any_depth(tmp_path):
    deep = DEEP[..., :3]
    key = struct.pack(">3H", *deep[2, 3])
    near = deep.copy()
    near[0, 0] = deep[2, 3] ^ 1  # another colour, of the same upper bytes
    (tmp_path / "a.png").write_bytes(_deep_png(near, (b"tRNS", key)))
    alpha = read_points(tmp_path / "a.png").picture.alpha
    assert (alpha[2, 3], alpha[0, 0], (alpha == 0).sum()) == (0, 65535, 1)
    rows = np.array([[0x0F, 0x50]], np.uint8)  # four samples of 4 bits: 0, 15, 5, 0
    (tmp_path / "b.png").write_bytes(_png(rows, 4, 4, 0, (b"tRNS", b"\0\x0f")))
    table = read_points(tmp_path / "b.png")
    assert (table.values[:, 0] * 15).round(9).tolist() == [0, 15, 5, 0]
    assert table.picture.alpha.tolist() == [[255, 0, 255, 255]]


def test_16_bits_lose_8_only_where_the_format_has_no_more(tmp_path):
    (tmp_path / "a.png").write_bytes(_deep_png(DEEP))
    table = read_points(tmp_path / "a.png")
    write_points(tmp_path / "b.webp", table.values, table)
    shown = np.asarray(Image.open(tmp_path / "b.webp"))
    np.testing.assert_array_equal(shown[..., 3], np.rint(DEEP[..., 3] / 257))
    with pytest.raises(ValueError, match=r"b\.tif: got a picture of 16 bits in several channels"):
        check_output(tmp_path / "b.tif", table)


@pytest.mark.parametrize("packed", [False, True])
def test_floats_are_read_and_written_as_they_are(packed, tmp_path):
    (tmp_path / "a.tif").write_bytes(_tiff(GREY[..., None], packed=packed))
    table = read_points(tmp_path / "a.tif")
    np.testing.assert_array_equal(table.values[:, 0], GREY.ravel())
    write_points(tmp_path / "b.tif", table.values, table)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.tif")), GREY)
    write_points(tmp_path / "b.png", table.values, table)
    written = read_points(tmp_path / "b.png")
    assert np.abs(written.values - table.values).max() <= 0.5 / 65535


WHOLE = np.arange(63).reshape(9, 7, 1)
NO_WHITE = {
    "32 bits": _tiff((WHOLE * 10**7 - 10**8).astype(np.int32)),
    "32 bits, small": _tiff(WHOLE.astype(np.int32)),
    "unsigned": _tiff(WHOLE.astype(np.uint32)),
    "signed 16 bits": _tiff((WHOLE - 20).astype(np.int16)),
    "floats above 1": _tiff(GREY[..., None] * 255),
    "NaN": _tiff(GREY[..., None] * np.float32(np.nan)),
}


@pytest.mark.parametrize("case", NO_WHITE)
def test_where_white_is_not_known_the_picture_is_refused(case, tmp_path):
    (tmp_path / "a.tif").write_bytes(NO_WHITE[case])
    with pytest.raises(ValueError, match=r"a\.tif: got .*white is not known; wants"):
        read_points(tmp_path / "a.tif")


UNREAD = {
    "opacity in the colours": _tiff(DEEP, more=_opaque(1)),
    "channels apart": _tiff(DEEP[..., :3], more={284: (3, 2)}.items()),
    "floats of 64 bits": _tiff(GREY[..., None].astype(float)),
    "floats in colours": _tiff(np.repeat(GREY[..., None], 3, axis=2)),
}


@pytest.mark.parametrize("case", UNREAD)
def test_what_is_not_read_whole_is_refused(case, tmp_path, read_or_refused):
    path = tmp_path / "a.tif"
    path.write_bytes(UNREAD[case])
    assert read_or_refused(lambda: read_points(path), path) is None


COLOURS = RANDOM.integers(0, 256, (8, 8, 3), np.uint8)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "CMYK", "YCbCr", "RGBX"])
def test_other_modes_of_8_bits_are_read(mode, tmp_path):
    picture = Image.fromarray(COLOURS).convert(mode if mode != "P" else "L").convert(mode)
    picture.save(tmp_path / "a.tiff")
    table = read_points(tmp_path / "a.tiff")
    expected = np.asarray(picture.convert("L" if mode in ("1", "LA") else "RGB"))
    np.testing.assert_allclose(table.values, expected.reshape(64, -1) / 255, atol=1e-15)


def test_the_picture_of_a_phone_is_the_first_of_its_parts(tmp_path):
    picture = Image.fromarray(COLOURS)
    small = picture.resize((4, 4))
    picture.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[small])
    assert read_points(tmp_path / "a.jpg").values.shape == (64, 3)
    parts = [Image.fromarray(part) for part in (COLOURS, COLOURS[:4])]
    parts[0].save(tmp_path / "a.tif", save_all=True, append_images=parts[1:])
    with pytest.raises(ValueError, match=r"a\.tif: got several pictures in one file"):
        read_points(tmp_path / "a.tif")


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_stand_upright_whatever_their_depth(turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = turn
    flat = Image.fromarray(COLOURS[:5])
    flat.save(tmp_path / "a.png", exif=exif)
    mark = (b"eXIf", exif.tobytes()[6:])
    (tmp_path / "b.png").write_bytes(_deep_png(COLOURS[:5].astype(np.uint16) * 257, mark))
    (tmp_path / "c.tif").write_bytes(
        _tiff(COLOURS[:5].astype(np.uint16) * 257, more={274: (3, turn)}.items())
    )
    one, two, three = (read_points(tmp_path / name) for name in ("a.png", "b.png", "c.tif"))
    assert one.picture.height == (5 if turn < 5 else 8)
    np.testing.assert_allclose(two.values, one.values)
    np.testing.assert_allclose(three.values, one.values)


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("brenier.io._refusals._UNPACKED", 2**16)
    Image.new("RGB", (256, 256)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: got 196,608 bytes packed into .*; wants"):
        read_points(tmp_path / "a.png")
    rows = np.zeros((1, 3), np.uint8)
    bomb = _png(rows, 1, 8, 2).replace(struct.pack(">II", 1, 1), struct.pack(">II", 2**15, 2**14))
    (tmp_path / "a.png").write_bytes(bomb)
    with pytest.raises(ValueError, match=r"a\.png: got no readable picture"):
        read_points(tmp_path / "a.png")


def test_libtiff_says_nothing_on_stderr(tmp_path, capfd):
    whole = _tiff(DEEP[..., :3], packed=True)
    data = 8 + 30  # within the packed bytes
    (tmp_path / "data.tif").write_bytes(whole[:data] + b"\xff" * 9 + whole[data + 9 :])
    many = bytes(tag if i % 12 else 0xFF for i, tag in enumerate(whole[-60:]))
    (tmp_path / "tags.tif").write_bytes(whole[:-60] + many)
    for name in ("data.tif", "tags.tif"):
        with pytest.raises(ValueError, match=rf"{name}: got no readable picture"):
            read_points(tmp_path / name)
    assert capfd.readouterr().err == ""
    print("still there", file=sys.stderr)
    assert capfd.readouterr().err == "still there\n"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["RGB", "I;16"])
def test_a_picture_of_81_million_pixels_takes_little_more_than_its_values(kind, tmp_path):
    """No end in ten minutes, before."""
    program = """
import resource, sys, numpy as np
from PIL import Image
from brenier.io import read_points, write_points
side, deep = 9000, sys.argv[2] == "I;16"
row = np.random.default_rng(0).integers(0, 65536 if deep else 256, (side, 1 if deep else 3))
pixels = np.empty((side, side, row.shape[1]), np.uint16 if deep else np.uint8)
pixels[:] = row
Image.fromarray(pixels[..., 0] if deep else pixels).save(sys.argv[1])
table = read_points(sys.argv[1])
assert table.values.shape == (side**2, row.shape[1])
write_points(sys.argv[1], table.values, table)
again = np.asarray(Image.open(sys.argv[1])).reshape(pixels.shape)
assert (again == pixels).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / table.values.nbytes)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.png"), kind]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=400)
    assert float(run.stdout) < 3.0
