"""``brenier audit``: a map file, pairs, the report, and what is refused."""

import json
import sys

import jax
import numpy as np
import pytest

import brenier
from brenier._progress import Progress
from brenier.cli import main
from brenier.cli._ddpm_audit import encoder_pairs
from brenier.cli._ddpm_choices import MapChoice
from brenier.images import ImageModel, UNet, UNetSettings
from brenier.io import save_model
from brenier.maps import AffineMap
from brenier.velocities import CosineSchedule

_RANDOM = np.random.default_rng(0)
_X = _RANDOM.normal(size=(200, 2))
_Y = 2.0 * _RANDOM.normal(size=(300, 2)) + 1.0
_QUICK = ["--samples", "200", "--budget", "0.1"]


@pytest.fixture
def files(tmp_path):
    np.savetxt(tmp_path / "x.csv", _X, delimiter=",", header="<b>a</b>,b", comments="")
    np.savetxt(tmp_path / "y.csv", _Y[:, ::-1], delimiter=",", header="b,<b>a</b>", comments="")
    np.savez(tmp_path / "pairs.npz", x=_X, tx=2.0 * _X + 1.0, other=-_X)
    np.savez(tmp_path / "uneven.npz", x=_X, tx=_X[1:])
    map = AffineMap(2.0 * np.eye(2), np.ones(2))
    brenier.save(tmp_path / "map.brenier", map, names=("<b>a</b>", "b"))
    return tmp_path


def _run(capsys, *arguments):
    code = main(["audit", *map(str, arguments), *_QUICK])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_map_file_with_its_target_and_a_report(files, capsys):
    code, out, _ = _run(
        capsys,
        files / "map.brenier",
        files / "x.csv",
        files / "y.csv",
        "--report",
        files / "out.html",
        "--json",
        "-",
    )
    assert code == 0
    fields = json.loads(out)
    assert fields["verdict"]["optimality"] == "optimal"
    # Columns are matched by name: swapped, the target would be the same here only by chance.
    assert fields["pushforward"]["p_value"] > 1e-3
    assert fields["how"]["names"] == ["<b>a</b>", "b"]
    page = (files / "out.html").read_text()
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert "<b>a</b>" not in page.split("<script")[0]


def test_weights_are_columns_and_no_coordinates(files, capsys):
    weights = np.where(_X[:, 0] > 0.0, 2.0, 1.0)
    table = np.column_stack([_X[:, 0], weights, _X[:, 1]])
    np.savetxt(files / "w.csv", table, delimiter=",", header="<b>a</b>,people,b", comments="")
    np.savetxt(files / "v.csv", np.c_[_Y, np.arange(300.0)], delimiter=",")
    kish = weights.sum() ** 2 / np.sum(weights**2)
    command = [files / "map.brenier", files / "w.csv", files / "v.csv", "--json"]
    named = ["--source-weights", "people", "--target-weights", "2"]
    code, out, _ = _run(capsys, *command, *named)
    assert code == 0
    found = json.loads(out)
    assert found["weighting"]["source"]["effective"] == pytest.approx(kish)
    assert (
        found["weighting"]["target"]["rows"] == 200
    )  # of 300, but --samples; row 0 counts nothing
    assert found["how"]["names"] == ["<b>a</b>", "b"]
    expected = np.average(np.sum((_X + 1.0) ** 2, axis=1), weights=weights)
    assert found["cost"]["value"] == pytest.approx(expected)
    chosen = ["--columns", "b,<b>a</b>", "--source-weights", "people"]
    _, out, _ = _run(capsys, *command[:2], *chosen, "--json")
    assert json.loads(out)["cost"]["value"] == pytest.approx(expected)
    np.savez(files / "pw.npz", x=_X, tx=2.0 * _X + 1.0, people=weights)
    pairs = ["--pairs", files / "pw.npz", "--source-weights", "people", "--json"]
    code, out, _ = _run(capsys, *pairs)
    assert json.loads(out)["cost"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.csv", "--source-weights", "people"], "got no columns ['people']"),
        (["x.csv", "--target-weights", "b"], "--target-weights: got b without a target"),
        (["x.csv", "--source-weights", "b"], "wants the columns"),
        (["signs.csv", "--source-weights", "w"], "source_weights: got"),
    ],
)
def test_weights_that_are_none_are_named(files, capsys, arguments, message):
    table = np.column_stack([_X, _X[:, 0]])
    np.savetxt(files / "signs.csv", table, delimiter=",", header="<b>a</b>,b,w", comments="")
    code, _, err = _run(capsys, files / "map.brenier", files / arguments[0], *arguments[1:])
    assert code == 2
    assert message in err


