"""Separable soft convolutions against a plain log-sum-exp, in any number of blocks."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from brenier.numerics import grid_sinkhorn, soft_convolution, squared_gaps

X = [np.linspace(0.0, 1.0, 9), np.linspace(-1.0, 1.0, 12)]
Y = [np.linspace(-0.5, 1.5, 10), np.linspace(-1.0, 2.0, 7)]
GAPS = [squared_gaps(x, y) for x, y in zip(X, Y, strict=True)]


def _plain(values, epsilon):
    first, second = (-0.5 * gap[0] / epsilon for gap in GAPS)
    total = first[:, None, :, None] + second[None, :, None, :] + values
    return logsumexp(total, axis=(2, 3))


@pytest.mark.parametrize(
    ("epsilon", "blocks", "size"), [(0.5, 1, 30.0), (1e-3, 4, 900.0), (1e-4, 12, 1e5)]
)
def test_a_soft_convolution_is_a_log_sum_exp(epsilon, blocks, size):
    values = size * np.random.default_rng(0).uniform(-0.5, 0.5, (9, 12))
    found = soft_convolution(jnp.asarray(values), GAPS, epsilon=epsilon, blocks=blocks)
    np.testing.assert_allclose(found, _plain(values, epsilon), rtol=1e-13, atol=1e-10)


def test_steep_exponents_are_told():
    values = jnp.zeros(12)
    gaps = (squared_gaps(X[1], X[1]),)
    steep = jnp.asarray(np.random.default_rng(1).uniform(0.0, 1.0, 12))
    end = grid_sinkhorn(steep, values, values, gaps, epsilon=1e-3, sweeps=1)
    assert float(end.steepest) > 600.0
    whole = grid_sinkhorn(steep, values, values, gaps, epsilon=1e-3, sweeps=1, blocks=12)
    assert float(whole.steepest) < 600.0
    assert bool(jnp.isfinite(whole.u).all())


def test_periodic_gaps_sum_over_copies():
    x = np.linspace(0.0, 5.0, 8, endpoint=False)
    found = soft_convolution(jnp.zeros(8), [squared_gaps(x, x, 5.0)], epsilon=2.0)
    copies = x[:, None, None] - x[:, None] + 5.0 * np.arange(-9, 10)
    wanted = logsumexp(-0.25 * copies**2, axis=(1, 2))
    np.testing.assert_allclose(found, wanted, rtol=1e-13)
