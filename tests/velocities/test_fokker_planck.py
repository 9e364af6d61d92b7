"""The Fokker-Planck equation on a grid: Gaussian closed forms, order, stationarity, mass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from brenier.grids import Box, Torus
from brenier.measures import Empirical, Gaussian, GaussianMixture, Gibbs
from brenier.velocities import FlowMap, FokkerPlanckVelocity

START = Gaussian(np.array([0.6, -0.4]), np.array([[0.5, 0.2], [0.2, 0.4]]))
X = np.array([[0.3, 0.1], [1.2, -0.9], [-0.5, 0.8]])
TIME = 0.4


def _bowl(x):
    return 0.5 * (x @ x)


def _box(n):
    return Box([-5.0] * 2, [5.0] * 2, [n, n])


def _law(t):
    """The Ornstein-Uhlenbeck law of START: its mean and covariance."""
    decay = np.exp(-t)
    return decay * np.asarray(START.mean), np.eye(2) + decay**2 * (
        np.asarray(START.covariance) - np.eye(2)
    )


@pytest.fixture(scope="module")
def bowls():
    return {
        n: FokkerPlanckVelocity.towards(START, _bowl, _box(n), TIME, moments=24) for n in (33, 65)
    }


def _errors(velocity):
    worst = 0.0
    for t in (0.0, 0.03, 0.17, TIME):
        mean, covariance = _law(t)
        exact = -X + np.linalg.solve(covariance, (X - mean).T).T
        worst = max(worst, np.abs(np.asarray(velocity(t, X)) - exact).max())
    return worst


def test_of_a_gaussian_it_is_the_closed_form_at_order_two(bowls):
    coarse, fine = _errors(bowls[33]), _errors(bowls[65])
    # h²/6 = 0.004 times derivatives of log ν, up to 5 here.
    assert fine < 0.025
    assert 1.7 < np.log2(coarse / fine) < 2.3


@pytest.mark.slow
def test_the_flow_map_of_a_gaussian(bowls):
    mean, covariance = _law(TIME)
    matrix = (sqrtm(covariance) @ np.linalg.inv(sqrtm(np.asarray(START.covariance)))).real
    exact = mean + (X - np.asarray(START.mean)) @ matrix.T
    # The error of the velocity, times the time.
    np.testing.assert_allclose(FlowMap(bowls[65], 0.0, TIME, tolerance=1e-6)(X), exact, atol=0.02)


@pytest.mark.slow
def test_mass_is_conserved_and_entropy_falls(bowls):
    grid, velocity = _box(65), bowls[65]
    nodes = jnp.asarray(grid.points())
    pi = np.exp(-0.5 * np.sum(grid.points() ** 2, axis=-1))
    pi /= grid.integral(pi)
    entropies = []
    for t in (0.0, 0.1, 0.2, TIME):
        look = jnp.vectorize(
            lambda x, t=t: velocity.log_relative_density(jnp.asarray(t), x), signature="(d)->()"
        )
        logs = np.asarray(jax.jit(look)(nodes))
        # To rounding at the moments solved for; between them by interpolation in time.
        assert grid.integral(np.exp(logs) * pi) == pytest.approx(1.0, abs=1e-7)
        entropies.append(grid.integral(np.exp(logs) * pi * logs))
    assert np.all(np.diff(entropies) < 0)
    assert entropies[-1] > 0


def test_the_target_does_not_move():
    def wells(x):
        return 0.25 * (x[0] ** 2 - 1.5) ** 2 + 0.4 * x[0] * x[1] + x[1] ** 2

    grid = Box([-3.0] * 2, [3.0] * 2, [40, 40])
    nu = Gibbs(wells, 2)
    velocity = FokkerPlanckVelocity.towards(nu, nu, grid, 0.5, moments=12)
    np.testing.assert_allclose(velocity(0.3, X), 0.0, atol=1e-9)
    moving = FokkerPlanckVelocity.towards(START, nu, grid, 0.5, moments=12)
    score = jax.vmap(jax.grad(wells))(jnp.asarray(X)) + START.score(X)
    # At the start the velocity is known, whatever the potential.
    np.testing.assert_allclose(moving(0.0, X), -score, atol=1e-3)


@pytest.mark.slow
def test_the_heat_flow_of_a_mixture():
    mixture = GaussianMixture(
        np.array([0.4, 0.6]),
        np.array([[-1.0, 0.0], [0.8, 0.5]]),
        np.stack([0.4 * np.eye(2), 0.5 * np.eye(2)]),
    )
    box = Box([-7.0] * 2, [7.0] * 2, [85, 85])
    velocity = FokkerPlanckVelocity.towards(mixture, lambda x: 0.0 * x[0], box, 0.3, moments=16)
    later = GaussianMixture(
        mixture.weights, mixture.means, np.stack([(0.4 + 0.6) * np.eye(2), (0.5 + 0.6) * np.eye(2)])
    )
    np.testing.assert_allclose(velocity(0.3, X), -np.asarray(later.score(X)), atol=5e-3)


def test_bad_input_says_so():
    box = _box(16)
    with pytest.raises(ValueError, match="grid: got Torus of 2 axes; wants a Box of 2"):
        FokkerPlanckVelocity.towards(START, _bowl, Torus([0.0] * 2, [1.0] * 2, [16] * 2), 1.0)
    with pytest.raises(ValueError, match="initial: got Empirical, which has no density"):
        FokkerPlanckVelocity.towards(Empirical(X), _bowl, box, 1.0)
    with pytest.raises(ValueError, match=r"target: got a value that is not finite at"):
        FokkerPlanckVelocity.towards(START, lambda x: jnp.log(x[0]), box, 1.0)
    with pytest.raises(ValueError, match=r"duration: got -1\.0"):
        FokkerPlanckVelocity.towards(START, _bowl, box, -1.0)
    with pytest.raises(ValueError, match=r"grid: got .* jumps between nodes"):
        FokkerPlanckVelocity.towards(START, lambda x: 1e6 * _bowl(x), box, 10.0)