# Potentials compile long.
@pytest.mark.slow
def test_pairs_by_name_and_the_table(files, capsys):
    code, out, _ = _run(capsys, "--pairs", f"{files}/pairs.npz:x,:tx", "--target", files / "y.csv")
    assert code == 0
    assert "Is it optimal?" in out
    code, out, _ = _run(capsys, "--pairs", f"{files}/pairs.npz:x,other", "--json")
    assert code == 0
    assert json.loads(out)["verdict"]["optimality"] == "not optimal"


def test_the_same_seed_gives_the_same_bytes(files, capsys):
    both = []
    for _ in range(2):
        _, out, _ = _run(capsys, "--pairs", files / "pairs.npz", "--json", "--seed", 3)
        fields = json.loads(out)
        del fields["how"]["seconds"]
        both.append(fields)
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/map.brenier"], "MAP SOURCE: got one of them missing"),
        (["{}/map.brenier", "{}/none.csv"], "none.csv: got no such file"),
        (["{}/map.brenier", "{}/x.csv", "--report", "{}/no/out.html"], "a folder that does not"),
        (["{}/map.brenier", "--pairs", "{}/pairs.npz"], "beside --pairs; wants one of the two"),
        (["{}/y.csv", "--pairs", "{}/pairs.npz"], "(a target stands behind --target "),
        (["--pairs", "{}/x.csv"], "wants file.npz with arrays x and tx"),
        (["--pairs", "{}/pairs.npz:x,absent"], "no array named 'absent'"),
        (["--pairs", "{}/uneven.npz"], "wants equal shapes, row by row"),
        (["{}/map.brenier", "{}/x.csv", "--level", "2"], "level: got 2.0"),
        (["{}/map.brenier", "{}/x.csv", ""], ": got a name without an ending; wants one of"),
        (
            ["{}/map.brenier", "{}/x.csv", "--groups", "{}"],
            ": got a folder; wants a file of labels",
        ),
        (["{}/map.brenier", "{}/x.csv", "{}/y.csv", "--target", "{}/y.csv"], "wants one of them"),
    ],
)
def test_what_is_refused(files, capsys, arguments, message):
    code, out, err = _run(capsys, *(a.format(files) for a in arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(files.glob("*.html"))


_MAPS = """
import jax
import numpy as np

print("a module that talks")


def turn(x):
    print("so does its map")
    return np.stack([-x[:, 1], x[:, 0]], axis=1)


def fails(x):
    raise RuntimeError("no weights")


def tired(x):
    import warnings
    warnings.warn("tired\\nof it")
    return 2.0 * x


class Net:
    def __init__(self):
        self.scale = 2.0

    def transform(self, x):
        return self.scale * x + 1.0


net, number = Net(), 3.0
"""


@pytest.fixture
def maps(files, monkeypatch):
    """The folder of ``files``, with a module of maps; what is imported from it is forgotten."""
    (files / "anyones_maps.py").write_text(_MAPS)
    (files / "broken_maps.py").write_text("import no_such_library\n")
    (files / "script_maps.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(files)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield files
    for name in ("anyones_maps", "broken_maps", "script_maps"):
        sys.modules.pop(name, None)


def test_a_function_of_a_module(maps, capsys):
    code, out, err = _run(capsys, "anyones_maps:turn", "x.csv", "y.csv", "--json")
    assert code == 0
    fields = json.loads(out)  # what the user's code prints is not in it
    assert "a module that talks\nso does its map" in err
    assert fields["verdict"]["optimality"] == "not optimal"
    assert fields["how"]["names"] == ["<b>a</b>", "b"]
    assert fields["how"]["files"]["map"] == "anyones_maps:turn"


def test_a_method_is_found_by_its_dotted_name(maps, capsys):
    code, out, _ = _run(capsys, "anyones_maps:net.transform", "x.csv", "y.csv", "--json")
    assert code == 0
    fields = json.loads(out)
    assert fields["defect"]["lower"] == 0.0
    # Columns are matched by name, as for a map file.
    assert fields["pushforward"]["p_value"] > 1e-3


def test_a_warning_is_a_line_of_its_own(maps, capsys, monkeypatch):
    monkeypatch.setattr("warnings.filters", [])
    code, _, err = _run(capsys, "anyones_maps:tired", "x.csv", "--json")
    assert code == 0
    assert "brenier: tired of it\n" in err


@pytest.mark.parametrize(
    ("map", "message"),
    [
        ("absent_maps:turn", "MAP: got no module absent_maps in "),
        ("os.absent:turn", "MAP: got no module os.absent in "),
        ("anyones_maps:absent", "has no 'absent'; wants module:function, with one of turn, fails"),
        ("anyones_maps:net.absent", "anyones_maps:net has no 'absent'"),
        ("anyones_maps:number", "a float; wants a callable"),
        ("anyones_maps:net", "a Net; wants a callable of points (n, d) (of an estimator"),
        ("anyones_maps:Net", "map: got the class Net; wants an instance"),
        ("anyones_maps:fails", "map: raised RuntimeError on a NumPy array of shape (200, 2) (no w"),
        ("broken_maps:turn", "the module broken_maps, which imports no_such_library"),
        ("script_maps:turn", "MAP: got SystemExit (3) on importing script_maps"),
        ("anyones_maps.py", "module:function, as in anyones_maps:function"),
        ("anyones_maps.py:net", "module:function, as in anyones_maps:net"),
        ("anyones_maps", "module:function, as in anyones_maps:function"),
        ("./sub/anyones_maps.py:net", "module:function, as in anyones_maps:net"),
        ("none.brenier", "none.brenier: got no such file"),
        (".", "without config.json; wants a model folder"),
    ],
)
def test_a_bad_name_of_a_map_is_refused(maps, capsys, map, message):
    code, out, err = _run(capsys, map, "x.csv", "--json")
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_no_file_is_imported(maps, capsys):
    # A path is no module: only module:function runs code.
    code, _, err = _run(capsys, "anyones_maps", "x.csv")
    assert code == 2
    assert "a module that talks" not in err


def _model():
    net = UNet.random(jax.random.key(0), UNetSettings((8, 8, 1), width=2, multipliers=(1,)))
    return ImageModel(net, (8, 8, 1), "v", CosineSchedule())


@pytest.mark.slow
def test_a_model_folder_has_its_encoder_audited(maps, capsys):
    save_model("model", _model())
    images = _RANDOM.integers(0, 256, (60, 8, 8), np.uint8)
    np.save("images.npy", images)
    code, out, err = _run(capsys, "model", "images.npy", "--json")
    assert code == 0, err
    fields = json.loads(out)
    assert fields["how"]["kind"] == "the encoder of an image model, 100 DDIM steps"
    assert fields["how"]["dimension"] == 64
    assert fields["pushforward"]["p_value"] < 1.0  # asked against N(0, I)
    points = _model().points(images[..., None] / 255.0)
    codes = np.asarray(_model().ddim_encoder(100)(points))
    cost = float(np.mean(np.sum((codes - points) ** 2, axis=1)))
    assert fields["cost"]["value"] == pytest.approx(cost, rel=1e-5)
    assert _run(capsys, "model", "x.csv")[0] == 2


def test_a_table_beside_a_model_is_read_as_points(tmp_path):
    points = np.linspace(-1.0, 1.0, 21 * 64).reshape(21, 64)
    np.save(tmp_path / "points.npy", points)
    maps = MapChoice(steps=2)
    told: list[Progress] = []
    x, codes = encoder_pairs(_model(), str(tmp_path / "points.npy"), 20, maps, told.append)
    np.testing.assert_array_equal(x, points[:20])
    np.testing.assert_allclose(codes, _model().ddim_encoder(2)(x), atol=1e-6)
    assert told
    with pytest.raises(ValueError, match="got 19 images to audit; wants 20"):
        encoder_pairs(_model(), str(tmp_path / "points.npy"), 19, maps, told.append)


_TOLD = {
    "law": (["--law", "normal"], "the source is StandardNormal"),
    "a law from a file": (["--law", "law.npz"], "the source is Gaussian"),
    "symmetry": (["--symmetry", "spherical"], "the source's symmetry: elliptical"),
    "box": (["--box=-9,9"], "all entries lie in [-9, 9]"),
    "kurtosis": (["--kurtosis", "12"], "gaps of kurtosis at most 12"),
}


@pytest.mark.parametrize("name", _TOLD)
def test_what_is_declared_on_the_command_line_reaches_the_certificate(files, capsys, name):
    options, said = _TOLD[name]
    np.savez(files / "law.npz", mean=np.zeros(2), covariance=np.eye(2))
    options = [str(files / option) if option == "law.npz" else option for option in options]
    code, out, _ = _run(capsys, "--pairs", f"{files}/pairs.npz:x,other", "--json", *options)
    assert code == 0
    fields = json.loads(out)
    assert fields["how"]["declared"] == [said]
    assert fields["defect"]["withdrawn"] == []


def test_groups_are_labels_a_row_with_or_without_a_header(files, capsys):
    labels = [f"donor {i // 4}" for i in range(200)]
    (files / "plain.txt").write_text("\n".join(labels))
    (files / "headed.csv").write_text("\n".join(["donor", *labels]) + "\n")
    np.save(files / "numbers.npy", np.arange(200)[:, None] // 4)
    for file in ("plain.txt", "headed.csv", "numbers.npy"):
        arguments = (files / "map.brenier", files / "x.csv", "--groups", files / file, "--json")
        code, out, _ = _run(capsys, *arguments)
        assert code == 0
        assert json.loads(out)["how"]["source_points"] == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--law", "student"], "--law: got student; wants normal"),
        (["--law", "none.npz"], "--law none.npz: got no such file; wants file.npz"),
        (["--law", "pairs.npz"], "pairs.npz:mean: got no array named 'mean'; wants one of"),
        (["--law", "damaged.npz"], "damaged.npz:mean: got a damaged .npz file"),
        (["--groups", "latin.txt"], "latin.txt, which is not UTF-8"),
        (["--symmetry", "round"], "symmetry: got 'round'"),
        (["--box", "1"], "--box: got 1; wants LOW,HIGH"),
        (["--box", "1,0"], "box: got a high end that is not above"),
        (["--kurtosis", "0.5"], "kurtosis: got 0.5; wants a number above 1"),
        (["--groups", "none.txt"], "--groups none.txt: got no such file; wants"),
        (["--groups", "x.csv"], "with lines of several columns; wants one label a line"),
    ],
)
def test_bad_declarations_on_the_command_line_are_named(files, capsys, options, message):
    (files / "x.csv").write_text((files / "x.csv").read_text() + "1,2\n3,4\n")
    (files / "damaged.npz").write_bytes(b"PK, and no more")
    (files / "latin.txt").write_bytes(b"\xf6\n" * 50)
    made = ("x.csv", "pairs.npz", "damaged.npz", "latin.txt")
    options = [str(files / option) if option in made else option for option in options]
    code, _, error = _run(capsys, "--pairs", f"{files}/pairs.npz", *options)
    assert code == 2
    assert message in " ".join(error.split())
