"""Means and medians of distances."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist

from brenier.numerics import energy_distance_squared, mean_distance, median_squared_distance

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("d", [2, 20])
def test_energy_distance_against_scipy(d):
    # More points than a tile, and not a multiple of it; far from 0, where squares lose digits.
    x = RNG.standard_normal((1300, d)) + 100.0
    y = RNG.standard_normal((1100, d)) + 100.1
    expected = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    # A difference of numbers of size √d, each to rounding.
    np.testing.assert_allclose(energy_distance_squared(x, y), expected, atol=1e-13 * d)
    if d == 2:
        single = energy_distance_squared((x - 100).astype(np.float32), (y - 100).astype(np.float32))
        # Float32 pairs, of errors that average out: sums are in float64.
        np.testing.assert_allclose(single, expected, atol=1e-7)


def test_distance_of_a_cloud_to_itself():
    for x in (RNG.standard_normal((7, 2)), RNG.standard_normal((7, 12)) + 10.0):
        np.testing.assert_allclose(mean_distance(x), cdist(x, x).mean(), rtol=1e-14)
        # Past d = 8 the cross term sees coinciding points √u|x| apart, a share 1/n of the pairs.
        assert abs(float(energy_distance_squared(x, x))) < (1e-14 if x.shape[1] <= 8 else 1e-6)


def test_weights_are_multiplicities():
    x, y = RNG.standard_normal((5, 2)), RNG.standard_normal((4, 2))
    counts = np.array([1, 2, 0, 3, 1])
    weighted = energy_distance_squared(x, y, counts / counts.sum())
    np.testing.assert_allclose(weighted, energy_distance_squared(np.repeat(x, counts, axis=0), y))


@pytest.mark.parametrize("unit", [1.0, 1e-300, 1e300], ids=["one", "tiny", "huge"])
def test_weighted_energy_distance_is_the_double_sum(unit):
    """More points than a tile, weights of no known sum: against every pair, added up."""
    x, y = RNG.standard_normal((1300, 3)), RNG.standard_normal((1100, 3)) + 0.5
    a, b = RNG.exponential(size=1300), RNG.exponential(size=1100)
    a[:7], b[3] = 0.0, 0.0

    def mean(one, other, first, second):
        return first @ cdist(one, other) @ second / (first.sum() * second.sum())

    expected = 2.0 * mean(x, y, a, b) - mean(x, x, a, a) - mean(y, y, b, b)
    found = energy_distance_squared(x, y, unit * a, unit * b)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    dropped = energy_distance_squared(x[7:], y, a[7:], b)
    np.testing.assert_allclose(found, dropped, atol=1e-13)
    # Of a traced program, too.
    np.testing.assert_allclose(jax.jit(energy_distance_squared)(x, y, a, b), expected, atol=1e-13)


def test_equal_weights_are_none():
    x, y = RNG.standard_normal((7, 2)), RNG.standard_normal((5, 2))
    equal = energy_distance_squared(x, y, np.full(7, 0.3))  # another program: sums in another order
    np.testing.assert_allclose(equal, energy_distance_squared(x, y), rtol=1e-14)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(4), r"y_weights: got shape \(4,\); wants one weight for each of 5"),
        ([1.0, 1.0, -1.0, 1.0, 1.0], "y_weights: got 1 negative, NaN or infinite"),
        ([1.0, np.nan, 1.0, 1.0, 1.0], "y_weights: got 1 negative, NaN or infinite"),
        (np.zeros(5), "y_weights: got weights that are all zero"),
    ],
)
def test_bad_weights_are_named(weights, message):
    x, y = RNG.standard_normal((7, 2)), RNG.standard_normal((5, 2))
    with pytest.raises(ValueError, match=message):
        energy_distance_squared(x, y, None, weights)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=14, max_size=14))
def test_energy_distance_is_a_squared_distance(numbers):
    x, y = np.array(numbers).reshape(7, 2)[:3], np.array(numbers).reshape(7, 2)[3:]
    value = float(energy_distance_squared(x, y))
    assert value >= -1e-10  # rounding of distances up to 1e3·√8
    assert value == pytest.approx(float(energy_distance_squared(y, x)), abs=1e-10)


@pytest.mark.parametrize(
    "cloud",
    [
        RNG.standard_normal((101, 2)),
        RNG.standard_cauchy((101, 1)),
        RNG.standard_normal((2, 3)),
        1e-150 * RNG.standard_normal((101, 2)),
        1e20 * RNG.standard_normal((101, 12)),
    ],
    ids=["normal", "heavy tails", "two points", "tiny", "huge"],
)
def test_median_to_the_promised_accuracy(cloud):
    np.testing.assert_allclose(
        median_squared_distance(cloud), np.median(pdist(cloud, "sqeuclidean")), rtol=1e-3
    )


def test_median_of_many_and_of_equal_points():
    cloud = RNG.standard_normal((3000, 2))
    # Over 300 of the points: the median of a statistic of 300, known to about 1/√300.
    few = median_squared_distance(cloud, max_points=300)
    np.testing.assert_allclose(few, median_squared_distance(cloud), rtol=0.2)
    assert float(median_squared_distance(np.ones((5, 2)))) == 0.0
    assert float(median_squared_distance(np.ones((1, 2)))) == 0.0
