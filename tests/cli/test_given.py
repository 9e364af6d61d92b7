"""``--given``: a map for every condition, on the command line."""

import contextlib
import io
import json

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
