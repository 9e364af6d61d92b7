"""The probability flow of f γ: against mixtures, and under refinement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.grids import Torus
from brenier.measures import Gaussian, GaussianMixture
from brenier.velocities import FlowMap, MixtureVelocity, RatioVelocity

NORMAL = Gaussian.standard(2)
# One component is γ itself, the other narrower: f tends to the weight of the first.
MIXTURE = GaussianMixture(
    np.array([0.6, 0.4]),
    np.array([[0.0, 0.0], [0.7, -0.5]]),
    np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.2], [0.2, 0.3]]]),
)
X = 1.2 * jax.random.normal(jax.random.key(0), (20, 2))


def _ratio(x):
    return jnp.exp(MIXTURE.point_log_density(x) - NORMAL.point_log_density(x))


def _velocity(nodes):
    return RatioVelocity.from_ratio(_ratio, Torus([-12.0] * 2, [12.0] * 2, [nodes] * 2), level=0.6)


@pytest.fixture(scope="module")
def fine():
    return _velocity(128)


def test_it_is_the_velocity_of_a_mixture(fine):
    other = MixtureVelocity(MIXTURE)
    for a in (0.0, 0.3, 0.9, 1.0):
        np.testing.assert_allclose(fine(a, X), other(a, X), atol=1e-11)


@pytest.mark.slow
def test_the_encoders_and_their_jacobians_agree(fine):
    ours, other = (FlowMap(v, 1.0, 0.0).jacobian(X) for v in (fine, MixtureVelocity(MIXTURE)))
    np.testing.assert_allclose(ours, other, atol=1e-7)


@pytest.mark.slow
def test_it_converges_faster_than_any_power(fine):
    exact = fine(1.0, X)
    errors = [np.abs(_velocity(n)(1.0, X) - exact).max() for n in (48, 64, 96)]
    # More than order 10 would gain: errors of 2e-2, 3e-4 and 1e-9.
    assert errors[1] < errors[0] / (64 / 48) ** 10
    assert errors[2] < errors[1] / (96 / 64) ** 10


def test_the_ratio_is_that_of_the_diffused_mixture(fine):
    a = 0.8
    later = GaussianMixture(
        MIXTURE.weights,
        a * MIXTURE.means,
        a**2 * (MIXTURE.factors @ MIXTURE.factors.swapaxes(1, 2)) + (1 - a**2) * np.eye(2),
    )
    ratios = jax.jit(jax.vmap(lambda x: fine.ratio(jnp.asarray(a), x)))(X)
    np.testing.assert_allclose(
        ratios, jnp.exp(later.log_density(X) - NORMAL.log_density(X)), rtol=1e-11
    )


def test_what_is_no_ratio_says_so():
    grid = Torus([-8.0] * 2, [8.0] * 2, [32] * 2)
    cases = {
        "not negative": lambda x: 1.0 + 3.0 * x[0] * jnp.exp(-(x @ x)),
        "off its level, 1.0": lambda x: 1.0 + 0.1 * jnp.sin(x[0]),
        "wants 1 ": lambda x: 1.0 + jnp.exp(-(x @ x)),
    }
    for words, ratio in cases.items():
        with pytest.raises(ValueError, match=f"ratio: got .*{words}"):
            RatioVelocity.from_ratio(ratio, grid)
    with pytest.raises(ValueError, match="grid: got 1 axes; wants 2"):
        RatioVelocity.from_ratio(lambda x: 1.0 + 0.0 * x[0], Torus([0.0], [1.0], [16]))
