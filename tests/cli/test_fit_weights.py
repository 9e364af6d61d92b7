"""``brenier fit`` with columns of weights."""

import json

import numpy as np
import pytest

import brenier
from brenier.cli import main
from brenier.io import read_manifest

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(40, 2)), 2.0 * RANDOM.normal(size=(50, 2)) + 1.0
A, B = RANDOM.integers(0, 4, 40).astype(float), RANDOM.integers(1, 4, 50).astype(float)


@pytest.fixture
def files(tmp_path):
    for name, z, w in (("x", X, A), ("y", Y, B)):
        table = np.column_stack([z[:, 0], w, z[:, 1]])
        header = "height,w,width"
        np.savetxt(tmp_path / f"{name}.csv", table, delimiter=",", header=header, comments="")
    return tmp_path


def _fitted(folder, *options):
    files = [str(folder / name) for name in ("x.csv", "y.csv")]
    return main(["fit", *files, "-o", str(folder / "m.brenier"), "--effort", "quick", *options])


def test_columns_of_weights_are_no_coordinates(files, capsys):
    assert _fitted(files, "--source-weights", "w", "--target-weights", "w", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["columns"] == ["height", "width"]
    assert told["weights"] == {"source": "w", "target": "w"}
    assert told["effective_rows"] == {"source": A.sum(), "target": B.sum()}
    map = brenier.load(str(files / "m.brenier"))
    assert read_manifest(str(files / "m.brenier"))["names"] == ["height", "width"]
    exact = brenier.MongeMap(effort="quick", random_state=0).fit(X, Y, A, B)
    np.testing.assert_allclose(map(X), exact.transform(X), atol=1e-9)
    moved = np.sum((exact.transform(X) - X) ** 2, axis=1)
    assert told["cost"] == pytest.approx(np.average(moved, weights=A))
    by_place = ["--columns", "0,2", "--source-weights", "1", "--target-weights", "1"]
    assert _fitted(files, *by_place) == 0
    np.testing.assert_allclose(brenier.load(str(files / "m.brenier"))(X), map(X), atol=1e-9)
    assert "effective rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--source-weights", "weight"], "--source-weights: "),
        (["--target-weights", "height", "--columns", "w,width"], "negative, NaN or infinite"),
    ],
)
def test_bad_columns_are_named(options, message, files, capsys):
    assert _fitted(files, *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_columns_of_obs(tmp_path, capsys):
    anndata = pytest.importorskip("anndata")
    import pandas as pd

    names = [str(i) for i in range(90)]
    obs = pd.DataFrame({"w": np.concatenate([A, B]), "day": ["0"] * 40 + ["5"] * 50}, index=names)
    path = str(tmp_path / "cells.h5ad")
    anndata.AnnData(np.concatenate([X, Y]), obs).write_h5ad(path)
    groups = ["--condition", "day", "--source", "0", "--target", "5", "--components", "2"]
    weights = ["--source-weights", "w", "--target-weights", "w"]
    out = str(tmp_path / "m.brenier")
    assert main(["fit", path, "-o", out, *groups, *weights, "--effort", "quick", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["effective_rows"] == {"source": A.sum(), "target": B.sum()}
    exact = brenier.MongeMap(effort="quick", random_state=0).fit(X, Y, A, B)
    np.testing.assert_allclose(brenier.load(out)(X), exact.transform(X), atol=1e-5)
    assert main(["fit", path, "-o", out, *groups, "--source-weights", "v"]) == 2
    assert "--source-weights: got v; wants a column of obs" in capsys.readouterr().err
