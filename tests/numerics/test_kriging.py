"""Regression over categories and numbers, against what is known of it."""

import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics import Kriging, code_columns, code_length


def test_values_told_exactly_are_given_back():
    knots = np.linspace(-1.5, 1.5, 6)[:, None]
    values = np.stack([np.sin(knots[:, 0]), 3.0 - knots[:, 0]], axis=1)
    f = Kriging.fit(knots, (0,), values, noise=np.full(6, 1e-10), groups=np.arange(2))
    found = np.stack([f(knot) for knot in knots])
    np.testing.assert_allclose(found, values, atol=1e-4)


def test_a_smooth_function_is_interpolated_and_a_line_is_extrapolated():
    knots = np.linspace(-1.5, 1.5, 7)[:, None]
    between = 0.5 * (knots[1:, 0] + knots[:-1, 0])
    values = np.stack([np.sin(2.0 * knots[:, 0]), 2.0 * knots[:, 0] + 1.0], axis=1)
    f = Kriging.fit(knots, (0,), values, noise=np.full(7, 1e-10), groups=np.arange(2))
    found = np.stack([f((place,)) for place in between])
    # An interpolant of 7 points of one wave: errors of the eighth derivative.
    np.testing.assert_allclose(found[:, 0], np.sin(2.0 * between), atol=5e-3)
    np.testing.assert_allclose(found[:, 1], 2.0 * between + 1.0, atol=1e-5)


def test_noise_alone_is_taken_for_that():
    r = np.random.default_rng(0)
    values = 5.0 + 0.1 * r.normal(size=(12, 40))
    f = Kriging.fit(np.eye(12), (12,), values, noise=np.full(12, 0.01))
    # Of 40 columns of pure noise the mean is left, within chance.
    assert np.abs(np.asarray(f(np.eye(12)[0])) - values.mean(axis=0)).max() < 0.03


def test_a_category_not_seen_gets_the_mean_in_which_much_noise_counts_little():
    values, noise = np.array([[0.0], [1.0], [9.0]]), np.array([1e-6, 1e-6, 1e3])
    f = Kriging.fit(np.eye(3), (3,), values, noise=noise)
    assert abs(float(f(np.zeros(3))[0]) - 0.5) < 0.3  # the plain mean is 3.3
    own = [float(f(code)[0]) for code in np.eye(3)]
    np.testing.assert_allclose(own[:2], [0.0, 1.0], atol=1e-3)
    assert own[2] < 1.0


def test_a_pair_not_seen_is_told_by_its_parts():
    """Two categories and a number: what adds up is carried to a combination that was not there."""
    places = [(kind, dose) for kind in range(2) for dose in (-1.0, 0.0, 1.0)]
    knots = np.array([[float(kind == 0), float(kind == 1), dose] for kind, dose in places])
    values = np.array([[3.0 * kind + dose] for kind, dose in places])
    f = Kriging.fit(knots[:-1], (2, 0), values[:-1], noise=np.full(5, 1e-6))
    # Beside the mean of all, 1.4: most of the way to 4.
    assert 3.0 < float(f(knots[-1])[0]) < 4.5


def test_one_place_alone_is_its_own_value():
    f = Kriging.fit(np.ones((1, 1)), (1,), np.array([[2.0, 3.0]]), noise=np.ones(1))
    np.testing.assert_allclose(f(np.zeros(1)), [2.0, 3.0], atol=1e-12)


def test_the_code_of_a_place():
    assert code_length((3, 0, 1)) == 5
    assert [(c.start, c.stop) for c in code_columns((3, 0, 1))] == [(0, 3), (3, 4), (4, 5)]
    ones = (jnp.eye(3), jnp.ones((1, 1)), jnp.ones((3, 1)), jnp.ones(()))
    with pytest.raises(ValueError, match=r"layout: got \(2,\); wants one for places of 3"):
        Kriging(*ones, (2,))
