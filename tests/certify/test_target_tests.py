"""Tests of the image: calibrated where the target is reached, strong where it is not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from brenier.certify._target_tests import _permutations, _stein_p_value, target_tests
from brenier.certify._verdict import _target
from brenier.measures import Gaussian

_STANDARD = Gaussian.standard(2)


def _run(first, second, seed=0, target=None):
    random = np.random.default_rng(seed)
    return target_tests(first, second, random, level=0.95, target=target)


def test_p_values_are_uniform_where_the_target_is_reached():
    found = []
    for seed in range(25):
        random = np.random.default_rng(seed)
        x, y = random.normal(size=(60, 2)), random.normal(size=(80, 2))
        tests = _run(x, y, seed, _STANDARD)
        found.append((tests.p_value, tests.stein_p_value))
    for column in np.transpose(found):
        # At 1e-4: one in ten thousand such suites fails by chance.
        assert kstest(column, "uniform").pvalue > 1e-4


def test_a_shift_and_a_change_of_scale_are_seen():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2, 500, 2))
    assert _run(x + 0.5, y, target=_STANDARD).p_value == pytest.approx(0.001)
    wide = _run(1.5 * x, y, target=_STANDARD)
    assert wide.p_value < 0.01
    assert wide.stein_p_value < 0.01
    assert wide.sliced_w2 > 2.0 * wide.sliced_w2_floor


def test_sliced_w2_of_a_shift():
    x = np.random.default_rng(0).normal(size=(300, 2))
    tests = _run(x + np.array([3.0, 0.0]), x)
    # E⟨θ, (3, 0)⟩² = 9/2 over directions; 200 of them err by 9/√(8·200).
    assert tests.sliced_w2**2 == pytest.approx(4.5, abs=4 * 9 / np.sqrt(8 * 200))


def test_without_a_density_there_is_no_stein_test():
    x = np.random.default_rng(0).normal(size=(60, 2))
    assert np.isnan(_run(x, x).stein_p_value)


@pytest.fixture(scope="module")
def equal():
    return _run(*np.random.default_rng(0).normal(size=(2, 12_000, 2)))


def test_reached_wants_every_column_to_be_close(equal):
    word, reason = _target(equal, 0.95)
    assert word == "reached"
    assert f"no column is off by more than {100 * equal.axis_distance_upper:.3g} %" in reason
    x, y = np.random.default_rng(1).normal(size=(2, 3600, 2))
    # Too few for the bound, whatever they show: the number of points is that of the bound.
    word, reason = _target(_run(x[:1000], y[:1000]), 0.95)
    assert word == "undecided"
    assert "equal laws show it from about 11,000 points on" in reason
    # A law that is known needs images alone, and fewer.
    known = _run(x[:1000], y[:1000], target=_STANDARD)
    assert "from about 3,600 points on" in _target(known, 0.95)[1]
    assert _target(_run(x, y[:1000], target=_STANDARD), 0.95)[0] == "reached"


def test_a_difference_is_named_by_its_test_and_its_feature():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 1000, 50))
    x[:, 2] *= 0.5
    word, reason = _target(_run(x, y), 0.95)
    assert word == "not reached"
    assert "most in the spread of column 3 of 50, smaller in the images" in reason
    assert "feature test, p = 0.001" in reason
    both = _target(_run(x + 1.0, y), 0.95)[1]
    assert "energy test, p = 0.001, effect" in both
    assert "of the energy between them; feature test, p = 0.001, by" in both


def test_no_number_of_points_is_promised_where_none_follows(equal):
    apart = dataclasses.replace(equal, axis_distance_upper=0.06)
    word, reason = _target(apart, 0.95)
    assert word == "undecided"
    assert "equal laws would be closer at this number of points" in reason
    hidden = dataclasses.replace(equal, effect_upper=0.003)
    word, reason = _target(hidden, 0.95)
    assert word == "undecided"
    assert "could hide" in reason
    assert "points on" not in reason


def test_three_tests_share_the_level():
    tests = _run(*np.random.default_rng(0).normal(size=(2, 100, 2)), target=_STANDARD)
    assert tests.p_values().keys() == {"energy", "feature", "Stein"}
    for p, expected in ((0.05 / 3, "not reached"), (0.02, "undecided")):
        for name in ("p_value", "feature_p_value", "stein_p_value"):
            ones = {"p_value": 0.9, "feature_p_value": 0.9, "stein_p_value": 0.9, name: p}
            assert _target(dataclasses.replace(tests, **ones), 0.95)[0] == expected
    # At a high level each of them can still reject.
    assert _permutations(0.95) == 999
    assert 1.0 / (1 + _permutations(0.999)) <= 0.001 / 3


@pytest.mark.slow
def test_the_stein_kernel_is_that_of_automatic_differentiation(monkeypatch):
    x = np.random.default_rng(0).normal(size=(7, 3))
    score = np.asarray(Gaussian.standard(3).score(x))
    width = float(np.median(np.sum((x[:, None] - x[None]) ** 2, -1)[np.triu_indices(7, 1)]))

    def kernel(a, b):
        return (1.0 + jnp.sum((a - b) ** 2) / width) ** -0.5

    def stein(a, b, s, t):
        mixed = jnp.trace(jax.jacfwd(jax.grad(kernel), argnums=1)(a, b))
        along = s @ jax.grad(kernel, argnums=1)(a, b) + t @ jax.grad(kernel)(a, b)
        return kernel(a, b) * (s @ t) + along + mixed

    expected = np.array(
        [
            [stein(a, b, s, t) for b, t in zip(x, score, strict=True)]
            for a, s in zip(x, score, strict=True)
        ]
    )
    np.fill_diagonal(expected, 0.0)
    seen = []
    monkeypatch.setattr(np, "fill_diagonal", lambda matrix, _: seen.append(matrix))
    _stein_p_value(x, score, np.random.default_rng(0))
    np.testing.assert_allclose(seen[0] - np.diag(np.diag(seen[0])), expected, atol=1e-12)
