"""``brenier fit --unbalanced``."""

import json

import numpy as np
import pytest

import brenier
from brenier.cli import main
from brenier.io import read_manifest, read_points

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 2))
X[60:, 1] += 12.0
Y = RANDOM.normal(size=(120, 2))  # the second half is gone
Y[:, 0] += 1.0


@pytest.fixture
def files(tmp_path):
    for name, z in (("x", X), ("y", Y)):
        np.savetxt(tmp_path / f"{name}.csv", z, delimiter=",", header="height,width", comments="")
    return tmp_path


def _fitted(folder, *options):
    files = [str(folder / name) for name in ("x.csv", "y.csv")]
    return main(["fit", *files, "-o", str(folder / "m.brenier"), "--effort", "quick", *options])


def test_growth_is_told_and_written(files, capsys):
    grown = [str(files / name) for name in ("xg.csv", "yg.csv")]
    into = ["--source-growth", grown[0], "--target-growth", grown[1]]
    assert _fitted(files, "--unbalanced", "4", *into, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["unbalanced"]["penalty"] == 4.0
    assert told["unbalanced"]["tried"] is None
    assert told["unbalanced"]["below_half"]["source"] >= 0.5
    exact = brenier.MongeMap(effort="quick", random_state=0, unbalanced=4.0).fit(X, Y)
    map = brenier.load(str(files / "m.brenier"))
    np.testing.assert_allclose(map(X), exact.transform(X), atol=1e-9)
    assert read_manifest(str(files / "m.brenier"))["about"]["unbalanced"] == 4.0
    # What is measured is of the mass that is left.
    moved = np.sum((exact.transform(X) - X) ** 2, axis=1)
    assert told["cost"] == pytest.approx(np.average(moved, weights=exact.source_growth_))
    for file, points, growth in zip(
        grown, (X, Y), (exact.source_growth_, exact.target_growth_), strict=True
    ):
        table = read_points(file)
        assert table.names == ("height", "width", "growth")
        np.testing.assert_allclose(table.values, np.column_stack([points, growth]), rtol=1e-6)
    weights = ["--source-weights", "growth", "--target-weights", "growth"]
    asked = ["audit", str(files / "m.brenier"), "--budget", "1"]
    assert main([*asked, *grown, *weights]) == 2
    assert "which holds the growth itself" in capsys.readouterr().err
    # The growth of the file, and that of its columns, give one certificate.
    own = [str(files / name) for name in ("x.csv", "y.csv")]
    found = []
    for given in ([*own], [*grown, *weights, "--no-growth"], [*own, "--no-growth"]):
        assert main([*asked, *given, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["cost"] == pytest.approx(found[1]["cost"])
    assert found[0]["weighting"]["source"]["rows"] == 120
    assert "penalty 4" in found[0]["how"]["growth"]
    assert found[2]["weighting"] is None
    assert found[2]["cost"] != pytest.approx(found[0]["cost"])
    # A table that says its growth already is not written over.
    again = ["fit", grown[0], grown[0], "-o", str(files / "n.brenier"), "--unbalanced", "4"]
    assert main([*again, "--source-growth", str(files / "z.csv")]) == 2
    assert "got a column 'growth' already" in capsys.readouterr().err


@pytest.mark.slow
def test_chosen_by_points_held_out(files, capsys):
    assert _fitted(files, "--unbalanced", "cv", "--json") == 0
    told = json.loads(capsys.readouterr().out)["unbalanced"]
    assert told["asked"] == "cv"
    assert [row["penalty"] for row in told["tried"] if row["chosen"]] == [told["penalty"]]
    assert read_manifest(str(files / "m.brenier"))["about"]["unbalanced"] == told["penalty"]


def test_steps_of_a_series(files):
    into = str(files / "s.brenier")
    snapshots = [str(files / name) for name in ("x.csv", "y.csv")]
    by = ["--times", "0,1", "--effort", "quick", "--unbalanced", "4"]
    assert main(["series", *snapshots, "-o", into, *by]) == 0
    exact = brenier.MongeMap(effort="quick", random_state=0, unbalanced=4.0).fit(X, Y)
    found = brenier.TimeSeries.load(into).transform(X, 0, 1)
    np.testing.assert_allclose(found, exact.transform(X), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--unbalanced", "0"], "--unbalanced: got '0'; wants a finite number above 0, or cv"),
        (["--unbalanced=-1"], "--unbalanced: got '-1'"),
        (["--unbalanced", "nan"], "--unbalanced: got 'nan'"),
        (["--unbalanced", "inf"], "--unbalanced: got 'inf'"),
        (["--unbalanced", "auto"], "--unbalanced: got 'auto'"),
        (["--source-growth", "g.csv"], "--source-growth: got g.csv without --unbalanced"),
        (["--unbalanced", "1", "--target-growth", "g.txt"], "g.txt: got "),
        (["--unbalanced", "1", "--given", "height"], "--given: got --unbalanced beside it"),
    ],
)
def test_bad_options_are_named(options, message, files, capsys):
    assert _fitted(files, *options) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_column_of_obs(tmp_path, capsys):
    anndata = pytest.importorskip("anndata")
    import pandas as pd

    day = ["0"] * len(X) + ["5"] * len(Y)
    obs = pd.DataFrame({"day": day}, index=[str(i) for i in range(len(day))])
    path, grown = str(tmp_path / "cells.h5ad"), str(tmp_path / "grown.h5ad")
    anndata.AnnData(np.concatenate([X, Y]), obs).write_h5ad(path)
    groups = ["--condition", "day", "--source", "0", "--target", "5", "--components", "2"]
    by = ["--unbalanced", "4", "--effort", "quick"]
    out = str(tmp_path / "m.brenier")
    assert main(["fit", path, "-o", out, *groups, *by, "--source-growth", grown]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "penalty 4;" in said
    cells = anndata.read_h5ad(grown)
    assert list(cells.obs.columns) == ["day", "growth"]
    exact = brenier.MongeMap(effort="quick", random_state=0, unbalanced=4.0).fit(X, Y)
    np.testing.assert_allclose(cells.obs["growth"], exact.source_growth_, rtol=1e-4, atol=1e-6)
    two = ["fit", grown, path, "-o", out, *by, "--source-growth", str(tmp_path / "other.h5ad")]
    assert main(two) == 2
    assert "got a column 'growth' already" in capsys.readouterr().err


@pytest.mark.slow
def test_a_report_is_of_the_mass_that_is_left(files, capsys):
    page = files / "page.html"
    assert _fitted(files, "--unbalanced", "4", "--report", str(page), "--json") == 0
    held = json.loads(capsys.readouterr().out)["held_out"]
    # All of the second half counts for nothing: it would be far from the target.
    assert held["energy_distance_before"] < 2.0
    assert "growth" in page.read_text()
