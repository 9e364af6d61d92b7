"""The experiments of DLV26 give what their ``expected.json`` says. Minutes long."""

import functools
import json
from pathlib import Path

import pytest

from brenier.cli import main

_FOLDER = Path(__file__).parents[2] / "experiments" / "dlv26"
_SEEDS = {"affine": "1", "fig2": "10"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(_SEEDS))
def test_an_experiment_gives_what_is_expected(name, tmp_path, capsys):
    arguments = ["reproduce", f"dlv26-{name}", "--seeds", _SEEDS[name], "--json"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out)
    expected = json.loads((_FOLDER / "expected.json").read_text())[name]
    outside = {}
    for path, (low, high) in expected.items():
        value = functools.reduce(lambda tree, key: tree[key], path.split("."), result)
        if not low <= value <= high:
            outside[path] = value
    assert outside == {}
