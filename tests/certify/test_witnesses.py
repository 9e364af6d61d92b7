"""Asymmetry, monotonicity and rings see what is there, and nothing else."""

import numpy as np
import pytest

from brenier.certify._black_box import BlackBox
from brenier.certify._witnesses import asymmetry_at, monotonicity, ring_test

_RANDOM = np.random.default_rng(0)
_X = _RANDOM.normal(size=(400, 2))


def _linear(matrix):
    return BlackBox(lambda x: x @ np.asarray(matrix).T)


def _ring(matrix):
    box = _linear(matrix)
    return ring_test(box, _X, asymmetry_at(box, _X))


def test_asymmetry_of_a_linear_map():
    found = asymmetry_at(_linear([[2.0, 0.5], [0.1, 1.0]]), _X)
    size = np.sqrt(4.0 + 0.25 + 0.01 + 1.0)
    assert found.mean == pytest.approx(np.sqrt(2) * 0.2 / size, abs=1e-9)
    assert found.negative_share == 0.0


def test_asymmetry_finds_where_it_is_largest():
    # DT − DTᵀ ∝ x₁: a shear that grows along the first axis.
    box = BlackBox(lambda x: x + 0.05 * np.stack([np.zeros(len(x)), x[:, 0] ** 2], axis=1))
    found = asymmetry_at(box, _X)
    assert abs(found.argmax[0]) == pytest.approx(np.abs(_X[:, 0]).max())


@pytest.mark.parametrize("d", [2, 30])
def test_a_point_that_jumps_spoils_no_other(d):
    turn = np.eye(d)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    points = np.random.default_rng(3).normal(size=(200, d))
    points[7] = 0.0  # where the map jumps by 10 along its first axis
    jumps = BlackBox(lambda x: x @ turn.T + 10.0 * (x[:, :1] > 0) * np.eye(d)[1])
    found, smooth = asymmetry_at(jumps, points), asymmetry_at(_linear(turn), points)
    assert 0.3 / 200 < found.error < 0.6 / 200
    assert found.visible
    assert found.argmax != (0.0,) * d
    assert found.max == pytest.approx(smooth.max, rel=1e-5)
    assert found.mean == pytest.approx(smooth.mean, abs=2.0 * found.error)


def test_asymmetry_by_probes_in_many_dimensions():
    d = 60
    matrix = np.eye(d) + 0.1 * np.random.default_rng(1).normal(size=(d, d))
    exact = np.linalg.norm(matrix - matrix.T) / (2.0 * np.linalg.norm(matrix))
    points = np.random.default_rng(2).normal(size=(300, d))
    found = asymmetry_at(_linear(matrix), points)
    error = found.values.std() / np.sqrt(found.n)
    # The root of an unbiased square is a little low: 1/(8 · 190) of it for 190 products.
    assert found.mean == pytest.approx(exact, abs=4 * error + 2e-3 * exact)


def test_a_symmetric_map_shows_nothing():
    found = asymmetry_at(_linear([[2.0, 0.5], [0.5, 1.0]]), _X)
    assert not found.visible
    assert found.negative_share == 0.0


@pytest.mark.parametrize("turn", [0.01, 0.1, -0.3, 1.0])
def test_a_ring_about_a_turn(turn):
    matrix = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    ring = _ring(matrix)
    assert ring.proven
    assert ring.threshold == pytest.approx(np.pi / abs(turn), rel=1e-6)
    # The two costs, added up again from the points alone.
    kept = np.sum((ring.points - ring.images) ** 2)
    shifted = np.sum((ring.points - np.roll(ring.images, -1, axis=0)) ** 2)
    assert kept - shifted == pytest.approx(ring.saving, rel=1e-6)
    assert f"{ring.k:,} points" in ring.proof()


def test_a_ring_in_other_metrics_and_dimensions():
    d = 5
    matrix = np.diag(np.arange(1.0, d + 1.0))
    matrix[1, 3], matrix[3, 1] = 0.2, -0.2
    box = _linear(matrix)
    x = np.random.default_rng(0).normal(size=(50, d))
    ring = ring_test(box, x, asymmetry_at(box, x))
    # S = diag(2, 4) in that plane: the turn of S^{-1/2} A S^{-1/2} is 0.2/√8.
    assert ring.threshold == pytest.approx(np.pi / np.arctan(0.2 / np.sqrt(8.0)), rel=1e-6)
    assert ring.proven


def test_no_ring_against_a_monge_map():
    assert not _ring([[2.0, 0.5], [0.5, 1.0]]).proven


def test_rounding_is_no_proof():
    matrix = np.array([[1.0, 1e-5], [-1e-5, 2.0]])
    box = BlackBox(lambda x: (x @ matrix.T).astype(np.float32))
    box(_X)
    assert not ring_test(box, _X, asymmetry_at(box, _X)).proven


def test_two_points_suffice_against_a_reflection():
    ring = _ring([[1.0, 0.0], [0.0, -1.0]])
    assert (ring.k, ring.proven) == (2, True)


def test_monotonicity_of_a_map_of_the_line():
    x = np.random.default_rng(0).normal(size=(300, 1))
    down, swap = monotonicity(x, -2.0 * x, 0, 0.95, np.random.default_rng(1))
    up, none = monotonicity(x, 2.0 * x, 0, 0.95, np.random.default_rng(1))
    assert none is None
    assert swap.saving == pytest.approx(4.0 * np.ptp(x) ** 2)
    kept = np.sum((swap.points - swap.images) ** 2)
    assert kept - np.sum((swap.points - swap.images[::-1]) ** 2) == pytest.approx(swap.saving)
    assert (down.violated_share, up.violated_share) == (1.0, 0.0)
    assert (down.min, up.min) == (pytest.approx(-2.0), pytest.approx(2.0))
    # Of 300 draws, 150 independent pairs.
    assert up.violated_upper == pytest.approx(1.0 - 0.05 ** (1 / 150))
