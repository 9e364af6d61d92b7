"""``brenier demo``: its files and its words on fewer pixels; the whole is a slow test."""

import json
import re

import numpy as np
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
    # Where stderr is a file, it says how long it takes and where it is.
    lines = captured.err.splitlines()
    assert all(re.match(r"brenier: +[0-9]+ s  ", line) for line in lines)
    assert "about a minute" in lines[0]
    assert any("transporting every pixel" in line for line in lines)
    # Twenty steps are little more than means and covariances: the whole leaves 1/1000.
    result = _check(tmp_path / "demo", captured.out, ratio=4)
    assert result["pixels"] == 2 * 54 * 80
    assert result["kind"] == "network"


def test_neighbours_of_like_colour_move_alike_and_edges_stay():
    """A flat sky whose pixels move by noise is flat again; what moves as a whole moves so."""
    random = np.random.default_rng(0)
    picture = np.full((80, 120, 3), 0.9)
    picture[:, 60:] = [0.2, 0.5, 0.1]
    shift = np.where(picture[..., :1] > 0.5, [-0.5, 0.1, 0.0], [0.3, 0.2, 0.1])
    clean = picture + shift
    # The filter's edge, 0.01, is some tenth of the variance across this one: slopes are off by it.
    np.testing.assert_allclose(_demo._painted(picture, clean.reshape(-1, 3)), clean, atol=0.05)
    noisy = clean + 0.1 * random.normal(size=clean.shape)
    painted = _demo._painted(picture, noisy.reshape(-1, 3))
    inner = (slice(20, 60), slice(20, 40))
    # The mean of 41 x 41 pixels, taken twice.
    assert np.std((painted - clean)[inner]) < 3 * 0.1 / 41
    # A map that flattens keeps the picture's own detail.
    detail = picture + 0.02 * random.normal(size=picture.shape)
    kept = _demo._painted(detail, np.full((80 * 120, 3), 0.5))
    assert np.std(kept[inner]) > 0.5 * np.std(detail[inner] - picture[inner])


@pytest.mark.slow
def test_the_whole_demo_keeps_its_promises(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--json"]) == 0
    result = _check(tmp_path, capsys.readouterr().out, ratio=50)
    assert result["pixels"] == 2 * 273_280
    assert result["seconds"] < 60
