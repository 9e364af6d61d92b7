"""Image sets: folders, arrays and IDX files, whole, mixed and damaged."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from brenier.io import ArrayRows, PictureRows, image_blocks, open_images, read_images
from brenier.io.points import _array_rows, _picture_rows

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (3, 10, 8), np.uint8)


def _idx(values):
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def _picture(path, pixels):
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """Three grey pictures of one size."""
    for i, pixels in enumerate(PIXELS):
        _picture(tmp_path / "set" / f"{i}.png", pixels)
    return tmp_path / "set"


def test_a_folder_of_pictures(folder):
    found = read_images(folder)
    np.testing.assert_allclose(found.pixels[..., 0], PIXELS / 255, atol=1e-6)
    assert (found.labels, found.notes, found.skipped) == (None, (), ())


def test_folders_are_classes(tmp_path):
    for name, pixels in zip(("cat", "dog", "dog"), PIXELS, strict=True):
        _picture(tmp_path / name / f"{pixels[0, 0]}.png", pixels)
    found = read_images(tmp_path)
    assert found.class_names == ("cat", "dog")
    assert found.labels.tolist() == [0, 1, 1]
    assert len(found.of_classes([1]).pixels) == 2
    with pytest.raises(ValueError, match=r"no images of classes \[7\]; wants some of \[0, 1\]"):
        found.of_classes([7])


HIDDEN = [".ipynb_checkpoints", ".thumbnails", "__MACOSX", "@eaDir", "$RECYCLE.BIN", ".git"]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_hidden_folders_are_no_classes(hidden, tmp_path):
    for name in ("cat", hidden, "dog"):
        _picture(tmp_path / name / "1.png", PIXELS[0])
        (tmp_path / name / "._1.png").write_bytes(b"resources of macOS")
    (tmp_path / ".DS_Store").write_bytes(b"\0" * 9)
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"\0" * 9)
    (tmp_path / "empty").mkdir()
    found = read_images(tmp_path, strict=True)
    assert found.class_names == ("cat", "dog")
    assert found.labels.tolist() == [0, 1]
    assert (found.notes, found.skipped) == ((), ())


def test_hidden_files_are_no_images(folder, tmp_path):
    (folder / "._0.png").write_bytes(b"resources of macOS")
    _picture(folder / ".hidden.png", PIXELS[0])
    _picture(folder / ".ipynb_checkpoints" / "0-checkpoint.png", PIXELS[0])
    found = read_images(folder, strict=True)
    assert (len(found.pixels), found.notes, found.skipped) == (3, (), ())
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "t-images-idx3-ubyte").write_bytes(_idx(PIXELS))
    (tmp_path / "idx" / "._t-images-idx3-ubyte").write_bytes(b"resources of macOS")
    assert len(read_images(tmp_path / "idx").pixels) == 3


def test_pictures_further_in_are_said_to_be_left_out(folder, tmp_path):
    _picture(folder / "more" / "1.png", PIXELS[0])
    note = "pictures in 1 folders further in (more) were not read"
    assert read_images(folder).notes == (note,)
    found = read_images(tmp_path)
    assert found.class_names == ("set",)
    assert found.notes == (note.replace("more", "set/more"),)


def test_mixed_sizes_are_refused_or_resized_and_said(folder):
    _picture(folder / "wide.png", np.full((10, 20), 128, np.uint8))
    with pytest.raises(ValueError, match=r"2 sizes \(3 of 10 x 8, 1 of 10 x 20\).*--size"):
        read_images(folder)
    found = read_images(folder, size=(10, 8))
    assert found.notes == ("1 of 4 pictures were cropped about the centre and resized to 10 x 8",)
    np.testing.assert_allclose(found.pixels[3], 128 / 255, atol=1e-6)


def test_mixed_colours_become_colours_or_what_is_asked_for(folder):
    _picture(folder / "red.png", np.broadcast_to(np.array([255, 0, 0], np.uint8), (10, 8, 3)))
    found = read_images(folder)
    assert found.pixels.shape == (4, 10, 8, 3)
    assert found.notes == ("3 of 4 pictures were converted to RGB",)
    grey = read_images(folder, colours="grey").pixels
    # The weight of red in Rec. 601.
    np.testing.assert_allclose(grey[3], 0.299, atol=1e-6)


def test_transparency_is_left_out_and_said(folder):
    clear = np.concatenate([np.full((10, 8, 3), 50), np.zeros((10, 8, 1))], axis=2)
    _picture(folder / "clear.png", clear.astype(np.uint8))
    found = read_images(folder)
    np.testing.assert_allclose(found.pixels[3], 50 / 255, atol=1e-6)
    assert "1 of 4 pictures lost their transparency" in found.notes


def test_labels_beside_a_damaged_picture_say_so(folder, tmp_path):
    (folder / "bad.png").write_bytes(b"no picture")
    np.save(tmp_path / "labels.npy", np.arange(4))
    with pytest.raises(ValueError, match=r"for 3 images \(1 of 4 files could not be read"):
        read_images(folder, labels=tmp_path / "labels.npy")


def test_damaged_pictures_are_named_and_counted_or_refused(folder):
    (folder / "bad.jpg").write_bytes(b"no picture")
    found = read_images(folder)
    assert len(found.pixels) == 3
    ((file, reason),) = found.skipped
    assert file.endswith("bad.jpg")
    assert "no readable picture" in reason
    with pytest.raises(ValueError, match=r"bad\.jpg: got no readable picture"):
        read_images(folder, strict=True)


def test_idx_with_its_labels_plain_and_compressed(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(_idx(PIXELS))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(_idx(np.array([3, 0, 9], np.uint8)))
    packed = tmp_path / "packed-images-idx3-ubyte.gz"
    packed.write_bytes(gzip.compress(_idx(PIXELS)))
    found = read_images(tmp_path / "t10k-images-idx3-ubyte")
    assert found.labels.tolist() == [3, 0, 9]
    np.testing.assert_array_equal(read_images(packed).pixels, found.pixels)
    assert read_images(packed).labels is None
    packed.unlink()
    np.testing.assert_array_equal(read_images(tmp_path).pixels, found.pixels)


def test_arrays_of_several_kinds(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, PIXELS)
    np.testing.assert_allclose(read_images(path).pixels[..., 0], PIXELS / 255, atol=1e-7)
    np.save(path, PIXELS // 16)
    assert read_images(path, levels=16).pixels.max() == 1.0
    np.save(path, RANDOM.uniform(size=(2, 6, 6, 3)))
    assert read_images(path, size=(3, 3)).pixels.shape == (2, 3, 3, 3)


DAMAGED = {
    "x.npy": (np.zeros(3), "wants \\(n, height, width\\)"),
    "y.npy": (np.full((1, 8, 8), 2.0), "wants finite ones from 0 to 1"),
    "z.npy": (np.full((1, 8, 8), 300), "wants finite ones from 0 to 255"),
    "n.npy": (np.full((1, 8, 8), np.nan), "wants finite ones"),
    "a-idx3-ubyte": (_idx(PIXELS)[:-1], "239 bytes for shape \\(3, 10, 8\\)"),
    "b-idx3-ubyte": (b"\0\0\x0d\x01", "no IDX of bytes"),
    "c-idx3-ubyte": (b"\0\0\x08\x03\0", "a truncated header"),
    "d-idx3-ubyte.gz": (b"\x1f\x8b none", "a damaged .gz"),
    "e.npy": (b"no array", "a damaged .npy"),
    "f.txt": (b"text", "got the ending '.txt'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_told_apart(name, tmp_path):
    content, phrase = DAMAGED[name]
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        np.save(tmp_path / name, content)
    with pytest.raises(ValueError, match=f"{name}: got .*{phrase}|{phrase}"):
        read_images(tmp_path / name)


@pytest.mark.parametrize(
    ("labels", "phrase"),
    [
        ([1, 2], "labels of shape"),
        ([0, 1, -1], "got the label -1"),
        ([0, 1, 0.5], "wants one int"),
        ([0, 1, 2**40], "wants integers from 0 up, below 2"),
    ],
)
def test_labels_that_cannot_be(labels, phrase, folder, tmp_path):
    np.save(tmp_path / "labels.npy", np.array(labels))
    with pytest.raises(ValueError, match=phrase):
        read_images(folder, labels=tmp_path / "labels.npy")


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match="got a folder without pictures"):
        read_images(tmp_path)
    with pytest.raises(ValueError, match="got no such file; wants images, in a file or a folder"):
        read_images(tmp_path / "absent")


def test_what_no_class_or_colour_can_be_told_of(folder, tmp_path):
    with pytest.raises(ValueError, match="set: got images without labels; wants labels to choose"):
        read_images(folder).of_classes([0])
    np.save(tmp_path / "two.npy", np.zeros((2, 8, 8, 2)))
    with pytest.raises(ValueError, match=r"two\.npy: got 2 channels, which are no colours"):
        read_images(tmp_path / "two.npy", colours="grey")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"bad: got 1 pictures, none of which can be read \(the f"):
        read_images(bad)


def test_blocks_are_the_set_and_know_at_their_end_what_was_changed_and_skipped(tmp_path):
    for i in range(7):
        _picture(
            tmp_path / "set" / f"{i}.png", RANDOM.integers(0, 256, (8 + i % 2, 8, 3), np.uint8)
        )
    for name in ("3.png", "6.png"):
        (tmp_path / "set" / name).write_bytes(b"no picture")
    whole = read_images(tmp_path / "set", size=(8, 8), colours="grey")
    most, blocks = image_blocks(tmp_path / "set", 2, size=(8, 8), colours="grey")
    found = list(blocks)
    assert (most, [len(block.pixels) for block in found]) == (7, [2, 2, 1])
    np.testing.assert_array_equal(np.concatenate([b.pixels for b in found]), whole.pixels)
    assert (found[-1].notes, found[-1].skipped) == (whole.notes, whole.skipped)


def test_a_limit_reads_no_other_pictures(folder):
    (folder / "1.png").write_bytes(b"no picture")
    found = read_images(folder, limit=2, strict=True)
    np.testing.assert_allclose(found.pixels[..., 0], PIXELS[[0, 2]] / 255, atol=1e-6)
    assert read_images(folder, limit=5).skipped[0][0].endswith("1.png")


def test_a_large_folder_stays_in_its_files(tmp_path, monkeypatch):
    """Mixed colours and sizes, a damaged one: the same set as is held, read as it is asked for."""
    for i, pixels in enumerate(PIXELS):
        _picture(tmp_path / ("cat" if i else "dog") / f"{i}.png", pixels)
    _picture(tmp_path / "dog" / "wide.png", np.tile(PIXELS[0][..., None], (1, 2, 3)))
    (tmp_path / "cat" / "0.png").write_bytes(b"no picture")
    opened = open_images(tmp_path, size=(8, 8), most=0)
    held = read_images(tmp_path, size=(8, 8))
    assert isinstance(opened.pixels, PictureRows)
    assert opened.pixels.shape == held.pixels.shape == (4, 8, 8, 3)
    assert (opened.notes, opened.skipped) == (held.notes, held.skipped)
    assert opened.labels.tolist() == held.labels.tolist()
    asked = []
    read = _picture_rows.pixels_of
    monkeypatch.setattr(_picture_rows, "pixels_of", lambda file: asked.append(file) or read(file))
    few = opened.of_classes([1]).spread(1)
    assert (few.pixels.shape, asked) == ((1, 8, 8, 3), [])
    np.testing.assert_array_equal(few.held().pixels, held.of_classes([1]).spread(1).pixels)
    assert len(asked) == 1
    np.testing.assert_array_equal(opened.pixels[np.array([3, 0])], held.pixels[[3, 0]])
    np.testing.assert_array_equal(opened.pixels[1], held.pixels[1])
    assert len(asked) == 4


def test_a_small_folder_is_held(folder):
    assert isinstance(open_images(folder).pixels, np.ndarray)


@pytest.mark.parametrize("values", [
    RANDOM.integers(0, 256, (5, 10, 8), np.uint8),
    RANDOM.uniform(size=(5, 10, 8, 3)),
    np.asfortranarray(RANDOM.uniform(size=(5, 10, 8, 1)).astype(">f4")),
], ids=["bytes", "colours", "columns first"])  # fmt: skip
def test_a_large_array_is_read_when_it_is_asked_for(tmp_path, monkeypatch, values):
    monkeypatch.setattr(_array_rows, "_BLOCK", 2 * values[0].size)
    path = tmp_path / "many.npy"
    np.save(path, values)
    np.save(tmp_path / "labels.npy", np.array([0, 1, 1, 0, 1]))
    for change in ({}, {"size": (8, 8)}, {"colours": "grey"}, {"size": (4, 8), "colours": "rgb"}):
        opened = open_images(path, labels=tmp_path / "labels.npy", most=0, **change)
        held = read_images(path, labels=tmp_path / "labels.npy", **change)
        assert isinstance(opened.pixels, ArrayRows)
        assert (opened.pixels.shape, opened.notes) == (held.pixels.shape, held.notes)
        np.testing.assert_array_equal(opened.pixels[np.array([3, 0])], held.pixels[[3, 0]])
        np.testing.assert_array_equal(opened.pixels[1], held.pixels[1])
        few = opened.of_classes([1]).spread(2)
        np.testing.assert_array_equal(few.held().pixels, held.pixels[[1, 4]])
        n, blocks = image_blocks(path, 2, **{"size": (10, 8), "colours": None, **change})
        assert n == 5
        np.testing.assert_array_equal(np.concatenate([b.pixels for b in blocks]), held.pixels)
    assert open_images(path).pixels.dtype == np.float32


def test_an_array_that_stays_in_its_file_is_looked_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(_array_rows, "_BLOCK", 160)
    path, values = tmp_path / "many.npy", RANDOM.uniform(size=(5, 10, 8))
    np.save(path, values)
    rows = open_images(path, most=0).pixels
    np.save(path, values[:4])
    with pytest.raises(ValueError, match=r"got shape \(4, 10, 8, 1\); wants \(5, 10, 8, 1\), as"):
        rows[[0]]
    values[4, 0, 0] = np.nan
    np.save(path, values)
    with pytest.raises(ValueError, match="got values from nan to nan; wants finite"):
        open_images(path, most=0)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="3,192 bytes for shape"):
        rows[[0]]
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="it has no header of NumPy"):
        open_images(path, most=0)


@pytest.mark.slow
def test_memory_does_not_grow_with_a_folder(tmp_path):
    """Peaks of opening and of reading batches, of 100 pictures and of 1,000 (50 MB)."""
    peaks = []
    for count in (100, 1000):
        for i in range(count):
            pixels = RANDOM.integers(0, 256, (64, 64, 3), np.uint8)
            _picture(tmp_path / f"{count}" / f"{i}.bmp", pixels)
        tracemalloc.start()
        opened = open_images(tmp_path / f"{count}", most=2**20).pixels
        for start in range(0, count, 10):
            assert opened[start : start + 10].shape == (10, 64, 64, 3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # What is listed: a path of each.
    assert peaks[1] - peaks[0] < 2**20 < peaks[0]
