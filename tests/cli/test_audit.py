"""``brenier audit``: a map file, pairs, the report, and what is refused."""

import json

import numpy as np
import pytest

import brenier
from brenier.cli import main
from brenier.maps import AffineMap

_RANDOM = np.random.default_rng(0)
_X = _RANDOM.normal(size=(200, 2))
_Y = 2.0 * _RANDOM.normal(size=(300, 2)) + 1.0
_QUICK = ["--samples", "200", "--budget", "0.1"]


@pytest.fixture
def files(tmp_path):
    np.savetxt(tmp_path / "x.csv", _X, delimiter=",", header="<b>a</b>,b", comments="")
    np.savetxt(tmp_path / "y.csv", _Y[:, ::-1], delimiter=",", header="b,<b>a</b>", comments="")
    np.savez(tmp_path / "pairs.npz", x=_X, tx=2.0 * _X + 1.0, other=-_X)
    map = AffineMap(2.0 * np.eye(2), np.ones(2))
    brenier.save(tmp_path / "map.brenier", map, names=("<b>a</b>", "b"))
    return tmp_path


def _run(capsys, *arguments):
    code = main(["audit", *map(str, arguments), *_QUICK])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_map_file_with_its_target_and_a_report(files, capsys):
    code, out, _ = _run(
        capsys,
        files / "map.brenier",
        files / "x.csv",
        files / "y.csv",
        "--report",
        files / "out.html",
        "--json",
        "-",
    )
    assert code == 0
    fields = json.loads(out)
    assert fields["verdict"]["optimality"] == "optimal"
    # Columns are matched by name: swapped, the target would be the same here only by chance.
    assert fields["pushforward"]["p_value"] > 1e-3
    assert fields["how"]["names"] == ["<b>a</b>", "b"]
    page = (files / "out.html").read_text()
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert "<b>a</b>" not in page.split("<script")[0]


# Potentials compile long.
@pytest.mark.slow
def test_pairs_by_name_and_the_table(files, capsys):
    code, out, _ = _run(capsys, "--pairs", f"{files}/pairs.npz:x,:tx", "--target", files / "y.csv")
    assert code == 0
    assert "Is it optimal?" in out
    code, out, _ = _run(capsys, "--pairs", f"{files}/pairs.npz:x,other", "--json")
    assert code == 0
    assert json.loads(out)["verdict"]["optimality"] == "not optimal"


def test_the_same_seed_gives_the_same_bytes(files, capsys):
    both = []
    for _ in range(2):
        _, out, _ = _run(capsys, "--pairs", files / "pairs.npz", "--json", "--seed", 3)
        fields = json.loads(out)
        del fields["how"]["seconds"]
        both.append(fields)
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/map.brenier"], "MAP SOURCE: got one of them missing"),
        (["{}/map.brenier", "{}/none.csv"], "none.csv: got no such file"),
        (["{}/map.brenier", "{}/x.csv", "--report", "{}/no/out.html"], "a folder that does not"),
        (["{}/map.brenier", "--pairs", "{}/pairs.npz"], "beside --pairs; wants one of the two"),
        (["--pairs", "{}/x.csv"], "wants file.npz with arrays x and tx"),
        (["--pairs", "{}/pairs.npz:x,absent"], "no array named 'absent'"),
        (["{}/map.brenier", "{}/x.csv", "--level", "2"], "level: got 2.0"),
        (["{}/map.brenier", "{}/x.csv", "{}/y.csv", "--target", "{}/y.csv"], "wants one of them"),
    ],
)
def test_what_is_refused(files, capsys, arguments, message):
    code, out, err = _run(capsys, *(a.format(files) for a in arguments))
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(files.glob("*.html"))
