"""``--given``: a map for every condition, on the command line."""

import contextlib
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from brenier.cli import main
from brenier.cli._given_rows import grouped_by, told_columns
from brenier.maps import ConditionalMap, Covariates
from brenier.numerics import Coordinates
from brenier.potentials import Quadratic, Unconditional

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
        done = told("fit", "x.csv", "y.csv", "-o", "m.brenier", "--given", "0", "--effort", "quick")
    return folder, x, kinds, done


def test_fit_transport_and_audit(home):
    folder, x, kinds, done = home
    assert done["conditions"] == [["u"], ["v"]]
    # Column 0 is called by its name, since elsewhere another one may stand there.
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
        move = ("transport", "c.brenier", "c.h5ad", "-o")
        told(*move, "z.h5ad", "--given", "batch,day")
        told(*move, "back.h5ad", "--given", "day,batch")
        moved, back = (anndata.read_h5ad(file) for file in ("z.h5ad", "back.h5ad"))
        np.testing.assert_array_equal(moved.layers["transported"], back.layers["transported"])
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


def test_one_line_warns_of_all_that_was_not_fitted(home, capsys):
    folder, x, *_ = home
    table(folder / "new.csv", x, [f"w{i:02}" for i in range(40)], range(40))
    words = ["transport", "m.brenier", "new.csv", "-o", "z.csv", "--given", "kind"]
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(words) == 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "got 40 values of kind, 'w00', 'w01', 'w02' and 37 more, which were not fitted" in line


def test_columns_are_found_by_name_whatever_their_order():
    own = Covariates(("kind", "dose"), (("u", "v"), ()), np.zeros(2), np.ones(2), True)
    map = ConditionalMap(
        Unconditional(Quadratic.identity(2), own.layout), Coordinates.identity(2), own, ()
    )
    kinds, doses = np.array(["u", "v", "u"], object), np.array([0.0, 1.0, 1.0])
    found = grouped_by(map, told_columns(("kind", "dose"), (kinds, doses)), 3)
    back = grouped_by(map, told_columns(("dose", "kind"), (doses, kinds)), 3)
    bare = grouped_by(map, told_columns(("0", "1"), (kinds, doses), is_named=False), 3)
    assert list(found) == list(back) == list(bare) == [("u", 0.0), ("v", 1.0), ("u", 1.0)]
    with pytest.raises(ValueError, match=r"--given: got columns \['kind', 'day'\] \(missing"):
        grouped_by(map, told_columns(("kind", "day"), (kinds, doses)), 3)
