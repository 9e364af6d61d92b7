"""Chebyshev grids against polynomials and closed forms."""

import numpy as np
import pytest
from scipy.special import erf

from brenier.numerics._chebyshev import (
    chebyshev_derivative,
    chebyshev_nodes,
    chebyshev_rows,
    chebyshev_weights,
    fejer_rule,
    heat_matrix,
)


@pytest.mark.parametrize("count", [8, 9])
def test_exact_for_polynomials(count):
    y = chebyshev_nodes(count, -1.0, 2.0)
    assert y[0] == -1.0
    assert y[-1] == 2.0
    powers = np.arange(count)
    values = y[:, None] ** powers
    slopes = powers * y[:, None] ** np.maximum(powers - 1, 0)
    # Powers of 2 up to 2⁸ with their factors, in units of rounding.
    np.testing.assert_allclose(chebyshev_derivative(y) @ values, slopes, atol=1e-10)
    integrals = (2.0 ** (powers + 1) - (-1.0) ** (powers + 1)) / (powers + 1)
    np.testing.assert_allclose(chebyshev_weights(y) @ values, integrals, rtol=1e-12)
    places = np.array([-1.0, -0.3, y[3], 1.7, 2.0, 2.1, -5.0])
    exact = places[:, None] ** powers * ((places >= -1.0) & (places <= 2.0))[:, None]
    np.testing.assert_allclose(chebyshev_rows(places, y) @ values, exact, atol=1e-11)


@pytest.mark.parametrize("count", [1, 8, 9, 32])
def test_fejer_rule_is_exact_for_polynomials(count):
    """In both directions, and with every node strictly inside."""
    powers = np.arange(count)
    integrals = (2.0 ** (powers + 1) - (-1.0) ** (powers + 1)) / (powers + 1)
    for start, stop, sign in ((-1.0, 2.0, 1.0), (2.0, -1.0, -1.0)):
        y, weights = fejer_rule(count, start, stop)
        assert (np.diff(sign * y) > 0.0).all()
        assert -1.0 < y.min() <= y.max() < 2.0
        # Rounding of sums of weights |w| <= 1 by values up to 2³¹, beside integrals of that size.
        np.testing.assert_allclose(weights @ y[:, None] ** powers, sign * integrals, rtol=1e-12)


def test_fejer_rule_of_smooth_functions():
    """∫ eʸ and, with a singular derivative at an end, ∫ √y: geometric, and of order three."""
    y, weights = fejer_rule(16, -1.0, 1.0)
    np.testing.assert_allclose(weights @ np.exp(y), np.exp(1.0) - np.exp(-1.0), rtol=1e-14)
    errors = []
    for count in (16, 32):
        y, weights = fejer_rule(count, 0.0, 1.0)
        errors.append(abs(weights @ np.sqrt(y) - 2.0 / 3.0))
    assert 7.0 < errors[0] / errors[1] < 9.0


def test_errors_fall_geometrically():
    errors = []
    for count in (16, 32, 64):
        y = chebyshev_nodes(count, -4.0, 4.0)
        f = np.exp(-y * y)
        errors.append(
            [
                np.abs(chebyshev_derivative(y) @ f + 2.0 * y * f).max(),
                abs(chebyshev_weights(y) @ f - np.sqrt(np.pi) * erf(4.0)),
            ]
        )
    errors = np.array(errors)
    assert (errors[1] < 1e-2 * errors[0]).all()
    assert (errors[2] < 1e-9).all()


def test_heat_flow_of_a_gaussian():
    y = chebyshev_nodes(80, -9.0, 9.0)
    later = heat_matrix(y, 0.3) @ np.exp(-0.5 * y**2)
    exact = np.exp(-0.5 * y**2 / 1.6) / np.sqrt(1.6)
    np.testing.assert_allclose(later, exact, atol=1e-10)
