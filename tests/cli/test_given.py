"""``--given``: a map for every condition, on the command line."""

import contextlib
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import brenier
from brenier.cli import main
from brenier.estimators.conditional import ConditionalTable, _fit
from brenier.estimators.conditional._gaussian_part import gaussian_part

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
        (["transport", "m.brenier", "x.csv", "-o", "z.csv"], "every kind; wants --given kind besi"),
        (["audit", "m.brenier", "x.csv"], "m.brenier: got a map of every kind; wants --given kind"),
        (
            ["transport", "m.brenier", "x.csv", "-o", "z.csv", "--given", "dose"],
            "--given: got columns ['dose'] (missing ['kind'], unknown ['dose']); wants ['kind']",
        ),
        (["transport", "m.brenier", "x.csv", "-o", "z.csv", "--given", "no"], "no columns ['no']"),
        (
            ["audit", "m.brenier", "x.csv", "--given", "kind,dose"],
            "got 2 columns, kind, dose; wants 1",
        ),
        (
            ["audit", "m.brenier", "x.csv", "--given", "kind", "--law", "normal"],
            "--law beside it, which",
        ),
        (
            ["fit", "x.csv", "y.csv", "-o", "n.brenier", "--given", "kind", "--unbalanced", "1"],
            "--given: got --unbalanced beside it, which maps of conditions do not take; wants ei",
        ),
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


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A folder with tables of two covariates, and a map of both: the Gaussian part alone."""
    monkeypatch.setattr(
        _fit, "choose", lambda sides, *_: (gaussian_part(sides), ConditionalTable(()))
    )
    monkeypatch.chdir(tmp_path)
    x = R.normal(size=(36, 2))
    kinds, doses = ["u", "v"] * 18, np.repeat([0, 1, 2], 12)
    table(Path("x.csv"), x, kinds, doses)
    table(Path("y.csv"), x + 10.0 * doses[:, None], kinds, doses)
    told("fit", "x.csv", "y.csv", "-o", "m.brenier", "--given", "kind,3")
    return x, kinds, doses


def test_columns_are_found_by_name_whatever_their_order(two):
    x, _, doses = two
    moved = []
    for given in ("kind,dose", "dose,kind", "3,0"):
        told("transport", "m.brenier", "x.csv", "-o", "z.csv", "--given", given)
        moved.append(np.loadtxt("z.csv", delimiter=",", skiprows=1))
    np.testing.assert_array_equal(moved[1], moved[0])
    np.testing.assert_array_equal(moved[2], moved[0])
    assert np.abs(moved[0] - x - 10.0 * doses[:, None]).max() < 3.0
    names = brenier.load("m.brenier", "conditional map").covariates.own_names
    assert names == ("kind", "dose")  # and not "3", which elsewhere is another column
    # A table without a header has no names to find columns by.
    lines = Path("x.csv").read_text().splitlines()[1:]
    kept = [",".join(line.split(",")[place] for place in (1, 2, 0, 3)) for line in lines]
    Path("bare.csv").write_text("\n".join(kept) + "\n")
    told("fit", "bare.csv", "bare.csv", "-o", "n.brenier", "--given", "2,3")
    told("transport", "n.brenier", "bare.csv", "-o", "z.csv", "--given", "2,3")
    assert brenier.load("n.brenier", "conditional map").covariates.own_names is None


def test_one_line_warns_of_all_that_was_not_fitted(two, capsys):
    x, kinds, _ = two
    table(Path("far.csv"), x, kinds, 3 + np.arange(36))
    words = ["transport", "m.brenier", "far.csv", "-o", "z.csv", "--given", "kind,dose"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(words) == 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "got 36 values of dose, 3, 4, 5 and 33 more, outside of what was fitted, 0 to 2" in line
