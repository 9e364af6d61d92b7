"""The benchmark of known maps: its pairs, its errors and what it does without a peer."""

import numpy as np
import pytest

from brenier.experiments.w2 import _methods, _pairs


@pytest.fixture
def file(tmp_path):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 300, 2))
    path = tmp_path / "stretch.npz"
    np.savez(path, x_train=x, y_train=3.0 * y, x_test=x[:50], t_test=3.0 * x[:50])
    return path


def test_a_file_is_a_pair_and_the_gaussian_map_knows_a_stretch(file):
    own = _pairs.pair(file, 0)
    map = _pairs.gaussian_map(own)
    found = _pairs.errors(map, map.inverse(), own)
    # 300 points a side: a few per cent of a standard deviation.
    assert found["l2_uvp"] < 3.0
    assert found["l2_uvp_inverse"] < 3.0
    assert found["cosine"] > 0.98
    # Standing still misses two thirds of three standard deviations.
    still = _pairs.errors(lambda x: x, lambda y: y, own)
    assert still["l2_uvp"] == pytest.approx(100.0 * 4.0 / 9.0, rel=0.2)


def test_a_file_without_the_arrays(tmp_path):
    np.savez(tmp_path / "half.npz", x_train=np.eye(2))
    with pytest.raises(ValueError, match=r"--data: got .*half.npz without \['t_test'"):
        _pairs.pair(tmp_path / "half.npz", 0)


def test_a_missing_peer_is_told(monkeypatch):
    monkeypatch.setattr(_methods, "ott_version", lambda: None)
    assert "not installed" in _methods.absent("ott_enot", 2)
    assert _methods.absent("brenier", 2) is None


def test_a_file_is_no_law(file):
    assert "no more points" in _methods.absent("brenier_unlimited", file)
    assert _methods.absent("brenier_unlimited", 2) is None
