"""``brenier labels``, ``series`` and ``follow``: columns of words in and out, and times."""

import csv
import json
import warnings

import numpy as np
import pytest

from brenier import MongeMap, TimeSeries, save
from brenier.cli import main
from brenier.io import read_points, read_words, write_columns
from brenier.maps import AffineMap

RANDOM = np.random.default_rng(0)
KINDS = np.repeat(["low", "high"], 40)
X = RANDOM.normal(size=(80, 2)) + 9.0 * (KINDS == "high")[:, None]
Y = 2.0 * (RANDOM.normal(size=(80, 2)) + 9.0 * (KINDS == "high")[:, None])


def _table(path, points, kinds=None, names=("a", "b")):
    with path.open("w") as handle:
        rows = csv.writer(handle)
        rows.writerow([*names, "kind"] if kinds is not None else names)
        for i, row in enumerate(points.tolist()):
            rows.writerow(row if kinds is None else [*row, kinds[i]])
    return str(path)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("m.brenier", AffineMap(2.0 * np.eye(2), np.zeros(2)), names=["a", "b"])
    _table(tmp_path / "x.csv", X)
    _table(tmp_path / "x_kinds.csv", X, KINDS)
    _table(tmp_path / "y.csv", Y[:, ::-1], KINDS, names=("b", "a"))
    return tmp_path


def _result(capsys, *words):
    code = main([*words, "--json"])
    found = capsys.readouterr()
    assert code == 0, found.err
    return json.loads(found.out)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_of_a_table_go_to_another(ending, home, capsys):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    out = f"out.{ending}"
    found = _result(capsys, "labels", "m.brenier", "x.csv", "y.csv", "--labels", "kind", "-o", out)
    assert found["labels"] == {"high": 40, "low": 40}
    assert found["table"] is None
    assert read_words(out, "transferred_kind").tolist() == KINDS.tolist()
    assert read_points(out, ["transferred_kind_probability"]).values.min() > 0.9


def test_weights_are_no_coordinates_and_count(home, capsys):
    weights = np.tile([0.0, 1.0], 40)
    for name, points in (("wx", X), ("wy", Y)):
        lines = [
            f"{a!r},{b!r},{kind},{w}"
            for (a, b), kind, w in zip(points.tolist(), KINDS, weights, strict=True)
        ]
        (home / f"{name}.csv").write_text("\n".join(["a,b,kind,w", *lines]))
    words = ("labels", "m.brenier", "wx.csv", "wy.csv", "--labels", "kind", "-o", "out.csv")
    own = ("--source-weights", "w", "--target-weights", "w")
    _result(capsys, *words, "--source-labels", "kind", *own)
    assert main([*words, *own]) == 2
    assert "--source-weights: got w without --source-labels" in capsys.readouterr().err


def test_the_table_of_what_goes_where(home, capsys):
    words = ("labels", "m.brenier", "x_kinds.csv", "y.csv", "--labels", "kind", "-o", "out.csv")
    found = _result(capsys, *words, "--source-labels", "kind", "--into", "guessed")
    assert found["table"]["high"]["high"] > 0.95
    assert sum(found["table"]["low"].values()) == pytest.approx(1.0)
    assert found["column"] == "guessed"
    assert read_words("out.csv", "guessed").tolist() == KINDS.tolist()


def test_cells_get_two_columns_of_obs(home, capsys):
    anndata = pytest.importorskip("anndata")
    import pandas as pd

    obs = pd.DataFrame(
        {"kind": pd.Categorical(np.tile(KINDS, 2)), "day": np.repeat(["0", "5"], 80)},
        index=[f"cell{i}" for i in range(160)],
    )
    cells = anndata.AnnData(np.concatenate([X, Y]), obs, var=pd.DataFrame(index=["a", "b"]))
    cells.write_h5ad("cells.h5ad")
    words = ("labels", "m.brenier", "cells.h5ad", "--labels", "kind", "--condition", "day",
             "--source", "0", "--target", "5", "-o", "out.h5ad")  # fmt: skip
    found = _result(capsys, *words, "--source-labels", "kind")
    assert found["table"]["low"]["low"] > 0.95
    written = anndata.read_h5ad("out.h5ad").obs
    assert written["transferred_kind"].tolist() == KINDS.tolist()
    assert written["transferred_kind_probability"].min() > 0.9
    assert main([*words, "--into", "kind"]) == 2
    assert "cells.h5ad: got obs['kind'] already" in capsys.readouterr().err


