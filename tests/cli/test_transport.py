"""``brenier transport``: what it writes, and what it refuses."""

import json
import re

import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.cli import _transport as transport_module
from brenier.cli import main
from brenier.maps import AbstractMap, AffineMap, GradientMap
from brenier.potentials import Quadratic

RANDOM = np.random.default_rng(0)
MATRIX = np.diag([4.0, 0.25])
STRETCH = GradientMap(Quadratic.from_matrix(jnp.asarray(MATRIX), jnp.ones(2)))
POINTS = RANDOM.normal(size=(11, 2))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder to work in, with a map whose columns have names, and points to move."""
    monkeypatch.chdir(tmp_path)
    brenier.save("map.brenier", STRETCH, names=("height", "weight"))
    np.save("new.npy", POINTS)
    return tmp_path


def _result(capsys):
    """The one JSON object on stdout; stderr stays empty."""
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def _refused(capsys, code=2):
    """The one line on stderr; stdout stays empty."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("brenier: ")
    return captured.err


def test_transport_moves_and_inverse_moves_back(home, capsys):
    assert main(["transport", "map.brenier", "new.npy", "-o", "moved.npy", "--json"]) == 0
    result = _result(capsys)
    moved = np.load("moved.npy")
    np.testing.assert_allclose(moved, POINTS @ MATRIX + 1.0, rtol=1e-14, atol=1e-14)
    assert result["file"] == "moved.npy"
    assert result["points"] == 11
    assert result["cost"] == pytest.approx(np.mean(np.sum((moved - POINTS) ** 2, axis=1)))
    command = ["transport", "map.brenier", "moved.npy", "-o", "back.npy", "--inverse", "--json"]
    assert main(command) == 0
    # The conjugate's solver stops at a gradient of 1e-14 or so; 1e-9 leaves it room.
    np.testing.assert_allclose(np.load("back.npy"), POINTS, atol=1e-9)


def test_a_table_for_people(home, capsys):
    assert main(["transport", "map.brenier", "new.npy", "-o", "moved.csv"]) == 0
    captured = capsys.readouterr()
    assert "source to target" in captured.out
    assert captured.err == ""


def test_float32_stays_float32(home, capsys):
    np.save("new.npy", POINTS.astype(np.float32))
    assert main(["transport", "map.brenier", "new.npy", "-o", "moved.npy"]) == 0
    assert np.load("moved.npy").dtype == np.float32


def test_columns_are_matched_by_name(home, capsys):
    (home / "new.csv").write_text("weight,height\n4,1\n2,3\n")
    assert main(["transport", "map.brenier", "new.csv", "-o", "moved.csv"]) == 0
    assert (home / "moved.csv").read_text() == "height,weight\n5.0,2.0\n13.0,1.5\n"
    capsys.readouterr()
    (home / "new.csv").write_text("weight,size\n4,1\n")
    assert main(["transport", "map.brenier", "new.csv", "-o", "moved.csv"]) == 2
    message = _refused(capsys)
    assert "without columns ['height'] and with unknown columns ['size']" in message
    assert "of map.brenier" in message


def test_many_points_take_one_compilation_and_lose_none(home):
    shapes = []

    class Recorded(AbstractMap):
        dimension: int = 2

        def apply(self, x):
            return 2.0 * x

        def inverse(self):
            raise ValueError

        def __call__(self, x):
            shapes.append(x.shape)
            return 2.0 * x

    seen = []
    moved = transport_module.transport_points(Recorded(), POINTS, seen.append, most=4)
    np.testing.assert_array_equal(moved, 2.0 * POINTS)
    assert set(shapes) == {(4, 2)}
    assert [step[:2] for step in seen] == [(0, 11), (4, 11), (8, 11)]


