"""``brenier demo``, on the photos thinned out; the whole of it is a slow test."""

import json

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

import brenier
from brenier.cli import _demo, main

FILES = ("demo.png", "palettes.png", "map.brenier", "summary.json")


def _check(folder, out):
    result = json.loads(out)
    assert result["files"] == [str(folder / name) for name in FILES]
    assert result["energy_distance_after"] <= result["energy_distance_before"] / 50
    assert result["cost"] > 0
    assert json.loads((folder / "summary.json").read_text()) == result
    wide, square = (Image.open(folder / name) for name in FILES[:2])
    assert wide.width > 3 * wide.height
    assert square.width > 1000
    assert brenier.load(folder / "map.brenier").dimension == 3
    return result


def test_the_demo_on_thinned_photos(tmp_path, monkeypatch, capsys):
    load = sklearn.datasets.load_sample_image
    monkeypatch.setattr(sklearn.datasets, "load_sample_image", lambda name: load(name)[::8, ::8])
    monkeypatch.setattr(_demo, "_SAMPLE", 2000)
    assert main(["demo", "--out", str(tmp_path / "demo"), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = _check(tmp_path / "demo", captured.out)
    assert result["pixels"] == 2 * 54 * 80


@pytest.mark.slow
def test_the_whole_demo_keeps_its_promises(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--json"]) == 0
    result = _check(tmp_path, capsys.readouterr().out)
    assert result["pixels"] == 2 * 273_280
    assert result["seconds"] < 60
    assert np.isfinite(result["energy_distance_after"])
