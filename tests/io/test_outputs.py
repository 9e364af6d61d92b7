"""What stands where a file is to be written: inputs, devices, private files, old parts."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import brenier
from brenier.io import (
    MAP_ENDINGS,
    PAGE_ENDINGS,
    atomic_path,
    atomic_write,
    check_apart,
    check_folder,
    check_output_folder,
    check_outside,
    write_points,
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text("1,2\n")
    Path("soft.csv").symlink_to("a.csv")
    os.link("a.csv", "hard.csv")
    Path("folder").mkdir()
    Path("up").symlink_to(".")
    return tmp_path


SAME = ["a.csv", "./a.csv", "folder/../a.csv", "soft.csv", "hard.csv", "up/a.csv", "up/soft.csv"]


@pytest.mark.parametrize("output", SAME)
def test_an_input_is_no_output_by_whatever_name(output, home):
    for name in (output, Path(output).absolute(), os.path.abspath(output)):
        with pytest.raises(ValueError, match=r"would replace the input a\.csv"):
            check_apart([None, name], ["other.csv", "a.csv", None])


def test_an_array_of_an_archive_is_the_archive(home):
    np.savez("c.npz", x=np.ones((2, 2)))
    for output, given in (("c.npz:y", "c.npz:x"), ("c.npz", "c.npz:x,tx"), ("./c.npz:y", "c.npz")):
        with pytest.raises(ValueError, match="would replace the input"):
            check_apart([output], [given])


def test_two_outputs_are_two_files(home):
    for first, second in (("m", "./m"), ("a.csv", "soft.csv"), ("m", "up/m")):
        with pytest.raises(ValueError, match="the same path for two outputs"):
            check_apart([first, second], [])
    check_apart(["m", "n", os.devnull], ["a.csv", os.devnull])


def test_a_folder_that_is_read_is_not_written_in(home):
    for output in ("folder/model", "./folder/a/b", "up/folder/model"):
        with pytest.raises(ValueError, match="inside the input folder"):
            check_outside(output, "folder")
    check_outside("folder-model", "folder")


@pytest.mark.parametrize("ending", [".csv", ".npy", ".html", ".png", ".h5ad", ".txt", ".JSON"])
def test_an_ending_that_says_another_kind_is_refused(ending, home):
    with pytest.raises(ValueError, match=rf"got the ending '\{ending}'; wants \.brenier\."):
        check_folder(f"m{ending}", MAP_ENDINGS)
    check_folder("m", MAP_ENDINGS)
    check_folder("m.BRENIER", MAP_ENDINGS)
    check_folder("a.htm", PAGE_ENDINGS)


@pytest.mark.parametrize("fault", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_that_takes_no_file_is_found_before_the_work(fault, home, monkeypatch):
    def refuse(*_, **__):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(Path, "touch", refuse)
    for check in (check_folder, check_output_folder):
        with pytest.raises(ValueError, match="cannot be written to"):
            check("folder/new")
    # Root may write anywhere, so what the system would answer is put in its place.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for check in (check_folder, check_output_folder):
        with pytest.raises(ValueError, match="cannot be written to; wants"):
            check("folder/new")


def test_a_folder_to_be_made_needs_one_that_takes_it(home):
    check_output_folder("folder/x/y/z")
    for path in ("a.csv", "a.csv/x", "soft.csv/x/y"):
        with pytest.raises(ValueError, match="got a file"):
            check_output_folder(path)
    assert os.listdir("folder") == []


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664, 0o755])
@pytest.mark.parametrize("writer", [atomic_write, atomic_path])
def test_permissions_are_kept_and_nothing_shows_meanwhile(writer, mode, home):
    Path("a.csv").chmod(mode)
    with writer("a.csv") as part:
        (name,) = (name for name in os.listdir() if name.endswith(".part"))
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
        if isinstance(part, Path):
            part.write_bytes(b"new")
        else:
            part.write(b"new")
    assert stat.S_IMODE(os.stat("a.csv").st_mode) == mode
    assert Path("a.csv").read_bytes() == b"new"


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_new_files_honour_the_umask(mask, home):
    before = os.umask(mask)
    try:
        with atomic_write("new") as handle:
            handle.write(b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat("new").st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("ending", ["csv", "npy", "npz", "parquet", "brenier"])
def test_a_pipe_gets_the_bytes_and_stays_a_pipe(ending, home):
    def write(path):
        if ending == "brenier":
            brenier.save(path, brenier.maps.AffineMap.identity(2))
        else:
            write_points(path, np.arange(6.0).reshape(3, 2))

    write(f"file.{ending}")
    os.mkfifo(f"pipe.{ending}")
    got = []
    reader = threading.Thread(target=lambda: got.append(Path(f"pipe.{ending}").read_bytes()))
    reader.start()
    write(f"pipe.{ending}")
    reader.join(10.0)
    assert got == [Path(f"file.{ending}").read_bytes()]
    assert stat.S_ISFIFO(os.stat(f"pipe.{ending}").st_mode)


def test_a_device_is_written_to_through_a_link(home):
    Path("null").symlink_to(os.devnull)
    for path in ("null", os.devnull):
        brenier.save(path, brenier.maps.AffineMap.identity(2))
        assert stat.S_ISCHR(os.stat(path).st_mode)
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="No space left"), atomic_write("/dev/full") as handle:
            handle.write(b"x" * 100_000)


_DIES = """
import os, sys
from brenier.io import atomic_write
with atomic_write(sys.argv[1]) as handle:
    handle.write(b"half")
    handle.flush()
    os.kill(os.getpid(), 9)
"""


def test_parts_of_dead_writers_are_swept_and_others_left(home):
    source = str(Path(__file__).parents[2] / "src")
    subprocess.run(
        [sys.executable, "-c", _DIES, "new"], env={**os.environ, "PYTHONPATH": source}, check=False
    )
    (part,) = (name for name in os.listdir() if name.endswith(".part"))
    stranger = f".new.00000000{part[part.index('-') :]}"
    for name in (".new.0123abcd.part", ".b.0123abcd.part", "my.part", ".my.part", stranger):
        Path(name).touch()
    with atomic_write("other"):  # whose writer is alive while another file is written
        with atomic_write("new") as handle:
            handle.write(b"whole")
        left = {name for name in os.listdir() if name.endswith(".part")}
        assert {".b.0123abcd.part", "my.part", ".my.part", stranger} < left
        assert len(left) == 5
    assert Path("new").read_bytes() == b"whole"
    os.utime(stranger, (0.0, 0.0))
    with atomic_write("new") as handle:
        handle.write(b"again")
    assert not os.path.exists(stranger)


def test_the_longest_name_that_the_system_takes(home):
    for name in ("a" * 255, "ä" * 127):
        with atomic_write(name) as handle:
            handle.write(b"1")
        assert Path(name).read_bytes() == b"1"