def test_a_picture_comes_back_as_a_picture(home, capsys):
    from PIL import Image

    pixels = RANDOM.integers(0, 256, (5, 4, 4), dtype=np.uint8)
    Image.fromarray(pixels).save("new.png")
    brighter = Quadratic.from_matrix(jnp.eye(3), jnp.full(3, 0.5))
    brenier.save("bright.brenier", GradientMap(brighter))
    assert main(["transport", "bright.brenier", "new.png", "-o", "moved.png"]) == 0
    moved = np.asarray(Image.open("moved.png"))
    expected = np.rint(np.minimum(pixels[..., :3] / 255 + 0.5, 1.0) * 255)
    np.testing.assert_array_equal(moved[..., :3], expected)
    np.testing.assert_array_equal(moved[..., 3], pixels[..., 3])


REFUSED = {
    "no such map": (["absent.brenier", "new.npy", "-o", "o.npy"], "absent.brenier: got no such"),
    "not a map": (["new.npy", "new.npy", "-o", "o.npy"], "new.npy: got a file that brenier"),
    "a potential": (["phi.brenier", "new.npy", "-o", "o.npy"], "got a Quadratic; wants a map"),
    "dimension": (["map.brenier", "wide.npy", "-o", "o.npy"], "wide.npy: got dimension 3; wants"),
    "nan": (["map.brenier", "nan.npy", "-o", "o.npy"], "nan.npy: got 1 NaN or infinite entries"),
    "ending": (["map.brenier", "new.npy", "-o", "o.txt"], "o.txt: got the ending '.txt'"),
    "folder": (["map.brenier", "new.npy", "-o", "no/o.npy"], "no/o.npy: got a folder that"),
    "swapped": (["new.npy", "map.brenier", "-o", "o.npy"], "map.brenier: got a map where points"),
    "not a picture's": (["map.brenier", "new.npy", "-o", "o.png"], "points that are not a pic"),
    "no output": (["map.brenier", "new.npy"], "Missing option"),
    "unknown option": (["map.brenier", "new.npy", "-o", "o.npy", "--fast"], "No such option"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_transport_refuses_bad_input_in_one_line(case, home, capsys):
    np.save("wide.npy", np.ones((2, 3)))
    np.save("nan.npy", np.array([[0.0, np.nan]]))
    brenier.save("phi.brenier", STRETCH.potential)
    before = sorted(path.name for path in home.iterdir())
    arguments, phrase = REFUSED[case]
    assert main(["transport", *arguments, "--json"]) == 2
    assert phrase in _refused(capsys)
    assert sorted(path.name for path in home.iterdir()) == before


def test_a_map_that_gives_nan_is_a_failed_computation(home, capsys):
    broken = AffineMap(jnp.full((2, 2), 1.7e308), jnp.full(2, 1.7e308))
    brenier.save("broken.brenier", broken)
    assert main(["transport", "broken.brenier", "new.npy", "-o", "o.npy"]) == 1
    assert re.search(r"NaN or infinite values at \d+ of 11 points", _refused(capsys, 1))
    assert not (home / "o.npy").exists()


def test_ctrl_c_exits_130_and_leaves_no_file(home, capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(transport_module, "write_points", interrupt)
    assert main(["transport", "map.brenier", "new.npy", "-o", "o.npy"]) == 130
    assert "interrupted" in _refused(capsys)
    assert not (home / "o.npy").exists()


@pytest.mark.parametrize(
    ("levels", "channels"), [(255, 3), (255, 1), (65535, 1), (65535, 3), (1, 1)]
)
def test_pixels_go_where_their_colours_go(levels, channels, monkeypatch):
    monkeypatch.setattr(transport_module, "_COUNTED", 50)
    moved = GradientMap(Quadratic.from_matrix(2.0 * jnp.eye(channels), jnp.ones(channels)))
    colours = RANDOM.integers(0, levels + 1, (120, channels)) / levels
    colours[60:] = colours[:60]
    seen = transport_module.transport_colours(moved, colours, lambda now: None, levels=levels)
    np.testing.assert_array_equal(seen[:60], seen[60:])
    np.testing.assert_allclose(seen, 2.0 * colours + 1.0, rtol=1e-14)