def _unbalanced(x, y, kinds):
    """A map whose second kind is gone, and what its estimator says of the labels."""
    est = MongeMap(candidates=["gaussian"], random_state=0, unbalanced=6.0).fit(x, y)
    with pytest.warns(UserWarning, match="keep less than a tenth"):
        return est, est.transfer_labels(x, kinds), est.transition_table(KINDS, kinds)


@pytest.mark.slow
def test_labels_of_a_map_with_growth_are_those_of_its_estimator(home, capsys):
    y = Y[:40] / 2.0 + [0.5, 0.0]
    kinds = np.where(y[:, 0] > np.median(y[:, 0]), "right", "left")
    _table(home / "y.csv", y, kinds)
    est, labels, table = _unbalanced(X, y, kinds)
    save("m.brenier", est.map_, names=["a", "b"], growth=est.growth_)
    words = ("labels", "m.brenier", "x_kinds.csv", "y.csv", "--labels", "kind", "-o", "out.csv")
    assert main([*words, "--source-labels", "kind", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (said,) = found["warnings"]
    assert said.startswith("x_kinds.csv: 40 of 80 rows, the first 40, keep less than a tenth")
    assert found["kept"] == pytest.approx(dict(zip(table.sources, table.kept, strict=True)))
    assert found["table"] == {k: pytest.approx(row) for k, row in table.to_dict().items()}
    growth = read_points("out.csv", ["transferred_kind_growth"]).values[:, 0]
    np.testing.assert_allclose(growth, labels.growth, rtol=1e-6)
    assert read_words("out.csv", "transferred_kind").tolist() == labels.labels.tolist()


def test_growth_in_components_is_of_the_coordinates_of_a_table(home, capsys):
    x, y = ((z @ np.ones((2, 4)) + 0.1 * np.tile(z, 2)) for z in (X, Y[:40] / 2.0))
    kinds = np.array(["odd", "even"] * 20)
    for name, z, own in (("wide", x, None), ("kinds", y, kinds), ("y", y, None)):
        _table(home / f"{name}.csv", z, own, names="abcd")
    est = MongeMap(candidates=["gaussian"], random_state=0, components=2, unbalanced=6.0).fit(x, y)
    save("wide.brenier", est.map_, names=list("abcd"), growth=est.growth_)
    files = ("wide.brenier", "wide.csv", "kinds.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = _result(capsys, "labels", *files, "--labels", "kind", "-o", "out.csv")
    assert found["points"] == len(X)
    growth = read_points("out.csv", ["transferred_kind_growth"]).values[:, 0]
    np.testing.assert_allclose(growth, est.source_growth_, rtol=1e-6)
    judged = _result(capsys, "audit", *files[:2], "y.csv", "--budget", "0.5")
    assert judged["how"]["growth"].startswith("of the map file, penalty 6")
    assert judged["how"]["names"] == ["component 0", "component 1"]


def test_a_series_is_learned_and_followed(home, capsys):
    for i, shift in enumerate((0.0, 3.0, 5.0)):
        _table(home / f"{i}.csv", X[::2] + shift)
    words = ("series", "0.csv", "1.csv", "2.csv", "--times", "0,2,5", "-o", "s.brenier")
    found = _result(capsys, *words, "--effort", "quick")
    assert found["times"] == [0.0, 2.0, 5.0]
    moved = _result(
        capsys, "follow", "s.brenier", "0.csv", "--from", "0", "--to", "3.5", "-o", "o.csv"
    )
    assert moved["points"] == 40
    expected = TimeSeries.load("s.brenier").transform(X[::2], 0, 3.5)
    np.testing.assert_allclose(read_points("o.csv").values, expected, rtol=1e-12)
    np.testing.assert_allclose(expected, X[::2] + 4.0, atol=0.2)


def test_cells_are_followed_and_keep_their_obs(home, capsys):
    anndata, pd = pytest.importorskip("anndata"), pytest.importorskip("pandas")
    factors = RANDOM.normal(size=(2, 4))
    day = np.repeat([0, 2, 5], 40)
    values = np.concatenate([X[::2], X[::2] + 3.0, X[::2] + 5.0]) @ factors
    obs = pd.DataFrame({"day": day}, index=[f"c{i}" for i in range(120)])
    cells = anndata.AnnData(values, obs, pd.DataFrame(index=[f"g{i}" for i in range(4)]))
    cells.write_h5ad("cells.h5ad")
    _result(
        capsys, "series", "cells.h5ad", "--times", "day", "-o", "s.brenier", "--effort", "quick"
    )
    words = ("follow", "s.brenier", "cells.h5ad", "--from", "0", "--to", "3.5", "-o", "o.h5ad")
    assert _result(capsys, *words, "--times", "day")["cells"] == 40
    written = anndata.read_h5ad("o.h5ad")
    assert written.obs["day"].tolist() == [0] * 40
    expected = TimeSeries.load("s.brenier").transform(cells[:40], 0, 3.5)
    np.testing.assert_allclose(written.layers["transported"], expected, rtol=1e-12)
    np.testing.assert_allclose(expected, values[:40] + 4.0 * factors.sum(axis=0), atol=0.5)
    assert written.uns["brenier"]["transported"]["to_time"] == 3.5
    assert _result(capsys, *words, "--into", "all")["cells"] == 120
    assert main([*words, "--times", "week"]) == 2
    assert "got no column 'week' in obs" in " ".join(capsys.readouterr().err.split())


BAD = {
    "no such column": (
        ("labels", "m.brenier", "x.csv", "y.csv", "--labels", "type", "-o", "o.csv"),
        "y.csv: got no columns ['type']",
    ),
    "an array": (
        ("labels", "m.brenier", "x.csv", "y.npy", "--labels", "kind", "-o", "o.csv"), "y.npy: got",
    ),
    "no target": (
        ("labels", "m.brenier", "x.csv", "--labels", "kind", "-o", "o.csv"), "TARGET: got no file",
    ),
    "another ending": (
        ("labels", "m.brenier", "x.csv", "y.csv", "--labels", "kind", "-o", "o.npy"),
        "o.npy: got the ending '.npy'; wants .csv or .parquet",
    ),
    "no times": (
        ("series", "x.csv", "x.csv", "--times", "now,then", "-o", "s.brenier"), "--times: got",
    ),
    "too few times": (
        ("series", "x.csv", "x.csv", "--times", "1", "-o", "s.brenier"), "times: got 1 times of 2",
    ),
    "out of order": (
        ("series", "x.csv", "x.csv", "--times", "1,0", "-o", "s.brenier"), "times: got 0 after 1",
    ),
    "no series": (
        ("follow", "m.brenier", "x.csv", "--from", "0", "--to", "1", "-o", "o.csv"),
        "m.brenier: got a AffineMap; wants a series",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line(fault, home, capsys):
    words, phrase = BAD[fault]
    np.save("y.npy", Y)
    assert main(list(words)) == 2
    assert phrase in capsys.readouterr().err
    assert not (home / "o.csv").exists()


def test_columns_of_words_come_back(tmp_path):
    words = np.array(["a,b", 'say "so"', "ä"])
    for ending in ("csv", "parquet"):
        path = tmp_path / f"kinds.{ending}"
        write_columns(path, {"kind": words, "p": np.array([0.5, 0.25, 1.0])})
        assert read_words(path, "kind").tolist() == words.tolist()
    (tmp_path / "gap.csv").write_text("a,kind\n1,B\n2,\n")
    with pytest.raises(ValueError, match=r"gap.csv, column 'kind': got no entry in row 1"):
        read_words(tmp_path / "gap.csv", "kind")
