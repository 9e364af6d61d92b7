"""The bound of the columns' distance covers it, at laws with and without ties."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, ks_1samp, ks_2samp, norm

from brenier.certify._axis_distance import CLOSE, _radius, axis_distance
from brenier.measures import Gaussian, GaussianMixture, StandardNormal


@pytest.mark.parametrize("ties", [False, True])
def test_what_is_observed_is_that_of_kolmogorov_and_smirnov(ties):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(200, 3)), random.normal([0.0, 0.5, 0.1], size=(150, 3))
    if ties:
        x, y = np.round(x), np.round(y)
    found = axis_distance(x, y, level=0.95)
    expected = [ks_2samp(x[:, i], y[:, i]).statistic for i in range(3)]
    assert found.observed == pytest.approx(max(expected))
    assert found.axis == f"column {np.argmax(expected) + 1} of 3"
    assert found.tested == 150


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_bound_covers_the_distance_of_the_laws(shift):
    """sup|Φ(t) − Φ(t − s)| = 2Φ(s/2) − 1, in the last of four columns."""
    truth, missed = 2.0 * norm.cdf(shift / 2.0) - 1.0, 0
    for seed in range(150):
        random = np.random.default_rng(seed)
        x, y = random.normal(size=(60, 4)), random.normal(size=(40, 4))
        y[:, 3] += shift
        found = axis_distance(x, y, level=0.8)
        missed += found.upper < truth
        # Two-sided: where laws are equal the observed distance stays below the radius.
        missed += shift == 0.0 and 2.0 * found.observed > found.upper
    # At 1e-4: one in ten thousand such suites fails by chance.
    assert missed <= binom.isf(1e-4, 150, 0.2)


def test_two_errors_add_up_as_independent_ones():
    for n, m, alpha in ((50, 50, 0.05), (1000, 30, 0.001)):
        single = [np.sqrt(np.log(2.0 / alpha) / (2 * k)) for k in (n, m)]
        halves = [np.sqrt(np.log(4.0 / alpha) / (2 * k)) for k in (n, m)]
        assert max(single) < _radius(n, m, alpha) < sum(halves)
        # Of variables whose tails are the bounds themselves: a = √(log(2/U) / 2n).
        u = np.random.default_rng(0).uniform(size=(2, 400_000))
        drawn = sum(np.sqrt(np.log(2.0 / row) / (2 * k)) for row, k in zip(u, (n, m), strict=True))
        share = np.mean(drawn > _radius(n, m, alpha))
        assert share == pytest.approx(alpha, abs=0.02 * alpha + 4 * np.sqrt(alpha / 400_000))


@pytest.mark.parametrize("level", [0.9, 0.99])
def test_so_many_points_show_that_equal_laws_are_close(level):
    asked = axis_distance(np.zeros((5, 20)), np.zeros((5, 20)), level=level).points
    alpha = (1.0 - level) / 20
    assert 2.0 * _radius(asked, asked, alpha) <= CLOSE < 2.0 * _radius(asked - 40, asked, alpha)


@pytest.mark.parametrize(
    ("target", "columns"),
    [
        (StandardNormal(2), [norm(0.0, 1.0)] * 2),
        (Gaussian(jnp.ones(2), jnp.array([[4.0, 1.0], [1.0, 9.0]])), [norm(1.0, 2.0), norm(1, 3)]),
        (
            GaussianMixture(jnp.ones(1), jnp.ones((1, 2)), 4.0 * jnp.eye(2)[None]),
            [norm(1.0, 2.0)] * 2,
        ),
    ],
    ids=["standard", "gaussian", "mixture"],
)
def test_a_known_law_needs_no_sample_of_it(target, columns):
    x = np.random.default_rng(0).normal(size=(200, 2))
    found = axis_distance(x, x, level=0.95, target=target)
    expected = max(ks_1samp(x[:, i], columns[i].cdf).statistic for i in range(2))
    assert found.observed == pytest.approx(expected, abs=1e-6)
    assert found.upper == pytest.approx(expected + np.sqrt(np.log(80.0) / 400.0), abs=1e-6)
    assert found.points < axis_distance(x, x, level=0.95).points
