"""The bounds of the defect hold, and are as tight as they can be, where the defect is known."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from brenier.certify._defect import Growth, _extrapolated, _mean_below, defect_bounds
from brenier.certify._matching import cheaper_permutation
from brenier.certify._potential import fenchel_young, fitted_potentials
from brenier.potentials import LogSumExp, Quadratic

_TURN = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
_ROTATION_DEFECT = 4.0 * (1.0 - np.cos(0.3))


def _pairs(n, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 2))
    return x, x @ _TURN.T


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 700), st.integers(1, 3), st.integers(0, 10**6))
def test_a_cheaper_permutation_is_one_and_never_costs_more(n, d, seed):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, n, d))
    permutation = cheaper_permutation(x, y, x, 1, random)
    assert sorted(permutation) == list(range(n))
    assert np.sum(x * y[permutation]) >= np.sum(x * y) - 1e-12


def test_few_points_are_assigned_exactly():
    x, y = _pairs(250)
    permutation = cheaper_permutation(x, y, x, 1, np.random.default_rng(0))
    rows, columns = linear_sum_assignment(x @ y.T, maximize=True)
    np.testing.assert_allclose(np.sum(x * y[permutation]), np.sum(x[rows] * y[columns]), rtol=1e-12)


def test_many_points_come_close_to_the_exact_assignment():
    x, y = _pairs(1500)
    permutation = cheaper_permutation(x, y, x, 10, np.random.default_rng(0))
    rows, columns = linear_sum_assignment(x @ y.T, maximize=True)
    best = np.sum(x[rows] * y[columns]) - np.sum(x * y)
    assert np.sum(x * y[permutation]) - np.sum(x * y) > 0.97 * best


def test_images_of_a_monge_map_stay_where_they_are():
    x, _ = _pairs(1000)
    permutation = cheaper_permutation(x, 3.0 * x + 1e6, x, 2, np.random.default_rng(0))
    assert (permutation == np.arange(1000)).all()


@pytest.mark.parametrize(("n", "expected"), [(50, 0.023), (200, 0.099)])
def test_the_lower_statistic_is_that_of_math_5(n, expected):
    # One cell each: exact assignments. The values of MATH_5 have three digits.
    savings = []
    for seed in range(60):
        x, y = _pairs(n, seed)
        permutation = cheaper_permutation(x, y, x, 2, np.random.default_rng(seed))
        savings.append(2.0 * np.mean(np.sum(x * (y[permutation] - y), axis=1)))
    error = np.std(savings) / np.sqrt(len(savings))
    assert abs(np.mean(savings) - expected) < 4 * error + 5e-4


# The audit of a rotation has a fast test of its own.
@pytest.mark.slow
def test_the_interval_holds_the_defect_of_a_rotation():
    x, y = _pairs(2000)
    bounds = defect_bounds(x, y, jax.random.key(0), level=0.95, budget=1.0)
    assert bounds.lower < _ROTATION_DEFECT < bounds.upper
    assert bounds.upper - bounds.lower < 0.3 * _ROTATION_DEFECT
    assert [row.n for row in bounds.growth] == [125, 500, 2000]
    assert bounds.growth[0].mean < bounds.growth[1].mean < bounds.growth[2].mean


def test_no_defect_where_the_potential_is_given():
    x, _ = _pairs(500)
    bounds = defect_bounds(
        x, np.sinh(x), jax.random.key(0), level=0.95, budget=0.1, own=Quadratic.identity(2)
    )
    assert bounds.upper == bounds.lower == bounds.matched == 0.0
    assert bounds.points_moved == 0


@pytest.mark.slow
def test_a_bent_monge_map_is_bounded_closely():
    x, _ = _pairs(2000)
    y = x + 0.5 * np.tanh(2.0 * x)
    bounds = defect_bounds(x, y, jax.random.key(0), level=0.95, budget=0.1)
    gaussian = next(fitted_potentials(x, y, jax.random.key(0)))[1]
    assert bounds.lower == 0.0
    # The Gaussian map does not bend; the fitted potential must.
    assert bounds.upper < 0.1 * 2.0 * fenchel_young(gaussian, x, y).mean()


def test_fenchel_young_gaps_are_above_zero_and_exact_for_a_quadratic():
    x, y = np.random.default_rng(0).normal(size=(2, 50, 3))
    gaps = fenchel_young(Quadratic.identity(3), x, y)
    np.testing.assert_allclose(gaps, 0.5 * np.sum((x - y) ** 2, axis=1), rtol=1e-9)
    soft = LogSumExp.identity(jax.random.key(0), 3, 10)
    assert (fenchel_young(soft, x, y) >= 0).all()


def test_the_bound_of_a_mean_is_above_it_as_often_as_it_says():
    random = np.random.default_rng(0)
    above = [_mean_below(random.exponential(size=200), 0.95, random) > 1.0 for _ in range(300)]
    # 97.5 % is promised; 4 standard errors of 300 repetitions are 3.6 %.
    assert np.mean(above) > 0.975 - 0.036
    assert np.mean(above) < 1.0


def test_extrapolation_of_an_exact_power_law():
    growth = [Growth(n, 1, 2.0 - 3.0 * n**-0.5) for n in (100, 400, 1600)]
    assert _extrapolated(growth) == pytest.approx(2.0, rel=1e-12)
    assert np.isnan(_extrapolated(growth[:2]))


@pytest.mark.parametrize("d", [2, 7])
def test_one_image_beyond_all_others_does_not_spoil_the_upper_bound(d):
    # Two modes, each squeezed a hundredfold: nearly affine potentials fit, with a tiny modulus.
    random = np.random.default_rng(0)
    x = random.normal(size=(600, d))
    y = 0.01 * x
    y[:, 0] += np.sign(x[:, 0])
    far = 2.0 * np.abs(x).max() * np.ones((1, d))
    (_, _), (_, bent) = fitted_potentials(x, y, jax.random.key(0))
    images = 2.0 * np.abs(y).max() * np.ones((1, d))
    assert fenchel_young(bent, far, images)[0] < 10.0 * np.sum(far**2)


def test_fewer_pairs_than_dimensions_are_bounded_by_gaussian_maps_alone():
    """An input-convex network of 784 dimensions took minutes, and lost to it even at 400 pairs."""
    x = np.random.default_rng(0).normal(size=(20, 30))
    names = [name for name, _ in fitted_potentials(x, x + np.tanh(x), jax.random.key(0))]
    assert names == ["quadratic, of shrunk covariances", "quadratic, of the Gaussian map"]


def test_few_pairs_with_rare_coordinates_are_bounded_by_less_than_their_cost():
    """As pixels that few images have: sample covariances alone gave 740 times the cost."""
    random = np.random.default_rng(0)
    codes = random.normal(size=(300, 200))
    x = codes * (random.random(codes.shape) < 0.01)
    found = defect_bounds(x, codes, jax.random.key(0), level=0.95, budget=1.0)
    assert found.upper < 0.5 * np.mean(np.sum((x - codes) ** 2, axis=1))


def test_few_pairs_of_a_constant_map_have_no_defect():
    """Images that are one point have no covariance to shrink: the first candidate was NaN."""
    x = np.random.default_rng(0).normal(size=(100, 20))
    found = defect_bounds(x, np.ones_like(x), jax.random.key(0), level=0.95, budget=1.0)
    assert found.upper <= 1e-12 * np.mean(np.sum((x - 1.0) ** 2, axis=1))
