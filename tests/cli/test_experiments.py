"""``brenier reproduce`` and ``brenier bench``: finding, running and refusing experiments."""

import ast
import json
import sys
from pathlib import Path

import pytest

from brenier.cli import _experiments, main

EXPERIMENT = """
from brenier._progress import Progress

from ._common import WORD

def main(out, seed, seeds, data, progress):
    print("chatter")
    progress(Progress(1, 2, "half way"))
    (out / "figure.txt").write_text(WORD)
    return {"seeds": seeds, "nested": {"mean": float("nan"), "files": data}}
"""


@pytest.fixture
def experiments(tmp_path, monkeypatch):
    """A library that brings two experiments of its own."""
    home = tmp_path / "src" / "brenier"
    folder = tmp_path / "experiments" / "paper26"
    home.mkdir(parents=True)
    folder.mkdir(parents=True)
    (folder / "fig1.py").write_text(EXPERIMENT)
    (folder / "table2.py").write_text("def main(out, seed, seeds, data, progress):\n    1 / 0\n")
    (folder / "_common.py").write_text("WORD = 'drawn'\n")
    monkeypatch.setattr(_experiments.brenier, "__file__", str(home / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("brenier._experiments", "brenier._benchmarks")):
            del sys.modules[name]


def test_an_experiment_runs_and_its_result_is_kept(experiments, capsys):
    (experiments / "d.csv").write_text("1\n")
    command = ["reproduce", "paper26-fig1", "--seed", "4", "--seeds", "9", "--data", "d.csv"]
    assert main([*command, "--out", "here", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert captured.err == "chatter\n"
    assert result.pop("seconds") >= 0
    assert result == {
        "name": "paper26-fig1",
        "seed": 4,
        "seeds": 9,
        "nested": {"mean": None, "files": ["d.csv"]},
    }
    assert (experiments / "here" / "figure.txt").read_text() == "drawn"
    assert json.loads((experiments / "here" / "result.json").read_text())["seeds"] == 9


def test_by_default_a_run_has_a_folder_of_its_name(experiments, capsys):
    assert main(["reproduce", "paper26-fig1"]) == 0
    assert (experiments / "out" / "paper26-fig1" / "result.json").exists()
    assert "nested.mean" in capsys.readouterr().out


def test_an_unknown_name_lists_the_known_ones(experiments, capsys):
    assert main(["reproduce", "paper26-fig9"]) == 2
    message = capsys.readouterr().err
    assert "got 'paper26-fig9'; wants one of: paper26-fig1, paper26-table2." in message
    assert main(["bench", "any"]) == 2
    assert "no folder benchmarks/ beside the library" in capsys.readouterr().err
    assert main(["reproduce", "paper26-fig1", "--data", "absent.csv"]) == 2
    assert "--data: got absent.csv, which does not exist" in capsys.readouterr().err


def test_a_failed_run_exits_1(experiments, capsys):
    assert main(["reproduce", "paper26-table2", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "brenier: division by zero\n"


def test_the_experiments_of_this_checkout_keep_the_contract():
    """Read, not imported: a benchmark's peers need not be installed."""
    root = Path(__file__).parents[2]
    for kind in ("experiments", "benchmarks"):
        for module in _experiments.find(kind)[1].values():
            tree = ast.parse((root / kind / f"{module.replace('.', '/')}.py").read_text())
            functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
            arguments = [argument.arg for argument in functions["main"].args.args]
            assert arguments == ["out", "seed", "seeds", "data", "progress"], module


def test_names_may_be_written_with_hyphens(monkeypatch, tmp_path):
    monkeypatch.setattr(_experiments, "find", lambda kind: ("json", {"paper-some_name": "decoder"}))
    with pytest.raises(AttributeError, match="main"):
        _experiments.run_named("experiments", "paper-some-name", tmp_path, 0, None, None, print)
