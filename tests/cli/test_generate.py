"""``brenier generate``: what it writes, and what it refuses."""

import json

import jax
import numpy as np
import pytest

import brenier
from brenier.cli import main
from brenier.io import read_points

POINTS = np.random.default_rng(0).normal(size=(150, 2)) * [10.0, 0.1] + [100.0, 0.0]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("data.csv", POINTS, delimiter=",", header="height,weight", comments="")
    np.save("data.npy", POINTS.astype(np.float32))
    return tmp_path


def test_generates_in_the_columns_and_saves_the_map(home, capsys):
    command = ["generate", "data.csv", "-n", "2000", "--json", "--seed", "3"]
    assert main([*command, "-o", "a.csv", "--save-map", "map.brenier"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    made = read_points("a.csv")
    assert made.names == ("height", "weight")
    assert made.values.shape == (2000, 2)
    # Five standard errors of 150 data.
    spread = POINTS.std(axis=0)
    np.testing.assert_array_less(np.abs(made.values.mean(0) - POINTS.mean(0)), 5 * spread / 12)
    np.testing.assert_allclose(made.values.std(axis=0), spread, rtol=0.1)
    assert result["map_class"] == "GradientMap"
    assert result["kind"] in [row["name"] for row in result["candidates"]]
    assert 0 <= result["energy_distance_to_data"] < 0.2
    T = brenier.load("map.brenier")
    assert T(jax.numpy.asarray(POINTS[:3])).shape == (3, 2)
    assert main([*command, "-o", "b.csv"]) == 0
    assert (home / "a.csv").read_bytes() == (home / "b.csv").read_bytes()


@pytest.mark.slow
def test_float32_and_a_table_for_people(home, capsys):
    arguments = ["generate", "data.npy", "-n", "5", "-o", "new.npy", "--epsilon", "0.5"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "energy distance" in printed
    assert "Sinkhorn's flow" in printed
    assert main(["generate", "data.npy", "-n", "5", "-o", "new.npy", "--effort", "quick"]) == 0
    assert "Candidates" in capsys.readouterr().out
    assert np.load("new.npy").dtype == np.float32


REFUSED = {
    "no data": (["absent.csv", "-n", "5", "-o", "o.npy"], "absent.csv: got no such file"),
    "none": (["data.csv", "-n", "0", "-o", "o.npy"], "Invalid value for '-n'"),
    "no number": (["data.csv", "-o", "o.npy"], "Missing option"),
    "source": (["data.csv", "-n", "5", "-o", "o.npy", "--source", "cube"], "source: got 'cube'"),
    "epsilon": (["data.csv", "-n", "5", "-o", "o.npy", "--epsilon", "big"], "--epsilon: got 'big'"),
    "effort": (["data.csv", "-n", "5", "-o", "o.npy", "--effort", "much"], "--effort: got 'much'"),
    "negative": (["data.csv", "-n", "5", "-o", "o.npy", "--epsilon=-1"], "epsilon: got -1"),
    "picture": (["data.csv", "-n", "5", "-o", "o.png"], "points that are not a pic"),
    "folder": (["data.csv", "-n", "5", "-o", "no/o.npy"], "no/o.npy: got a folder that"),
    "flat": (["flat.npy", "-n", "5", "-o", "o.npy"], "flat.npy: got constant columns [1]"),
    "map folder": (["data.csv", "-n", "5", "-o", "o.npy", "--save-map", "no/m"], "got a folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_bad_input_in_one_line(case, home, capsys):
    np.save("flat.npy", POINTS * [1.0, 0.0])
    before = sorted(path.name for path in home.iterdir())
    arguments, phrase = REFUSED[case]
    assert main(["generate", *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert phrase in captured.err
    assert sorted(path.name for path in home.iterdir()) == before


@pytest.mark.parametrize(("outliers", "warned"), [("warn", 1), ("drop", 0), ("keep", 0)])
def test_outliers_are_named_dropped_or_kept(outliers, warned, home, capsys):
    spoilt = POINTS.copy()
    spoilt[[17, 40], 1] = -9999.0
    np.savetxt("gross.csv", spoilt, delimiter=",", header="height,weight", comments="")
    command = ["generate", "gross.csv", "-n", "50", "-o", "new.csv", "--effort", "0"]
    assert main([*command, "--outliers", outliers, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    assert result["left_out"] == ([17, 40] if outliers == "drop" else [])
    assert len(result["warnings"]) == warned
    said = "gross.csv: 2 of 150 rows lie far outside of the others (first: row 17, column 'weight'"
    for line in result["warnings"]:
        assert line.startswith(said)
        assert line.endswith("or pass --outliers drop.")
    deviation = read_points("new.csv").values[:, 1].std()
    assert (deviation < 1.0) == (outliers != "keep")


def test_people_are_told_of_outliers(home, capsys):
    np.save("gross.npy", np.vstack([POINTS, [[100.0, 1e6]]]))
    command = ["generate", "gross.npy", "-n", "5", "-o", "new.npy", "--effort", "0"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("brenier: gross.npy: 1 of 151 rows lies far outside")
    assert main([*command, "--outliers", "drop"]) == 0
    assert "1 of gross.npy (first: row 150)" in capsys.readouterr().out
