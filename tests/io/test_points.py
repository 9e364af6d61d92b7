"""Points in and out of files: exact round trips, and every bad file by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brenier.io import Table, check_output, read_points, write_points

POINTS = np.random.default_rng(0).normal(size=(7, 3)) * 10.0 ** np.arange(-3, 4)[:, None]
NAMES = ("height", "weight", "age")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("ending", ["p.npy", "p.npz", "p.npz:cloud", "p.parquet"])
def test_binary_tables_come_back_bit_for_bit(ending, dtype, tmp_path):
    spec = f"{tmp_path}/{ending}"
    write_points(spec, POINTS.astype(dtype), Table(POINTS, names=NAMES))
    table = read_points(spec)
    assert table.values.dtype == dtype
    assert table.values.tobytes() == POINTS.astype(dtype).tobytes()
    assert table.names == (NAMES if ending.endswith("parquet") else None)


@pytest.mark.parametrize("names", [NAMES, None])
def test_csv_keeps_its_header_and_every_bit(names, tmp_path):
    spec = tmp_path / "p.csv"
    write_points(spec, POINTS, Table(POINTS, names=names))
    table = read_points(spec)
    assert table.names == names
    assert table.values.tobytes() == POINTS.tobytes()


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.floats(-1e100, 1e100), min_size=2, max_size=2), min_size=1, max_size=5
    ),
    names=st.none()
    | st.lists(
        st.text(st.characters(categories=("L",)), min_size=1, max_size=8).filter(
            lambda word: word.lower() not in ("nan", "inf", "infinity")
        ),
        min_size=2,
        max_size=2,
        unique=True,
    ),
)
def test_any_csv_survives(rows, names, tmp_path_factory):
    spec = tmp_path_factory.mktemp("csv") / "p.csv"
    values = np.array(rows)
    write_points(spec, values, Table(values, names=None if names is None else tuple(names)))
    table = read_points(spec)
    assert table.values.tobytes() == values.tobytes()
    assert table.names == (None if names is None else tuple(names))


@pytest.mark.parametrize("ending", ["csv", "npy", "npz", "parquet"])
def test_the_same_points_give_the_same_bytes(ending, tmp_path):
    for name in ("a", "b"):
        write_points(tmp_path / f"{name}.{ending}", POINTS)
    data = [(tmp_path / f"{name}.{ending}").read_bytes() for name in ("a", "b")]
    assert data[0] == data[1]


def test_npz_keys(tmp_path):
    path = tmp_path / "two.npz"
    np.savez(path, a=POINTS, b=POINTS[:2])
    assert read_points(f"{path}:b").values.shape == (2, 3)
    with pytest.raises(ValueError, match=r"got 2 arrays \['a', 'b'\]; wants the name of one"):
        read_points(path)
    with pytest.raises(ValueError, match=r"no array named 'c'; wants one of \['a', 'b'\]"):
        read_points(f"{path}:c")


def test_columns_are_matched_by_name():
    table = Table(POINTS, "new.csv", NAMES)
    turned = table.aligned(("age", "height", "weight"), "old.csv")
    np.testing.assert_array_equal(turned.values, POINTS[:, [2, 0, 1]])
    assert turned.names == ("age", "height", "weight")
    assert table.aligned(None, "old.npy") is table
    with pytest.raises(ValueError, match=r"new.csv: .*without columns \['size'\] and with unknown"):
        table.aligned(("height", "weight", "size"), "old.csv")


def _pixels(shape, top=255, dtype=np.uint8):
    return np.random.default_rng(1).integers(0, top + 1, shape).astype(dtype)


@pytest.mark.parametrize(
    ("pixels", "ending"),
    [
        (_pixels((4, 5, 3)), "png"),
        (_pixels((4, 5, 3)), "webp"),
        (_pixels((4, 5, 3)), "bmp"),
        (_pixels((4, 5, 3)), "tiff"),
        (_pixels((4, 5)), "png"),
        (_pixels((4, 5, 4)), "png"),
        (_pixels((4, 5, 2)), "png"),
        (_pixels((4, 5), 65535, np.uint16), "png"),
    ],
    ids=["rgb", "webp", "bmp", "tiff", "grey", "rgba", "grey-alpha", "grey16"],
)
def test_pictures_come_back_pixel_for_pixel(pixels, ending, tmp_path):
    from PIL import Image

    path, again = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    Image.fromarray(pixels).save(path, lossless=True)
    table = read_points(path)
    channels = 1 if pixels.ndim == 2 or pixels.shape[-1] == 2 else 3
    assert table.values.shape == (20, channels)
    assert table.values.min() >= 0
    assert table.values.max() <= 1
    write_points(again, table.values, table)
    np.testing.assert_array_equal(np.asarray(Image.open(again)), pixels)


def test_colours_are_clipped_and_rounded_and_alpha_left_alone(tmp_path):
    from PIL import Image

    Image.fromarray(_pixels((1, 4, 4))).save(tmp_path / "a.png")
    table = read_points(tmp_path / "a.png")
    values = np.array([[-0.4, 1.7, 0.5], [0.0, 1.0, 254.6 / 255], [2e5, -2e5, 0.1], [0, 0, 0.0]])
    write_points(tmp_path / "b.png", values, table)
    written = np.asarray(Image.open(tmp_path / "b.png"))[0]
    expected = [[0, 255, 128], [0, 255, 255], [255, 0, 26], [0, 0, 0]]
    np.testing.assert_array_equal(written[:, :3], expected)
    np.testing.assert_array_equal(written[:, 3], _pixels((1, 4, 4))[0, :, 3])


def test_jpeg_palette_and_rotated_pictures(tmp_path):
    from PIL import Image

    smooth = Image.fromarray(np.linspace(0, 255, 60, dtype=np.uint8).reshape(4, 5, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter to stand upright
    smooth.save(tmp_path / "a.jpg", exif=exif)
    table = read_points(tmp_path / "a.jpg")
    assert (table.picture.height, table.picture.width) == (5, 4)
    write_points(tmp_path / "b.jpg", table.values, table)
    again = read_points(tmp_path / "b.jpg")
    # JPEG at quality 95 quantises: within 8 of 255 levels on a smooth picture.
    assert np.abs(again.values - table.values).max() < 8 / 255
    palette = Image.fromarray(_pixels((3, 3), 3)).convert("P")
    palette.save(tmp_path / "p.png", transparency=0)
    assert read_points(tmp_path / "p.png").picture.alpha is not None


def _text(text):
    return lambda path: path.write_text(text)


def _bytes(data):
    return lambda path: path.write_bytes(data)


def _array(array):
    return lambda path: np.save(path, array, allow_pickle=True)


def _frame(**columns):
    def make(path):
        import pandas as pd

        pd.DataFrame(columns).to_parquet(path)

    return make


BAD = {
    "absent": ("a.csv", lambda path: None, "no such file"),
    "ending": ("a.xyz", _text("1"), "ending '.xyz'; wants one of .npy"),
    "empty csv": ("a.csv", _text(""), "empty file"),
    "blank csv": ("a.csv", _text("\n\n"), "no rows"),
    "header only": ("a.csv", _text("a,b\n"), "no rows"),
    "words": ("a.csv", _text("a,b\n1,2\n3,four\n"), "column 'b': got the entry 'four' in row 1"),
    "words without header": ("a.csv", _text("1,2\n3,x\n"), "column 1: got the entry 'x'"),
    "mixed header": ("a.csv", _text("1,b\n3,4\n"), "mixes numbers and words"),
    "true": ("a.csv", _text("a\nTrue\nFalse\n"), "column 'a': got the entry 'True'"),
    "index": ("a.csv", _text(",b\n0,1\n1,2\n"), r"got no name for column 0"),
    "double name": ("a.csv", _text("b,b\n0,1\n"), r"columns \['b'\] more than once"),
    "ragged long": ("a.csv", _text("1,2\n3,4,5\n"), "got 3 cells in row 1; wants 2"),
    "ragged short": ("a.csv", _text("1,2\n3\n"), "got 1 cells in row 1; wants 2"),
    "too few names": ("a.csv", _text("a\n1,2\n"), "got 2 cells in row 0; wants 1"),
    "nan": ("a.csv", _text("1,2\nnan,3\n"), "NaN or infinite"),
    "infinite": ("a.csv", _text("1,2\n3,-inf\n"), "NaN or infinite"),
    "latin-1": ("a.csv", _bytes("höhe\n1\n".encode("latin-1")), "not UTF-8"),
    "huge integers": ("a.csv", _text(f"a\n{2**60 + 1}\n"), "integer 1152921504606846977 in row 0"),
    "huger integers": ("a.csv", _text(f"a\n1\n-{2**80 + 1}\n"), "cannot hold exactly"),
    "not npy": ("a.npy", _bytes(b"hello there, no array"), "damaged .npy"),
    "truncated npy": ("a.npy", _bytes(b"\x93NUMPY\x01\x00\x40"), "damaged .npy"),
    "pickle": ("a.npy", _array(np.array([{}, 1])), "Object arrays cannot be loaded"),
    "one dimension": ("a.npy", _array(np.ones(3)), r"shape \(3,\); wants \(n, d\)"),
    "no points": ("a.npy", _array(np.ones((0, 3))), "wants at least 1 points"),
    "complex": ("a.npy", _array(np.ones((2, 2)) * 1j), "complex128; wants real numbers"),
    "strings": ("a.npy", _array(np.array([["a", "b"]])), "wants real numbers"),
    "int64": ("a.npy", _array(np.array([[2**60 + 1]])), "integers beyond 2..53"),
    "overflow": ("a.npy", _array(np.full((2, 2), 1e200)), "squared distances overflow"),
    "single cells": ("a.h5ad", _bytes(b""), r"got single cells \(.h5ad\) beside a table"),
    "not npz": ("a.npz", _bytes(b"PK\x03\x04 broken"), "damaged .npz"),
    "empty cell": ("a.csv", _text("1,2\n3,\n"), "column 1: got the entry '' in row 1"),
    "not parquet": ("a.parquet", _bytes(b"PAR1 not really PAR1"), "no Parquet file"),
    "parquet words": ("a.parquet", _frame(a=["x", "y"]), "column 'a': got entries of type .*str"),
    "parquet missing": ("a.parquet", _frame(a=[1.0, None]), "NaN or infinite"),
    "parquet dates": (
        "a.parquet",
        _frame(a=np.array(["2020-01-01"], "datetime64[ns]")),
        "column 'a': got .* timestamp",
    ),
    "not a picture": ("a.png", _bytes(b"hello"), "no readable picture"),
    "truncated picture": ("a.jpg", _bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF"), "no readable picture"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named(case, tmp_path):
    name, make, phrase = BAD[case]
    path = tmp_path / name
    make(path)
    with pytest.raises(ValueError, match=f"(?s){name}.*{phrase}"):
        read_points(path)


def test_bad_outputs_are_refused_before_any_work(tmp_path):
    from PIL import Image

    Image.fromarray(_pixels((2, 2, 4))).save(tmp_path / "a.png")
    clear = read_points(tmp_path / "a.png")
    table = Table(POINTS)
    with pytest.raises(ValueError, match=r"ending '\.txt'"):
        check_output(tmp_path / "a.txt", table)
    with pytest.raises(ValueError, match="folder that does not exist"):
        check_output(tmp_path / "no" / "a.csv", table)
    with pytest.raises(ValueError, match="not a picture's"):
        check_output(tmp_path / "b.png", table)
    with pytest.raises(ValueError, match=r"transparency, which \.jpg cannot hold"):
        check_output(tmp_path / "b.jpg", clear)
    with pytest.raises(ValueError, match=r"got shape \(3, 3\); wants \(4, 1 or 3\)"):
        write_points(tmp_path / "b.png", np.zeros((3, 3)), clear)
    with pytest.raises(ValueError, match="NaN or infinite"):
        write_points(tmp_path / "b.csv", np.full((2, 2), np.nan))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
