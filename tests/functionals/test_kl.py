"""The relative entropy: exact against closed forms, estimated against exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.functionals import KL, ExactScore, Moving, SelfEntropicScore
from brenier.maps import AffineMap, GradientMap
from brenier.measures import Gaussian
from brenier.potentials import LogSumExp

_KEY = jax.random.key(0)


def test_exact_kl_of_gaussians_is_the_closed_form():
    source = Gaussian(jnp.zeros(2), jnp.array([[2.0, 0.6], [0.6, 0.5]]))
    map = AffineMap(jnp.array([[1.0, 0.2], [0.2, 2.0]]), jnp.array([0.3, -0.1]))
    x = source.sample(_KEY, 200_000)
    moving = Moving.pushed(map, source, x)
    covariance = map.matrix @ source.covariance @ map.matrix.T
    exact = 0.5 * (
        jnp.trace(covariance) + map.offset @ map.offset - 2 - jnp.linalg.slogdet(covariance)[1]
    )
    values = KL(ExactScore()).value(moving, Gaussian.standard(2), key=_KEY)
    # The integrand's standard deviation is below 3: five standard errors.
    assert abs(float(values - exact)) < 5 * 3 / np.sqrt(len(x))
    score = KL(ExactScore()).gradient(moving, Gaussian.standard(2), key=_KEY) - moving.points
    expected = -jnp.linalg.solve(covariance, (moving.points - map.offset).T).T
    np.testing.assert_allclose(score, expected, rtol=1e-9, atol=1e-9)


def test_gradient_is_the_derivative_of_the_value():
    """Moving all particles along a field w changes F by E⟨∇_W F, w⟩."""
    y = jax.random.normal(_KEY, (60, 2))
    w = jnp.sin(y[:, ::-1])
    target = Gaussian(jnp.ones(2), 2.0 * jnp.eye(2))
    functional = KL(SelfEntropicScore(epsilon=0.3))

    def value(step):
        return functional.value(Moving(y + step * w), target, key=_KEY)

    slope = (value(1e-4) - value(-1e-4)) / 2e-4
    gradient = functional.gradient(Moving(y), target, key=_KEY)
    # The self-transport is solved to 1e-6, over a difference of 2e-4 and its own ε.
    assert abs(float(jnp.mean(jnp.sum(gradient * w, axis=1)) / slope) - 1.0) < 2e-3


@pytest.mark.slow
def test_exact_gradient_of_a_bent_map_is_the_derivative_of_the_value():
    """Along tangents of the map's own parameters, where the value is E[log ρ − log det − log ν]."""
    source = Gaussian.standard(2)
    x = source.sample(_KEY, 100_000)
    potential = LogSumExp.identity(jax.random.key(1), 2, 5)
    bump = jnp.array([0.7, -0.4])

    def value(step):
        moved = GradientMap(
            LogSumExp(
                potential.slopes.at[0].add(step * bump),
                potential.offsets,
                potential.log_temperature,
                potential.log_modulus,
            )
        )
        moving = Moving.pushed(moved, source, x)
        return KL(ExactScore()).value(moving, source, key=_KEY), moving

    slope = (value(1e-3)[0] - value(-1e-3)[0]) / 2e-3
    field = (value(1e-3)[1].points - value(-1e-3)[1].points) / 2e-3
    gradient = KL(ExactScore()).gradient(value(0.0)[1], source, key=_KEY)
    terms = jnp.sum(gradient * field, axis=1)
    # Equal in expectation (an integration by parts), so five standard errors of the mean.
    error = 5 * float(jnp.std(terms)) / np.sqrt(len(x)) + 0.02 * abs(float(slope))
    assert abs(float(jnp.mean(terms) - slope)) < error


def test_estimated_entropy_and_score_approach_the_exact_ones():
    y = jax.random.normal(_KEY, (2000, 1))
    estimate = SelfEntropicScore(epsilon=0.05)
    entropy = -0.5 * (1.0 + np.log(2 * np.pi))
    # The bias is of order ε (smoothing), the noise of order n^{-1/2}.
    assert abs(float(estimate.negative_entropy(Moving(y))) - entropy) < 0.1
    inner = jnp.abs(y[:, 0]) < 1.5
    assert float(jnp.sqrt(jnp.mean((estimate.score(Moving(y)) + y)[inner] ** 2))) < 0.25


def test_the_exact_score_wants_to_know_the_map():
    with pytest.raises(ValueError, match=r"moving: got bare particles"):
        KL(ExactScore()).gradient(Moving(jnp.ones((3, 2))), Gaussian.standard(2), key=_KEY)


def test_epsilon_is_checked():
    with pytest.raises(ValueError, match="epsilon: got -1"):
        SelfEntropicScore(epsilon=-1.0)
