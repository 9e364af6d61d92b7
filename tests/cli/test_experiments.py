"""``brenier reproduce``: finding, running and refusing experiments."""

import ast
import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import brenier.experiments
from brenier.cli import main
from brenier.experiments import experiment_times, experiments

EXPERIMENT = """
from brenier._progress import Progress

from ._common import WORD

TIME = "a moment"

def main(run):
    print("chatter")
    run.progress(Progress(1, 2, "half way"))
    (run.out / "figure.txt").write_text(WORD)
    return {"seeds": run.seeds, "nested": {"mean": float("nan"), "files": run.data}}
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A package of three experiments in the place of ours."""
    folder = tmp_path / "experiments" / "paper26"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "fig1.py").write_text(EXPERIMENT)
    (folder / "table2.py").write_text("def main(run):\n    1 / 0\n")
    (folder / "some_name.py").write_text("")
    (folder / "_common.py").write_text("WORD = 'drawn'\n")
    monkeypatch.setattr(brenier.experiments, "__path__", [str(folder.parent)])
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("brenier.experiments.paper26")]:
        del sys.modules[name]
    del brenier.experiments.paper26


def test_an_experiment_runs_and_its_result_is_kept(planted, capsys):
    (planted / "d.csv").write_text("1\n")
    command = ["reproduce", "paper26-fig1", "--seed", "4", "--seeds", "9", "--data", "d.csv"]
    assert main([*command, "--out", "here", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    # Where stderr is a file, it says what is done, how long it takes, and where it is.
    said = [re.sub(r" +[0-9]+ s  ", " ", line) for line in captured.err.splitlines()]
    assert said == ["chatter", "brenier: paper26-fig1, a moment", "brenier: half way, 1 of 2"]
    assert result.pop("seconds") >= 0
    assert result == {
        "name": "paper26-fig1",
        "seed": 4,
        "seeds": 9,
        "nested": {"mean": None, "files": ["d.csv"]},
    }
    assert (planted / "here" / "figure.txt").read_text() == "drawn"
    assert json.loads((planted / "here" / "result.json").read_text())["seeds"] == 9


def test_by_default_a_run_has_a_folder_of_its_name(planted, capsys):
    assert main(["reproduce", "paper26_fig1"]) == 0
    assert (planted / "out" / "paper26-fig1" / "result.json").exists()
    assert "nested.mean" in capsys.readouterr().out


def test_an_unknown_name_is_told_the_nearest_and_where_all_are(planted, capsys):
    assert main(["reproduce", "paper26-fig9"]) == 2
    said = capsys.readouterr().err
    assert "got 'paper26-fig9'; wants paper26-fig1" in said
    assert said.endswith("of those that `brenier reproduce` lists.\n")
    assert main(["reproduce", "zzz"]) == 2
    assert "wants one of those that `brenier reproduce` lists" in capsys.readouterr().err
    assert main(["reproduce", "paper26-fig1", "--data", "absent.csv"]) == 2
    assert "--data: got absent.csv, which does not exist" in capsys.readouterr().err


def test_without_a_name_the_experiments_are_listed_with_what_they_are(planted, capsys):
    assert main(["reproduce", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["experiments"]
    assert list(listed) == ["paper26-fig1", "paper26-some-name", "paper26-table2"]
    assert listed["paper26-fig1"] == {"summary": "", "time": "a moment"}
    assert main(["reproduce"]) == 0
    assert "paper26-table2" in capsys.readouterr().out


def test_a_failed_run_exits_1(planted, capsys):
    assert main(["reproduce", "paper26-table2", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1] == "brenier: division by zero"


def test_names_may_be_written_with_hyphens(planted, capsys):
    for name in ("paper26-some-name", "paper26-some_name", "paper26.some_name"):
        assert main(["reproduce", name]) == 1
        assert "paper26.some_name' has no attribute 'main'" in capsys.readouterr().err


def test_bench_says_where_the_benchmarks_are(capsys):
    assert main(["bench", "--seeds", "3", "sample-sinkhorn"]) == 2
    assert capsys.readouterr().err == (
        "brenier: bench is now brenier reproduce peers-sample-sinkhorn.\n"
    )
    assert main(["bench", "any"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    told = {word.rstrip(".\n") for word in message.split() if "-" in word}
    assert len(told) == 6
    assert told <= set(experiments())


def _name(file):
    return f"{file.parent.name}-{file.stem}".replace("_", "-")


def test_every_experiment_keeps_the_contract():
    """Read, not imported: the other libraries of a comparison need not be installed."""
    root = Path(brenier.experiments.__file__).parent
    files = {path for path in root.glob("*/*.py") if not path.name.startswith("_")}
    found = {Path(find_spec(module).origin) for module in experiments().values()}
    assert found == files
    times = experiment_times()
    for file in files:
        tree = ast.parse(file.read_text())
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        arguments = [argument.arg for argument in functions["main"].args.args]
        assert arguments == ["run"], file
        assert times[_name(file)] != "no time known", file
        assert ast.unparse(tree.body[-1].test) == "__name__ == '__main__'", file
