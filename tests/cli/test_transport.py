"""``brenier fit`` and ``brenier transport``: what they write, and what they refuse."""

import contextlib
import functools
import io
import json

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import brenier
from brenier.cli import _transport as transport_module
from brenier.cli import main
from brenier.flows import SemiDual
from brenier.io import read_manifest, read_points
from brenier.maps import AbstractMap, GradientMap
from brenier.potentials import MaxAffine, Quadratic

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
    broken = MaxAffine(jnp.full((1, 2), jnp.nan), jnp.zeros(1), jnp.zeros(()))
    brenier.save("broken.brenier", GradientMap(broken))
    assert main(["transport", "broken.brenier", "new.npy", "-o", "o.npy"]) == 1
    assert "NaN or infinite values at 11 of 11 points" in _refused(capsys)
    assert not (home / "o.npy").exists()


def test_ctrl_c_exits_130_and_leaves_no_file(home, capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(transport_module, "write_points", interrupt)
    assert main(["transport", "map.brenier", "new.npy", "-o", "o.npy"]) == 130
    assert "interrupted" in _refused(capsys)
    assert not (home / "o.npy").exists()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit between two tables whose columns stand in different orders, run twice."""
    folder = tmp_path_factory.mktemp("fit")
    x = RANDOM.normal(size=(300, 2))
    y = RANDOM.normal(size=(400, 2)) @ MATRIX + np.array([5.0, -5.0])
    np.savetxt(folder / "x.csv", x, delimiter=",", header="height,weight", comments="")
    np.savetxt(folder / "y.csv", y[:, ::-1], delimiter=",", header="weight,height", comments="")
    few_steps = functools.partial(transport_module.fitted, method=SemiDual(steps=20))
    outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport_module, "fitted", few_steps)
        for name in ("a.brenier", "b.brenier"):
            files = [str(folder / file) for file in ("x.csv", "y.csv", name)]
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                assert main(["fit", *files[:2], "-o", files[2], "--seed", "3", "--json"]) == 0
            outputs.append(json.loads(output.getvalue()))
    return folder, x, y, outputs


def test_fit_learns_the_map_and_matches_columns(fitted):
    folder, x, y, _ = fitted
    moved = np.asarray(brenier.load(folder / "a.brenier")(jnp.asarray(x)))
    # A twentieth of the target's larger deviation: a map that mixes the columns is off by 10.
    np.testing.assert_allclose(moved.mean(axis=0), y.mean(axis=0), atol=0.2)
    assert read_manifest(folder / "a.brenier")["names"] == ["height", "weight"]


def test_the_same_inputs_and_seed_give_the_same_bytes(fitted):
    folder, _, _, _ = fitted
    assert (folder / "a.brenier").read_bytes() == (folder / "b.brenier").read_bytes()
    for name in ("1.csv", "2.csv"):
        arguments = [str(folder / "a.brenier"), str(folder / "x.csv"), "-o", str(folder / name)]
        assert main(["transport", *arguments]) == 0
    assert (folder / "1.csv").read_bytes() == (folder / "2.csv").read_bytes()
    assert read_points(folder / "1.csv").names == ("height", "weight")


def test_fit_reports_what_it_did(fitted):
    folder, _, _, (result, _) = fitted
    assert result["file"] == str(folder / "a.brenier")
    assert result["result"] == "successful"
    assert result["energy_distance_after"] < result["energy_distance_before"] / 50
    assert (result["source_points"], result["target_points"]) == (300, 400)
    assert result["columns"] == ["height", "weight"]


@pytest.mark.parametrize(
    ("source", "target", "phrase"),
    [
        ("x.npy", "wide.npy", "wide.npy: got dimension 3; wants dimension 2"),
        ("one.npy", "x.npy", "one.npy: got shape (1, 2); wants at least 2 points"),
        ("x.npy", "flat.npy", "flat.npy: got constant columns [1]"),
        ("x.npy", "x.csv", "x.csv: got no such file"),
        ("x.npy", "words.csv", "column 'b': got the entry 'y'"),
        ("x.npy", "no.png", "no.png: got no readable picture"),
        ("x.npy", "empty.csv", "empty.csv: got an empty file"),
        ("big.npy", "x.npy", "integers beyond 2**53"),
    ],
)
def test_fit_refuses_bad_input_in_one_line(source, target, phrase, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", POINTS)
    np.save("wide.npy", np.ones((5, 3)) * np.arange(5)[:, None])
    np.save("one.npy", POINTS[:1])
    np.save("flat.npy", POINTS * [1.0, 0.0])
    np.save("big.npy", np.full((2, 2), 2**60 + 1))
    (tmp_path / "words.csv").write_text("a,b\n1,y\n2,z\n")
    (tmp_path / "no.png").write_text("no picture")
    (tmp_path / "empty.csv").write_text("")
    assert main(["fit", source, target, "-o", "map.brenier"]) == 2
    assert phrase in _refused(capsys)
    assert not (tmp_path / "map.brenier").exists()
