"""``--given``: a map for every condition, on the command line."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from brenier.cli import main

R = np.random.default_rng(0)


def told(*words: str) -> dict:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main([*words, "--json"]) == 0
    return json.loads(output.getvalue())


def table(path, x, kinds, doses) -> None:
    lines = [
        f"{kind},{a!r},{b!r},{dose}"
        for kind, (a, b), dose in zip(kinds, x.tolist(), doses, strict=True)
    ]
    path.write_text("\n".join(["kind,a,b,dose", *lines]) + "\n")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with tables of two kinds of points, and the map of both."""
    folder = tmp_path_factory.mktemp("given")
    x, kinds = R.normal(size=(40, 2)), ["u", "v"] * 20
    y = R.normal(size=(40, 2)) + np.where(np.array(kinds) == "u", 5.0, -5.0)[:, None]
    table(folder / "x.csv", x, kinds, range(40))
    table(folder / "y.csv", y, kinds, range(40))
    with contextlib.chdir(folder):
        done = told(
            "fit", "x.csv", "y.csv", "-o", "m.brenier", "--given", "kind", "--effort", "quick"
        )
    return folder, x, kinds, done


def test_fit_transport_and_audit(home):
    folder, x, kinds, done = home
    assert done["conditions"] == [["u"], ["v"]]
    assert (done["dimension"], done["given"]) == (3, ["kind"])
    with contextlib.chdir(folder):
        told("transport", "m.brenier", "x.csv", "-o", "z.csv", "--given", "kind")
        moved = np.loadtxt("z.csv", delimiter=",", skiprows=1)
        own = np.array(kinds) == "u"
        assert np.abs(moved[own, :2].mean() - x[own].mean() - 5.0) < 1.0
        assert np.abs(moved[~own, :2].mean() - x[~own].mean() + 5.0) < 1.0
        found = told("audit", "m.brenier", "x.csv", "y.csv", "--given", "kind", "--budget", "0.2")
        assert list(found["conditions"]) == ["kind u", "kind v"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["transport", "m.brenier", "x.csv", "-o", "z.csv"], "got a ConditionalMap; wants a map"),
        (["transport", "m.brenier", "x.csv", "-o", "z.csv", "--given", "no"], "no columns ['no']"),
        (["audit", "m.brenier", "x.csv", "--given", "kind,dose"], "--given: got 2 columns; wants"),
        (["audit", "m.brenier", "x.csv", "--given", "kind", "--law", "normal"], "--law beside it"),
    ],
)
def test_what_does_not_go_together_is_named(home, words, message, capsys):
    with contextlib.chdir(home[0]):
        assert main(words) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_of_cells_text_stays_text_and_a_missing_type_is_named(home, capsys):
    anndata, pd = pytest.importorskip("anndata"), pytest.importorskip("pandas")
    folder = home[0]
    r = np.random.default_rng(2)
    obs = pd.DataFrame(
        {
            "side": np.repeat(["x", "y"], 96),
            "batch": pd.Categorical(np.tile(["1", "2"], 96)),
            "day": np.tile([0, 0, 1, 1], 48),
        },
        index=[f"c{i}" for i in range(192)],
    )
    values = r.normal(size=(192, 2)) + 3.0 * (obs["side"] == "y").to_numpy()[:, None]
    cells = anndata.AnnData(values, obs)
    sides = ("--condition", "side", "--source", "x", "--target", "y")
    with contextlib.chdir(folder):
        cells.write_h5ad("c.h5ad")
        words = ("--given", "batch,day", "--effort", "quick")
        done = told("fit", "c.h5ad", "-o", "c.brenier", *sides, *words)
        assert done["conditions"] == [["1", 0.0], ["1", 1.0], ["2", 0.0], ["2", 1.0]]
        found = told(
            "audit", "c.brenier", "c.h5ad", *sides, "--given", "batch,day", "--budget", "0.2"
        )
        assert next(iter(found["conditions"])) == "batch 1, day 0"
        cells.obs.loc["c3", "batch"] = None
        cells.write_h5ad("gap.h5ad")
        move = ("transport", "c.brenier", "gap.h5ad", "-o", "z.h5ad", "--given", "batch,day")
        assert main(list(move)) == 2
    assert "--given: got no value of batch in 1 rows" in " ".join(capsys.readouterr().err.split())


def test_weights_of_rows_beside_given(home):
    folder, x, kinds, _ = home
    r = np.random.default_rng(4)
    y = x + np.where(np.array(kinds) == "u", 5.0, -5.0)[:, None]
    with contextlib.chdir(folder):
        for name, points in (("wx", x), ("wy", y)):
            table(Path(f"{name}.csv"), points, kinds, r.integers(1, 4, 40))
        words = ("--given", "kind", "--source-weights", "dose", "--target-weights", "dose")
        done = told("fit", "wx.csv", "wy.csv", "-o", "w.brenier", *words, "--effort", "quick")
        assert done["dimension"] == 2
        assert done["weights"] == {"source": "dose", "target": "dose"}
        assert done["effective_rows"]["source"] > 40
        found = told("audit", "w.brenier", "wx.csv", "wy.csv", *words, "--budget", "0.2")
        assert list(found["conditions"]) == ["kind u", "kind v"]
        assert main(["fit", "wx.csv", "wy.csv", "-o", "w.brenier", *words[:3], "no"]) == 2
