"""What a path leads to that is no file, and what errors call the files that they are about."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import brenier
from brenier.io import (
    atomic_path,
    atomic_write,
    check_folder,
    read_array,
    read_cells,
    read_images,
    read_points,
    write_points,
)

READERS = {
    "a.csv": read_points,
    "a.npy": read_points,
    "a.npz": read_points,
    "a.parquet": read_points,
    "a.png": read_points,
    "b.npy": read_array,
    "c.npz": read_array,
    "d.npy": read_images,
    "e-idx3-ubyte": read_images,
    "a.h5ad": read_cells,
    "m.brenier": brenier.load,
}


def _loop(path):
    path.symlink_to(path.name)


def _circle(path):
    path.symlink_to(f"{path.name}.too")
    path.with_name(f"{path.name}.too").symlink_to(path.name)


STANDS = {
    "nothing": (lambda path: None, "got no such file"),
    "a broken link": (lambda path: path.symlink_to("nowhere"), "got no such file"),
    "a link to itself": (_loop, r"got no file \(Too many levels of symbolic links\)"),
    "two links in a circle": (_circle, r"got no file \(Too many levels of symbolic links\)"),
    "a pipe": (os.mkfifo, "got a pipe or a device"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "got a pipe or a device"),
    "a folder": (Path.mkdir, "got a folder"),
}


@pytest.mark.parametrize("kind", STANDS)
@pytest.mark.parametrize("name", READERS)
def test_readers_say_what_stands_there(name, kind, tmp_path):
    make, phrase = STANDS[kind]
    make(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}: {phrase}.*; wants ") as raised:
        READERS[name](tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["a\0b.csv", "a" * 300 + ".csv", "f/a.csv"])
def test_a_path_that_cannot_be_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("f").write_text("a file")
    with pytest.raises(ValueError, match=r"\.csv: got no .*; wants a file of points"):
        read_points(name)


@pytest.mark.parametrize("make", [_loop, _circle])
def test_a_link_to_itself_is_no_output(make, tmp_path):
    path = tmp_path / "a.csv"
    make(path)
    for write in (check_folder, lambda path: write_points(path, np.ones((2, 2)))):
        with pytest.raises(ValueError, match=r"a\.csv: got a link that leads to itself; wants"):
            write(path)
    assert path.is_symlink()


def test_a_broken_link_is_written_through(tmp_path):
    (tmp_path / "a.csv").symlink_to("b.csv")
    write_points(tmp_path / "a.csv", np.ones((2, 2)))
    assert (tmp_path / "a.csv").is_symlink()
    assert (tmp_path / "b.csv").exists()


_FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import numpy as np
from brenier.io import write_points
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
values = np.random.default_rng(0).normal(size=(9000, 2))
for name in sys.argv[1:]:
    try:
        write_points(name, values)
    except OSError as error:
        print(error.errno, error)
"""


