"""The benchmark of known maps: its pairs, its errors and what it does without a peer."""

import importlib

import numpy as np
import pytest

from brenier.cli import register_experiments


@pytest.fixture(scope="module")
def pairs():
    register_experiments()
    return importlib.import_module("brenier._experiments.w2._pairs")


@pytest.fixture
def file(tmp_path):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 300, 2))
    path = tmp_path / "stretch.npz"
    np.savez(path, x_train=x, y_train=3.0 * y, x_test=x[:50], t_test=3.0 * x[:50])
    return path


def test_a_file_is_a_pair_and_the_gaussian_map_knows_a_stretch(pairs, file):
    own = pairs.pair(file, 0)
    map = pairs.gaussian_map(own)
    found = pairs.errors(map, map.inverse(), own)
    # 300 points a side: a few per cent of a standard deviation.
    assert found["l2_uvp"] < 3.0
    assert found["l2_uvp_inverse"] < 3.0
    assert found["cosine"] > 0.98
    # Standing still misses two thirds of three standard deviations.
    still = pairs.errors(lambda x: x, lambda y: y, own)
    assert still["l2_uvp"] == pytest.approx(100.0 * 4.0 / 9.0, rel=0.2)


def test_a_file_without_the_arrays(pairs, tmp_path):
    np.savez(tmp_path / "half.npz", x_train=np.eye(2))
    with pytest.raises(ValueError, match=r"--data: got .*half.npz without \['t_test'"):
        pairs.pair(tmp_path / "half.npz", 0)


def test_a_missing_peer_is_told(monkeypatch):
    register_experiments()
    methods = importlib.import_module("brenier._experiments.w2._methods")
    monkeypatch.setattr(methods, "ott_version", lambda: None)
    assert "not installed" in methods.absent("ott_enot")
    assert methods.absent("brenier") is None
