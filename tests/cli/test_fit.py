"""``brenier fit``: what it learns, what it says of the choice, and what it refuses."""

import contextlib
import io
import json

import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.cli import main
from brenier.io import read_manifest, read_points

RANDOM = np.random.default_rng(0)
MATRIX = np.diag([4.0, 0.25])
POINTS = RANDOM.normal(size=(11, 2))


def _refused(capsys):
    """The one line on stderr; stdout stays empty."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("brenier: ")
    return captured.err


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit between two tables whose columns stand in different orders, run twice."""
    folder = tmp_path_factory.mktemp("fit")
    x = RANDOM.normal(size=(300, 2))
    y = RANDOM.normal(size=(400, 2)) @ MATRIX + np.array([5.0, -5.0])
    np.savetxt(folder / "x.csv", x, delimiter=",", header="height,weight", comments="")
    np.savetxt(folder / "y.csv", y[:, ::-1], delimiter=",", header="weight,height", comments="")
    outputs = []
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
    assert result["warnings"] == []


def test_the_candidates_stand_in_the_result_and_in_the_map(fitted):
    folder, _, _, (result, again) = fitted
    names = [row["name"] for row in result["candidates"]]
    assert names[:5] == ["gaussian", "separable", "entropic", "log-sum-exp", "ridges"]
    # Both laws are Gaussian.
    assert result["kind"] == "gaussian"
    assert [row["name"] for row in result["candidates"] if row["chosen"]] == ["gaussian"]
    about = read_manifest(folder / "a.brenier")["about"]
    assert about["kind"] == "gaussian"
    for told, row, other in zip(
        about["candidates"], result["candidates"], again["candidates"], strict=True
    ):
        assert told == {name: value for name, value in row.items() if name != "seconds"}
        assert (row["dual"], row["settings"]) == (other["dual"], other["settings"])


@pytest.fixture
def gross(tmp_path, monkeypatch):
    """A folder of 30 points onto 40, with one row that is a code of a missing value."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    x = random.normal(size=(30, 2))
    x[7, 1] = -9999.0
    np.save("x.npy", x)
    np.save("y.npy", random.normal(size=(40, 2)))


def _fit(capsys, *options):
    assert main(["fit", "x.npy", "y.npy", "-o", "m.brenier", "--effort", "0", *options]) == 0
    return capsys.readouterr()


def test_people_see_the_kind_of_map_the_candidates_and_one_line_of_warning(gross, capsys):
    captured = _fit(capsys)
    assert "kind of map" in captured.out
    assert "held-out J" in captured.out
    assert "gaussian *" in captured.out
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("brenier: x.npy: 1 of 30 rows lies far outside of the others")
    assert captured.err.endswith("or pass --outliers drop.\n")


@pytest.mark.parametrize(("outliers", "warned"), [("warn", 1), ("drop", 0), ("keep", 0)])
def test_outliers_are_named_dropped_or_kept(outliers, warned, gross, capsys):
    captured = _fit(capsys, "--outliers", outliers, "--json")
    assert captured.err == ""
    result = json.loads(captured.out)
    assert len(result["warnings"]) == warned
    moved = brenier.load("m.brenier")(jnp.zeros((1, 2)))
    # Kept, the row moves the mean by 333 of its column's other deviations, but hardly the scale.
    dropped = bool(np.abs(moved).max() < 1.5) and result["candidates"][0]["dual"] < 10
    assert dropped == (outliers == "drop")


def test_what_is_left_out_is_told_and_not_measured(gross, capsys):
    result = json.loads(_fit(capsys, "--outliers", "drop", "--json").out)
    assert result["left_out"] == {"source": [7], "target": []}
    assert result["cost"] < 10.0  # the code alone would make it 3e6
    assert "1 of x.npy (first: row 7)" in _fit(capsys, "--outliers", "drop").out


def test_warnings_name_the_column(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, y = np.random.default_rng(1).normal(size=(2, 30, 2))
    x[7, 1] = -9999.0
    for name, values in (("x.csv", x), ("y.csv", y)):
        np.savetxt(name, values, delimiter=",", header="height,weight", comments="")
    assert main(["fit", "x.csv", "y.csv", "-o", "m.brenier", "--effort", "0"]) == 0
    assert "column 'weight' is -9999" in capsys.readouterr().err


@pytest.mark.parametrize("effort", ["fast", "-1", "nan", ""])
def test_a_bad_effort_is_refused_before_anything_is_read(effort, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "no.npy", "no.npy", "-o", "m.brenier", "--effort", effort]) == 2
    assert f"--effort: got {effort!r}; wants quick, auto, best" in _refused(capsys)


def test_bad_outliers_are_refused(capsys):
    assert main(["fit", "no.npy", "no.npy", "-o", "m.brenier", "--outliers", "hide"]) == 2
    assert "--outliers" in _refused(capsys)


def test_effort_and_outliers_reach_the_estimator(gross, capsys, monkeypatch):
    seen = {}

    def stop(self, X, Y, *weights):
        seen.update(self.get_params())
        raise ValueError("stop")

    monkeypatch.setattr(brenier.MongeMap, "fit", stop)
    command = ["fit", "x.npy", "y.npy", "-o", "m.brenier", "--outliers", "keep", "--effort"]
    for written, meant in (("best", "best"), ("2.5", 2.5), ("quick", "quick")):
        assert main([*command, written]) == 2
        assert (seen["effort"], seen["outliers"]) == (meant, "keep")


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