def test_a_full_disk_names_the_output(tmp_path):
    pytest.importorskip("pyarrow", reason="needs brenier[tables]")
    pytest.importorskip("PIL", reason="needs brenier[images]")
    names = ["a.csv", "a.npy", "a.npz", "a.npz:k", "a.parquet"]
    environment = {**os.environ, "PYTHONPATH": str(Path(brenier.__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-c", _FULL, *names],
        cwd=tmp_path,
        env=environment,
        check=True,
        text=True,
        capture_output=True,
    )
    said = run.stdout.strip().split("\n")
    assert [line.split(" ", 1)[1] for line in said] == [
        f"[Errno 27] File too large: '{name.partition(':')[0]}'" for name in names
    ]


def test_what_fails_elsewhere_keeps_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), atomic_write(tmp_path / "a"):
        (tmp_path / "other").read_bytes()
    with pytest.raises(OSError, match="/dev/full"), atomic_write("/dev/full") as handle:
        handle.write(b"x" * 100_000)
    with pytest.raises(OSError, match=r"No such file.*'.*/a'"), atomic_path(tmp_path / "a") as part:
        part.unlink()


def test_no_message_has_an_address(tmp_path):
    for name in ("a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"):
        (tmp_path / name).write_bytes(b"no picture at all")
        with pytest.raises(ValueError, match=r"wants a picture \(BMP, JPEG, ") as raised:
            read_points(tmp_path / name)
        assert " at 0x" not in str(raised.value)
        assert name in str(raised.value)


def test_other_arrays_of_an_archive_are_kept(tmp_path):
    path = tmp_path / "two.npz"
    others = {"other": np.arange(3), "b/c": np.ones((2, 2)), "words": np.array(["a"])}
    np.savez_compressed(path, k=np.eye(2), **others)
    values = np.array([[1.0, 2.0], [3.0, 4.5]])
    for key in ("k", "new", "k"):
        write_points(f"{path}:{key}", values)
        with np.load(path) as found:
            for name, array in others.items():
                np.testing.assert_array_equal(found[name], array)
            np.testing.assert_array_equal(found[key], values)
        assert list(path.parent.iterdir()) == [path]
    assert sorted(np.load(path).files) == ["b/c", "k", "new", "other", "words"]
    whole = path.read_bytes()
    write_points(f"{path}:k", values)
    assert path.read_bytes() == whole
    write_points(path, values)  # without a name the file is replaced, as any other
    assert np.load(path).files == ["points"]


def test_arrays_of_objects_are_kept_and_not_run(tmp_path):
    np.savez(tmp_path / "a.npz", objects=np.array([{}], object))
    write_points(f"{tmp_path}/a.npz:k", np.eye(2))
    with np.load(tmp_path / "a.npz", allow_pickle=True) as found:
        assert found["objects"].tolist() == [{}]


@pytest.mark.parametrize("whole", [b"no archive", b"", b"PK\3\4"])
def test_what_is_no_archive_is_not_written_over(whole, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(whole)
    for value in (np.eye(2), np.ones((3, 1))):
        with pytest.raises(ValueError, match=r"a\.npz.*: got a damaged \.npz file, or none"):
            write_points(f"{path}:k", value)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_colours_below_what_is_clear_are_kept(ending, tmp_path):
    from PIL import Image

    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (6, 7, 4), dtype=np.uint8)
    pixels[..., 3] = random.choice([0, 1, 255], (6, 7))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    table = read_points(tmp_path / "a.png")
    write_points(tmp_path / f"b.{ending}", table.values, table)
    found = read_points(tmp_path / f"b.{ending}")
    np.testing.assert_array_equal(found.values, table.values)
    np.testing.assert_array_equal(found.picture.alpha, table.picture.alpha)


@pytest.mark.parametrize("ending", ["gif", "svg", "ico", "ppm", "GIF"])
def test_pictures_of_other_formats_are_named(ending, tmp_path):
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / f"b.{ending}").write_bytes(b"GIF89a")
    (tmp_path / "labels.csv").write_text("1\n")
    found = read_images(tmp_path)
    assert len(found.pixels) == 1
    assert [(Path(file).name, ending in why) for file, why in found.skipped] == [
        (f"b.{ending}", True)
    ]
    assert ".csv" not in found.skipped[0][1]  # a picture is wanted, and no table
    with pytest.raises(ValueError, match=rf"b\.{ending}: got the ending"):
        read_images(tmp_path, strict=True)


@pytest.mark.parametrize("shape", [(5, 3, 8, 8), (5, 1, 8, 8), (5, 4, 8, 8), (5, 3, 4, 4)])
def test_channels_that_come_first_are_refused(shape, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(ValueError, match=r"a\.npy: got shape .*; wants .*transpose\(0, 2, 3, 1\)"):
        read_images(tmp_path / "a.npy")
    for last in (1, 2, 3, 4, 8):
        np.save(tmp_path / "a.npy", np.zeros((5, 8, 6, last)))
        assert read_images(tmp_path / "a.npy").pixels.shape[-1] == last
