"""Tests of the image: calibrated where the target is reached, strong where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from brenier.certify._target_tests import _stein_p_value, target_tests
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
