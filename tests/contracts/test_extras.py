"""The core alone works on tables in text and on arrays; what needs more says so in one line."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import brenier
from brenier._extras import EXTRAS, MissingExtraError, check_installed, of_an_extra
from brenier.cli import main
from brenier.io import load, read_points, save

HOME = Path(brenier.__file__).parent
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
RANDOM = np.random.default_rng(0)
# Not torch, of which others ask whether it is imported, nor narwhals, which scikit-learn may need.
HIDDEN = sorted({*EXTRAS} - {"diffusers", "narwhals", "torch"})
# A program whose Python finds no package of an extra.
BARE = (
    "import sys\n"
    f"sys.modules.update(dict.fromkeys({HIDDEN!r}))\n"
    "import json\n"
    "from brenier.cli import main\n"
    "for words in json.loads(sys.argv[1]):\n"
    "    assert main(words) == 0, words"
)


def _declared():
    return tomllib.loads(PROJECT.read_text())["project"]


def _name(requirement):
    return requirement.split(">")[0].split("[")[0].lower()


def test_the_core_is_small():
    assert len(_declared()["dependencies"]) <= 12


def test_every_extra_brings_what_the_code_says():
    extras = _declared()["optional-dependencies"]
    called = {"PIL": "pillow", "ot": "pot"}
    for package, extra in EXTRAS.items():
        assert called.get(package, package) in {_name(one) for one in extras[extra]}
    known = {called.get(package, package) for package in EXTRAS}
    assert known == {_name(one) for extra in set(EXTRAS.values()) for one in extras[extra]}
    assert extras["anndata"] == ["brenier[cells]"]
    assert set(EXTRAS.values()) == set(extras["all"][0].partition("[")[2].rstrip("]").split(","))


def test_whatever_is_imported_is_declared():
    own = {_name(one).replace("-", "_") for one in _declared()["dependencies"]} | set(EXTRAS)
    own |= {"brenier", "sklearn", *sys.stdlib_module_names} - {"scikit_learn"}
    own |= {"IPython"}  # which a notebook has
    # Rivals in experiments, imported where they are there.
    for path in (path for path in HOME.rglob("*.py") if "experiments" not in path.parts):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= own, path


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    home = tmp_path_factory.mktemp("tables")
    for name, shift in (("a", 0.0), ("b", 2.0)):
        points = RANDOM.normal(size=(60, 2)) + shift
        np.savetxt(home / f"{name}.csv", points, delimiter=",", header="x,y", comments="")
        np.save(home / f"{name}.npy", points)
    save(home / "m.brenier", brenier.maps.AffineMap(np.eye(2), np.zeros(2)))
    (home / "a.h5ad").write_bytes(b"any")
    (home / "a.parquet").write_bytes(b"any")
    (home / "a.png").write_bytes(b"any")
    return home


def _commands(ending):
    map = f"{ending}.brenier"
    return (
        ("fit", f"a.{ending}", f"b.{ending}", "-o", map, "--effort", "quick"),
        ("transport", map, f"a.{ending}", "-o", f"moved.{ending}"),
        ("generate", f"a.{ending}", "-n", "5", "-o", f"new.{ending}", "--effort", "quick"),
        ("audit", map, f"a.{ending}", f"b.{ending}", "--budget", "0.5"),
    )


def test_the_command_line_works_on_the_core_alone(tables):
    """On text and on arrays, in one process: it takes longer to start than to do each."""
    run = [sys.executable, "-c", BARE, json.dumps([*_commands("csv"), *_commands("npy")])]
    done = subprocess.run(run, cwd=tables, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    for ending, names in (("csv", ("x", "y")), ("npy", None)):
        moved = read_points(tables / f"moved.{ending}")
        assert moved.names == names
        np.testing.assert_allclose(
            moved.values,
            load(tables / f"{ending}.brenier")(read_points(tables / f"a.{ending}").values),
        )


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (("fit", "a.parquet", "b.csv", "-o", "m.brenier"), "pyarrow"),
        (("fit", "a.png", "a.png", "-o", "m.brenier"), "PIL"),
        (("transport", "m.brenier", "a.h5ad", "-o", "new.h5ad"), "anndata"),
        (("fit", "a.csv", "b.csv", "-o", "m.brenier", "--figure", "f.png"), "matplotlib"),
        (("generate", "a.csv", "-n", "5", "-o", "new.parquet"), "pyarrow"),
        (("audit", "m.brenier", "a.csv", "--report", "page.html"), "matplotlib"),
        (("demo",), "matplotlib"),
        (("reproduce", "dlv26-fig2"), "matplotlib"),
        (("ddpm", "demo"), "matplotlib"),
    ],
)
def test_what_is_missing_is_one_line_that_names_the_extra(
    words, package, tables, monkeypatch, capsys
):
    monkeypatch.chdir(tables)
    for name in HIDDEN:
        monkeypatch.setitem(sys.modules, name, None)
    before = set(tables.iterdir())
    assert main(words) == 2
    # Before it a long command may have said what it begins.
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"got no {package} installed" in line
    assert f'wants pip install "brenier[{EXTRAS[package]}]".' in line
    assert set(tables.iterdir()) == before


def test_an_error_of_an_extra_is_of_an_import_and_of_the_input(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for kind in (ImportError, ValueError):
        with pytest.raises(kind, match=r'^report: got no pyarrow.*"brenier\[tables\]"\.$'):
            check_installed("report", "pyarrow")
    error = ModuleNotFoundError("any", name="pyarrow.parquet")
    assert of_an_extra(error) == "pyarrow"
    assert of_an_extra(ModuleNotFoundError("any", name="ott")) is None
    monkeypatch.setitem(sys.modules, "pyarrow", pytest)
    assert of_an_extra(error) is None  # it is there: another fault
    assert issubclass(MissingExtraError, ImportError)


def test_points_are_matched_without_pot(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    x = RANDOM.normal(size=(300, 2))
    matched = brenier.exact.solve_assignment(x, x[::-1] + 1.0)
    assert matched.stats["cost"] == pytest.approx(2.0)
    with pytest.raises(MissingExtraError, match=r"weights or sizes that differ: got no ot"):
        brenier.exact.solve_assignment(x, x[:200])


def test_tables_of_files_are_fitted_by_their_names(tables):
    first, second = (read_points(tables / f"{name}.csv") for name in "ab")
    swapped = read_points(tables / "b.csv", ["y", "x"])
    fits = [
        brenier.MongeMap(effort="quick", random_state=0).fit(first, target)
        for target in (second, swapped)
    ]
    assert fits[0].feature_names_in_.tolist() == ["x", "y"]
    moved = [fit.transform(first) for fit in fits]
    np.testing.assert_array_equal(moved[0], moved[1])
    plain = brenier.MongeMap(effort="quick", random_state=0).fit(first.values, second.values)
    np.testing.assert_array_equal(plain.transform(first.values), moved[0])
    with pytest.raises(ValueError, match="got columns"):
        fits[0].transform(brenier.io.Table(first.values, names=("x", "z")))
    made = brenier.Generator(effort="quick", random_state=0).fit(first).sample(3)
    assert isinstance(made, np.ndarray)
