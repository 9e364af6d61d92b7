"""Learned flow matching: it reaches its target, and its coupling decides how cheaply."""

import jax
import numpy as np
import pytest

import brenier
from brenier.maps import AffineMap
from brenier.measures import Empirical, Gaussian
from brenier.numerics import gaussian_map_matrix
from brenier.velocities import FlowMap, MatchingVelocity, fit_velocity

KEY = jax.random.key(0)
SOURCE = Gaussian(np.zeros(2), np.array([[4.0, 0.0], [0.0, 0.25]]))
TARGET = Gaussian(np.array([1.0, 0.0]), np.array([[1.0, 0.9], [0.9, 1.0]]))
MONGE = AffineMap(gaussian_map_matrix(SOURCE.covariance, TARGET.covariance), TARGET.mean)
X = np.asarray(SOURCE.sample(jax.random.key(9), 1000))


def _uvp(images, truth):
    return float(
        np.mean(np.sum((np.asarray(images) - np.asarray(truth)) ** 2, axis=1))
        / np.trace(TARGET.covariance)
    )


def _fitted(coupling):
    return fit_velocity(
        SOURCE,
        TARGET,
        key=KEY,
        coupling=coupling,
        steps=1500,
        width=48,
        depth=2,
        samples=1500,
        rounds=4,
    )


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["independent", "exact"])
def test_the_coupling_decides_the_map(coupling):
    solution = _fitted(coupling)
    images = solution.map(X)
    independent = FlowMap(MatchingVelocity(SOURCE, TARGET), 0.0, 1.0)(X)
    # The two maps are apart by half of the variance; a fit errs by about a hundredth of it.
    assert _uvp(independent, MONGE(X)) > 0.4
    assert _uvp(images, independent if coupling == "independent" else MONGE(X)) < 0.05
    np.testing.assert_allclose(np.cov(images.T), TARGET.covariance, atol=0.15)


@pytest.mark.slow
def test_the_same_key_gives_the_same_velocity_and_it_is_saved(tmp_path):
    cloud = Empirical(X[:50], np.arange(1.0, 51.0))
    first, second = (
        fit_velocity(
            cloud,
            X[50:120].astype(np.float64),
            key=KEY,
            steps=20,
            samples=64,
            width=8,
            depth=1,
            rounds=1,
        )
        for _ in range(2)
    )
    brenier.save(tmp_path / "flow.brenier", first.map)
    loaded = brenier.load(tmp_path / "flow.brenier")
    values = first.map.velocity(0.3, X[:5])
    np.testing.assert_array_equal(second.map.velocity(0.3, X[:5]), values)
    np.testing.assert_array_equal(loaded.velocity(0.3, X[:5]), values)


@pytest.mark.slow
def test_couplings_cost_less_the_more_is_paired():
    x, y = X[:300], np.asarray(TARGET.sample(KEY, 300))
    costs = [
        fit_velocity(
            x, y, key=KEY, coupling=coupling, steps=1, batch=batch, samples=300, width=1, depth=1
        ).stats["pair_cost"]
        for coupling, batch in (("independent", 32), ("minibatch", 32), ("exact", 32))
    ]
    assert costs[0] > costs[1] > 0.9 * costs[2]
    best = brenier.exact.solve_assignment(x, y).stats["cost"]
    # Pairs are drawn from the plan: its cost up to sampling.
    assert costs[2] == pytest.approx(best, rel=0.2)


def test_bad_settings_and_a_loss_that_runs_away():
    with pytest.raises(ValueError, match="coupling: got 'best'; wants one of"):
        fit_velocity(X, X, key=KEY, coupling="best")
    with pytest.raises(ValueError, match="target: got dimension 3; wants dimension 2"):
        fit_velocity(X, np.zeros((5, 3)), key=KEY)
    with pytest.raises(ValueError, match="steps: got 0"):
        fit_velocity(X, X, key=KEY, steps=0)
    lost = fit_velocity(
        X, X, key=KEY, steps=30, rate=1e200, width=8, depth=1, samples=64, rounds=1, throw=False
    )
    assert lost.result is brenier.Result.diverged
