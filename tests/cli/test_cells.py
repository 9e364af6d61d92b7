"""The command line on .h5ad files."""

import contextlib
import io
import json

import anndata
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import brenier
from brenier.cli import _cells as cells_module
from brenier.cli import main
from brenier.io import read_manifest
from brenier.maps import AffineMap

RANDOM = np.random.default_rng(0)
BOTH = ["--condition", "condition", "--source", "control", "--target", "ifnb"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with cells of two conditions, and a map fitted between them."""
    folder = tmp_path_factory.mktemp("cells")
    counts = RANDOM.poisson(1.0, (160, 25)).astype(np.float32)
    counts[80:, :5] += 2.0
    cells = anndata.AnnData(sparse.csr_matrix(counts))
    cells.obs["condition"] = ["control"] * 80 + ["ifnb"] * 80
    cells.layers["logged"] = sparse.csr_matrix(np.log1p(counts))
    cells.obsm["X_pca"] = RANDOM.normal(size=(160, 2))
    cells.write_h5ad(folder / "c.h5ad")
    output = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(output):
        assert (
            main(
                [
                    "fit",
                    "c.h5ad",
                    "-o",
                    "m.brenier",
                    *BOTH,
                    "--layer",
                    "logged",
                    "--components",
                    "3",
                    "--json",
                ]
            )
            == 0
        )
    return folder, cells, json.loads(output.getvalue())


def test_fit_says_what_it_did_and_the_map_what_it_needs(home):
    folder, cells, result = home
    assert (result["source_cells"], result["target_cells"], result["components"]) == (80, 80, 3)
    assert result["energy_distance_after"] < result["energy_distance_before"] / 5
    manifest = read_manifest(folder / "m.brenier")
    assert manifest["names"] == list(cells.var_names)
    assert manifest["about"]["layer"] == "logged"
    assert manifest["about"]["kind"] == result["kind"]
    assert len(manifest["about"]["candidates"]) == len(result["candidates"]) > 1


def test_a_file_past_memory_is_fitted_from_the_disk(home, capsys, monkeypatch):
    folder, _, _ = home
    monkeypatch.chdir(folder)
    found = {}
    for name, most in (("memory", 2**30), ("disk", 0)):
        monkeypatch.setattr(cells_module, "_IN_MEMORY", most)
        assert (
            main(["fit", "c.h5ad", "-o", f"{name}.brenier", *BOTH, "--components", "3", "--json"])
            == 0
        )
        found[name] = json.loads(capsys.readouterr().out)
    for key in ("components", "source_cells", "target_cells"):
        assert found["disk"][key] == found["memory"][key]
    np.testing.assert_allclose(found["disk"]["cost"], found["memory"]["cost"], rtol=1e-2)


def test_transport_writes_a_layer_with_provenance_and_moves_back(home, capsys, monkeypatch):
    folder, cells, _ = home
    monkeypatch.chdir(folder)
    command = ["transport", "m.brenier", "c.h5ad", "-o", "o.h5ad", *BOTH[:4], "--json"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["cells"], result["into"], result["left_out"]) == (80, "transported", 0)
    out = anndata.read_h5ad("o.h5ad")
    logged = cells.layers["logged"][:80].toarray()
    np.testing.assert_array_equal(out.layers["logged"].toarray(), logged)
    moved = out.layers["transported"]
    assert result["cost"] == pytest.approx(np.mean(np.sum((moved - logged) ** 2, axis=1)), rel=1e-3)
    told = out.uns["brenier"]["transported"]
    assert (told["from"], told["value"], told["map"]) == ("logged", "control", "m.brenier")
    command = [
        "transport",
        "m.brenier",
        "o.h5ad",
        "-o",
        "b.h5ad",
        "--layer",
        "transported",
        "--into",
        "back",
        "--inverse",
    ]
    assert main(command) == 0
    back = anndata.read_h5ad("b.h5ad")
    np.testing.assert_allclose(back.layers["back"], logged, atol=1e-4)
    assert set(back.uns["brenier"]) == {"transported", "back"}


def test_audit_looks_at_the_components(home, capsys, monkeypatch):
    monkeypatch.chdir(home[0])
    command = ["audit", "m.brenier", "c.h5ad", *BOTH, "--budget", "0.1", "--json"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"]["optimality"] == "optimal"
    assert result["how"]["dimension"] == 3
    assert result["how"]["kind"] == read_manifest("m.brenier")["about"]["sentence"]


def test_audit_takes_weights_of_obs(home, capsys, monkeypatch):
    monkeypatch.chdir(home[0])
    cells = anndata.read_h5ad("c.h5ad")
    cells.obs["people"] = np.where(np.arange(160) % 2, 1.0, 3.0)
    cells.obs["many"] = np.arange(160)
    cells.obs["word"] = "some"
    cells.write_h5ad("w.h5ad")
    command = ["audit", "numpy:negative", "w.h5ad", *BOTH, "--obsm", "X_pca", "--budget", "0.1"]
    weights = ["--source-weights", "people", "--target-weights", "many", "--json"]
    assert main([*command, *weights]) == 0
    found = json.loads(capsys.readouterr().out)["weighting"]
    assert found["source"]["effective"] == pytest.approx(80 * 4.0 / 5.0)
    many = np.arange(80.0, 160.0)
    assert found["target"]["effective"] == pytest.approx(many.sum() ** 2 / np.sum(many**2))
    for column, message in (("none", "wants a column of obs"), ("word", "holds no numbers")):
        assert main([*command, "--source-weights", column]) == 2
        assert f"--source-weights: got {column}" in (error := capsys.readouterr().err)
        assert message in error


def test_audit_takes_a_function_on_cells(home, capsys, monkeypatch):
    monkeypatch.chdir(home[0])
    command = ["audit", "numpy:negative", "c.h5ad", *BOTH, "--obsm", "X_pca", "--budget", "0.1"]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["verdict"]["optimality"] == "not optimal"
    assert result["how"]["dimension"] == 2
    assert result["how"]["target_points"] == 80


def _embedded(file, columns, kind=None):
    """Cells whose embedding E has the columns p and q, or no names, in that order."""
    random = np.random.default_rng(3)
    names = [f"c{i}" for i in range(60)]
    values = random.normal(size=(60, 2)) * [1.0, 100.0]
    cells = anndata.AnnData(np.ones((60, 3)), obs=pd.DataFrame({"c": ["a", "b"] * 30}, names))
    frame = pd.DataFrame(values, names, ["p", "q"])[list(columns)]
    cells.obsm["E"] = frame if kind is None else kind(frame)
    cells.write_h5ad(file)


EMBEDDINGS = {
    "in the same order": ("pq", None),
    "in another order": ("qp", None),
    "an array": ("pq", np.asarray),
    "sparse": ("pq", lambda frame: sparse.csr_matrix(frame)),
    "counted by pandas": ("pq", lambda frame: frame.set_axis(["0", "1"], axis=1)),
}


@pytest.mark.parametrize("case", EMBEDDINGS)
@pytest.mark.parametrize(
    "fitted",
    [
        "in the same order",
        *(pytest.param(name, marks=pytest.mark.slow) for name in list(EMBEDDINGS)[1:]),
    ],
)
def test_columns_of_embeddings_are_matched_by_name(fitted, case, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (columns, kind), (first, first_kind) = EMBEDDINGS[case], EMBEDDINGS[fitted]
    _embedded("1.h5ad", first, first_kind)
    _embedded("2.h5ad", columns, kind)
    if fitted == "in another order" and kind is not None:
        pytest.skip("an array stands as the map's columns do")
    names = list(first) if first_kind is None else ["E[0]", "E[1]"]
    factors = {"p": 2.0, "q": 3.0}
    matrix = jnp.diag(jnp.asarray([factors[name] for name in first]))
    about = {"layer": None, "obsm": "E"}
    brenier.save("m.brenier", AffineMap(matrix, jnp.zeros(2)), names=names, about=about)
    assert main(["transport", "m.brenier", "2.h5ad", "-o", "o.h5ad"]) == 0
    out = anndata.read_h5ad("o.h5ad")
    values = np.random.default_rng(3).normal(size=(60, 2)) * [1.0, 100.0]
    moved = out.obsm["E_transported"]
    if first_kind is None:
        assert list(moved.columns) == list(first)
        moved = moved[["p", "q"]]
    elif kind is None and columns == "qp":
        values = values[:, ::-1]
    np.testing.assert_allclose(np.asarray(moved), values * [2.0, 3.0], rtol=1e-12)
    back = ["transport", "m.brenier", "o.h5ad", "-o", "b.h5ad", "--obsm", "E_transported"]
    assert main([*back, "--inverse", "--into", "back"]) == 0
    found = anndata.read_h5ad("b.h5ad").obsm["back"]
    found = found[["p", "q"]] if first_kind is None else found
    np.testing.assert_allclose(np.asarray(found), values, rtol=1e-9)


def test_an_estimator_matches_embeddings_by_name_too(tmp_path):
    random = np.random.default_rng(0)
    values = pd.DataFrame(random.normal(size=(60, 2)) * [1.0, 100.0], columns=["p", "q"])
    values.index = [f"c{i}" for i in range(60)]

    def cells(frame):
        made = anndata.AnnData(np.ones((60, 3)), obs=pd.DataFrame(index=values.index))
        made.obsm["E"] = frame
        return made

    fitted = brenier.MongeMap(obsm="E", effort=0, random_state=0)
    fitted.fit(cells(values), cells(values * 2.0 + 5.0))
    np.testing.assert_array_equal(
        fitted.transform(cells(values)), fitted.transform(cells(values[["q", "p"]]))
    )
    with pytest.raises(ValueError, match=r"no column for \['q'\]"):
        fitted.transform(cells(values.rename(columns={"q": "r"})))


REFUSED = {
    "no condition": (["fit", "c.h5ad", "-o", "n.brenier"], "wants --condition COLUMN"),
    "column": (
        ["fit", "c.h5ad", "-o", "n.brenier", "--condition", "x", *BOTH[2:]],
        "no column 'x' in obs; wants one of ['condition']",
    ),
    "value": (
        ["fit", "c.h5ad", "-o", "n.brenier", *BOTH[:4], "--target", "x"],
        "'condition' is 'x'; wants one of ['control', 'ifnb']",
    ),
    "layer": (["fit", "c.h5ad", "-o", "n.brenier", *BOTH, "--layer", "x"], "no layer 'x'"),
    "obsm": (["fit", "c.h5ad", "-o", "n.brenier", *BOTH, "--obsm", "x"], "no obsm 'x'"),
    "a table beside": (["fit", "c.h5ad", "x.csv", "-o", "n.brenier"], "x.csv: got a table beside"),
    "options of cells": (
        ["fit", "x.csv", "y.csv", "-o", "n.brenier", "--layer", "z"],
        "x.csv: got --layer, which are for cells",
    ),
    "value alone": (
        ["transport", "m.brenier", "c.h5ad", "-o", "n.h5ad", "--source", "control"],
        "wants --condition COLUMN, one of ['condition']",
    ),
    "ending": (["transport", "m.brenier", "c.h5ad", "-o", "n.csv"], "n.csv: got the ending '.csv'"),
    "genes": (
        ["transport", "m.brenier", "few.h5ad", "-o", "n.h5ad", "--layer", "logged"],
        "few.h5ad: got no column for ['24']; wants the 25 of m.brenier",
    ),
    "a path for a name": (
        ["transport", "m.brenier", "c.h5ad", "-o", "n.h5ad", "--into", "a/b"],
        "--into: got 'a/b'; wants a name without '/'",
    ),
    "a column without a value": (
        ["transport", "m.brenier", "c.h5ad", "-o", "n.h5ad", "--condition", "condition"],
        "--condition: got 'condition' without a value of it; wants --source VALUE",
    ),
    "a column without a value, two files": (
        ["fit", "c.h5ad", "c.h5ad", "-o", "n.brenier", "--condition", "condition"],
        "--condition: got 'condition' without a value",
    ),
    "an empty column": (
        ["transport", "m.brenier", "c.h5ad", "-o", "n.h5ad", "--condition", ""],
        "--condition: got '' without a value",
    ),
    "no name": (
        ["transport", "m.brenier", "c.h5ad", "-o", "n.h5ad", "--into", ""],
        "--into: got ''; wants a name",
    ),
    "a name that is taken": (
        ["transport", "m.brenier", "c.h5ad", "-o", "n.h5ad", "--into", "logged"],
        "c.h5ad: got layers['logged'] already, which the result would replace",
    ),
    "notes of another kind": (
        ["transport", "m.brenier", "noted.h5ad", "-o", "n.h5ad"],
        "noted.h5ad: got int as uns['brenier']",
    ),
    "no target": (["fit", "x.csv", "-o", "n.brenier"], "TARGET: got no file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case, home, capsys, monkeypatch):
    folder, cells, _ = home
    monkeypatch.chdir(folder)
    cells[:, :24].copy().write_h5ad("few.h5ad")
    noted = cells.copy()
    noted.uns["brenier"] = 5
    noted.write_h5ad("noted.h5ad")
    arguments, phrase = REFUSED[case]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert phrase in captured.err
    assert not list(folder.glob("n.*"))
