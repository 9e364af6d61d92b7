"""``brenier demo``: its files and its words on fewer pixels; the whole is a slow test."""

import json

import pytest
import sklearn.datasets
from PIL import Image

import brenier
from brenier.cli import _demo, main

FILES = ("demo.png", "palettes.png", "map.brenier", "summary.json")


def _check(folder, out, ratio):
    result = json.loads(out)
    assert result["files"] == [str(folder / name) for name in FILES]
    assert result["energy_distance_after"] <= result["energy_distance_before"] / ratio
    assert result["cost"] > 0
    assert json.loads((folder / "summary.json").read_text()) == result
    with Image.open(folder / "demo.png") as wide, Image.open(folder / "palettes.png") as square:
        assert wide.width > 3 * wide.height
        assert square.width > 1000
    assert brenier.load(folder / "map.brenier").dimension == 3
    return result


def test_the_demo_writes_and_says_what_it_did(tmp_path, monkeypatch, capsys):
    load = sklearn.datasets.load_sample_image
    monkeypatch.setattr(sklearn.datasets, "load_sample_image", lambda name: load(name)[::8, ::8])
    monkeypatch.setattr(_demo, "_SAMPLE", 300)
    monkeypatch.setattr(_demo, "_STEPS", 20)
    command = ["demo", "--out", str(tmp_path / "demo"), "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    # Twenty steps are little more than means and covariances: the whole leaves 1/1000.
    result = _check(tmp_path / "demo", captured.out, ratio=4)
    assert result["pixels"] == 2 * 54 * 80
    assert result["kind"] == "network"


@pytest.mark.slow
def test_the_whole_demo_keeps_its_promises(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--json"]) == 0
    result = _check(tmp_path, capsys.readouterr().out, ratio=50)
    assert result["pixels"] == 2 * 273_280
    assert result["seconds"] < 60
