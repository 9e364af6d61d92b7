"""The feature test: of exact size at every law, strong where one column of many is off."""

import numpy as np
import pytest
from scipy.stats import binom

from brenier.certify._feature_test import feature_test


def _gaussian(random, n, d=50):
    return random.normal(size=(n, d))


def _flat(random, n, d):
    """One column of deviation 0."""
    x = random.normal(size=(n, d))
    x[:, 2] = 0.0
    return x


def _thin(random, n, d):
    x = random.normal(size=(n, d))
    x[:, 2] *= 0.5
    return x


def _signs(random, n, d):
    return random.choice([-1.0, 1.0], size=(n, d))


def _pair(random, n, d):
    """Two columns correlated by .9."""
    x = random.normal(size=(n, d))
    x[:, 7] = 0.9 * x[:, 2] + np.sqrt(0.19) * x[:, 7]
    return x


def _few_values(random, n, d):
    """Ties, a constant column and a copied one."""
    x = random.integers(0, 3, size=(n, d)).astype(float)
    x[:, 0], x[:, 1] = 0.1, x[:, 2]
    return x


@pytest.mark.parametrize(
    "law",
    [_gaussian, _few_values, lambda random, n, d: random.standard_cauchy(size=(n, d))],
    ids=["gaussian", "ties", "cauchy"],
)
def test_the_size_is_that_of_the_level(law):
    """Of 100 pairs of samples of one law, of unequal sizes, those with p ≤ .1 are binomial."""
    found = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        test = feature_test(law(random, 60, 4), law(random, 40, 4), random, permutations=99)
        found.append(test.p_value)
    # At 1e-4: one in ten thousand such suites fails by chance.
    assert np.sum(np.array(found) <= 0.1) <= binom.isf(1e-4, 100, 0.1)
    assert np.mean(found) > 0.4


@pytest.mark.parametrize(
    ("law", "where"),
    [
        (_flat, "column 3 of 50"),
        (_thin, "spread of column 3 of 50"),
        (_signs, "share above"),
        (_pair, "mostly columns 3 and 8 of 50"),
    ],
    ids=["deviation 0", "deviation .5", "signs", "pair"],
)
def test_one_column_of_fifty_is_seen_and_named(law, where):
    """The energy test sees 2 of 20 of these."""
    for seed in range(5):
        random = np.random.default_rng(seed)
        found = feature_test(law(random, 1000, 50), _gaussian(random, 1000), random)
        assert found.p_value == pytest.approx(0.001)
        assert where in found.feature


def test_the_side_and_the_size_of_the_difference():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(500, 1)), random.normal(size=(400, 1)) + 1.0
    found = feature_test(x, y, random)
    assert found.feature == "mean"
    # A shift of 1 beside a pooled variance of 1 + 1/4 · 80/81.
    assert found.difference == pytest.approx(-1.0 / np.sqrt(1.247), abs=4 * np.sqrt(2 / 450))
    assert found.tested == 400


def test_units_and_shifts_of_columns_change_nothing():
    random = np.random.default_rng(3)
    x, y = _thin(random, 150, 6) * [1.0, 1, 0.9, 1, 1, 1], random.normal(size=(200, 6))
    units, shifts = np.array([1e-9, 1e9, 3.0, 1.0, 0.1, 7.0]), np.array([0, 1e9, -5.0, 0, 2, 0])
    first = feature_test(x, y, np.random.default_rng(0))
    again = feature_test(x * units + shifts, y * units + shifts, np.random.default_rng(0))
    assert again.p_value == first.p_value
    assert again.feature == first.feature
    assert again.difference == pytest.approx(first.difference, rel=1e-4)


def test_copies_and_constants_differ_in_nothing():
    x = np.random.default_rng(0).normal(size=(80, 3))
    assert feature_test(x, x[::-1], np.random.default_rng(0)).p_value > 0.5
    nothing = feature_test(np.full((30, 3), 0.1), np.full((40, 3), 0.1), np.random.default_rng(0))
    assert (nothing.p_value, nothing.feature, nothing.difference) == (1.0, "", 0.0)
    apart = feature_test(np.full((30, 3), 0.1), np.full((40, 3), 0.2), np.random.default_rng(0))
    assert apart.p_value == pytest.approx(0.001)


def test_noise_about_a_hyperplane_is_seen_among_constant_columns():
    """One of 30 columns is the next one up to noise; no column alone shows how much."""
    random = np.random.default_rng(0)
    clouds = []
    for noise in (0.02, 0.03):
        x = np.zeros((300, 90))
        x[:, :30] = random.normal(size=(300, 30))
        x[:, 4] = x[:, 5] + noise * x[:, 4]
        clouds.append(x)
    found = feature_test(*clouds, random)
    assert found.p_value == pytest.approx(0.001)
    assert found.feature == "spread along a principal axis (mostly columns 5 and 6 of 90)"


def test_many_columns_are_looked_at_in_rows_that_are_few():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 1100, 784)).astype(np.float32)
    x[:, 99] *= 0.5
    found = feature_test(x, y, random, permutations=99)
    assert found.feature == "spread of column 100 of 784"
    assert found.p_value == pytest.approx(0.01)
    assert found.tested == 1000
