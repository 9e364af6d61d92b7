"""Arrays in .npy, .npz and IDX: odd but sound files are read, others refused before memory goes."""

import gzip
import io
import struct
import warnings
import zipfile

import numpy as np
import pytest

from brenier.io import read_images, read_points

VALUES = np.array([[1.5, -2.0, 3.0], [0.25, 5.0, -6.0]])
BYTES = VALUES.tobytes()


def _npy(header, body=BYTES, version=1):
    text = header.encode("utf-8" if version == 3 else "latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + body


def _saved(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def _header(descr="'<f8'", order="False", shape="(2, 3)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


SOUND = {
    "as NumPy": _saved(VALUES),
    "in Fortran's order": _saved(np.asfortranarray(VALUES)),
    "big-endian": _saved(VALUES.astype(">f8")),
    "version 2": _npy(_header(), version=2),
    "version 3": _npy(_header(), version=3),
    "another order of entries": _npy("{'shape': (2,3), \"fortran_order\":False,'descr':'<f8'}"),
    "of Python 2": _npy(_header(shape="(2L, 3L)")),
    "single": _saved(VALUES.astype(np.float32)),
    "half": _saved(VALUES.astype(np.float16)),
    "long double": _saved(VALUES.astype(np.longdouble)),
    "native": _npy(_header(descr="'f8'")),
}


@pytest.mark.parametrize("case", SOUND)
def test_odd_but_sound_arrays_are_read(case, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(SOUND[case])
    table = read_points(path)
    np.testing.assert_array_equal(table.values, VALUES)
    assert table.values.dtype in (np.float32, np.float64)


@pytest.mark.parametrize("dtype", ["?", "u1", ">i2", "<u4", "i8"])
def test_whole_numbers_of_every_width(dtype, tmp_path):
    whole = np.array([[0, 1], [1, 1]], dtype)
    np.save(tmp_path / "a.npy", whole)
    np.testing.assert_array_equal(read_points(tmp_path / "a.npy").values, whole)


@pytest.mark.parametrize("packed", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packed_arrays_are_read(packed, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", packed) as archive:
        archive.mkdir("empty")
        archive.writestr("x.npy", _saved(VALUES))
    np.testing.assert_array_equal(read_points(tmp_path / "a.npz").values, VALUES)


HOSTILE = {
    "cut in the header": _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,2"),
    "keys that are no words": _npy("{1:2,'a':3}"),
    "brackets": _npy("(" * 9000),
    "minus signs": _npy("-" * 9000 + "1"),
    "15 TB": _npy(_header(shape="(1000000000000, 2)")),
    "beyond counting": _npy(_header(shape=f"({2**62}, {2**62})")),
    "5,000 digits": _npy(_header(shape=f"({'9' * 5000}, 2)")),
    "a negative length": _npy(_header(shape="(-2, 3)")),
    "many axes": _npy(_header(shape="(" + "1, " * 500 + ")"), b"\0" * 8),
    "a flag for a length": _npy(_header(shape="(True, 3)")),
    "a number for a type": _npy(_header(descr="5")),
    "no such type": _npy(_header(descr="'<f3'")),
    "long words": _npy(_header(descr="'<U100000000'")),
    "records": _npy(_header(descr="[('a', '<f8')]", shape="(6,)")),
    "an unknown version": _npy(_header(), version=3).replace(b"NUMPY\3", b"NUMPY\x09"),
    "a header of 1 GB": b"\x93NUMPY\2\0" + struct.pack("<I", 2**30) + b"{",
    "bytes too few": _npy(_header(), BYTES[:-1]),
    "two arrays": _saved(VALUES) * 2,
    "nothing below the name": b"\x93NUMPY",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_array_is_one_line_with_the_name(case, tmp_path, read_or_refused):
    path, packed = tmp_path / "a.npy", tmp_path / "b.npz"
    path.write_bytes(HOSTILE[case])
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", HOSTILE[case])
    for file in (path, packed):
        with pytest.raises(ValueError, match=rf"{file.name}: got .*; wants "):
            read_points(file)
        assert read_or_refused(lambda file=file: read_points(file), file) is None
    with pytest.raises(ValueError, match=r"a\.npy: got .*; wants "):
        read_images(path)


def test_a_header_of_python_2_is_read_in_silence(tmp_path):
    (tmp_path / "a.npy").write_bytes(SOUND["of Python 2"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_points(tmp_path / "a.npy")


def test_a_packed_array_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("brenier.io._refusals._UNPACKED", 2**16)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((2**13 + 1, 1)))
    with pytest.raises(ValueError, match=r"a\.npz: got .* bytes packed into .*; wants at most"):
        read_points(tmp_path / "a.npz")


def test_a_damaged_packed_array_is_named(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(50, 2)))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[:300] + b"\xff" * 20 + whole[320:])
    with pytest.raises(ValueError, match=r"a\.npz: got a damaged \.npz file.*; wants arrays"):
        read_points(tmp_path / "a.npz")


def _idx(shape, body, axes=None):
    axes = len(shape) if axes is None else axes
    return struct.pack(f">HBB{len(shape)}I", 0, 8, axes, *shape) + body


BOMBS = {
    "a bomb": _idx((2**12, 2**8, 2**9), bytes(2**16)),
    "a promise": _idx((2**32 - 1,) * 3, b""),
    "255 dimensions": _idx((1,) * 3, b"\0", axes=255),
    "bytes too many": _idx((1, 2, 2), bytes(5)),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("case", BOMBS)
def test_idx_files_that_promise_too_much_are_refused(case, ending, tmp_path):
    path = tmp_path / f"a-idx3-ubyte{ending}"
    path.write_bytes(gzip.compress(BOMBS[case]) if ending else BOMBS[case])
    wish = r"labels \(1\) or images \(3\)" if case == "255 dimensions" else ""
    with pytest.raises(ValueError, match=rf"a-idx3-ubyte(\.gz)?: got .*; wants {wish}"):
        read_images(path)
