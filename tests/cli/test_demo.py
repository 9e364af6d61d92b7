"""``brenier demo``: its files and its words with a map in closed form; the whole is a slow test."""

import json
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

import brenier
from brenier.cli import _demo, main
from brenier.maps import GradientMap
from brenier.numerics import gaussian_map_matrix
from brenier.potentials import Quadratic

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


def _gaussian_fit(source, target, seed, progress, method):
    matrix = gaussian_map_matrix(jnp.asarray(np.cov(source.T)), jnp.asarray(np.cov(target.T)))
    shift = jnp.asarray(target.mean(axis=0)) - matrix @ jnp.asarray(source.mean(axis=0))
    map = GradientMap(Quadratic.from_matrix(matrix, shift))
    return SimpleNamespace(map_=map, solution_=brenier.Solution(map, brenier.Result.successful))


def test_the_demo_writes_and_says_what_it_did(tmp_path, monkeypatch, capsys):
    load = sklearn.datasets.load_sample_image
    monkeypatch.setattr(sklearn.datasets, "load_sample_image", lambda name: load(name)[::8, ::8])
    monkeypatch.setattr(_demo, "_SAMPLE", 2000)
    monkeypatch.setattr(_demo, "fitted", _gaussian_fit)
    assert main(["demo", "--out", str(tmp_path / "demo"), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    # Means and covariances agree, no more: a fifth is left, where a fitted map leaves 1/500.
    result = _check(tmp_path / "demo", captured.out, ratio=4)
    assert result["pixels"] == 2 * 54 * 80


@pytest.mark.slow
def test_the_whole_demo_keeps_its_promises(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--json"]) == 0
    result = _check(tmp_path, capsys.readouterr().out, ratio=50)
    assert result["pixels"] == 2 * 273_280
    assert result["seconds"] < 60
