"""Learned flow matching: it reaches its target, and its coupling decides how cheaply."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.flows import FlowMatching, MatchingLoss, fit_velocity
from brenier.maps import AffineMap
from brenier.measures import Empirical, Gaussian
from brenier.numerics import gaussian_map_matrix
from brenier.velocities import FlowMap, MatchingVelocity, NetworkVelocity

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
        method=FlowMatching(steps=1500),
        coupling=coupling,
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
            method=FlowMatching(steps=20),
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
            x,
            y,
            key=KEY,
            method=FlowMatching(steps=1, batch=32),
            coupling=coupling,
            samples=300,
            width=1,
            depth=1,
        ).stats["pair_cost"]
        for coupling in ("independent", "minibatch", "exact")
    ]
    assert costs[0] > costs[1] > 0.9 * costs[2]
    best = brenier.exact.solve_assignment(x, y).stats["cost"]
    # Pairs are drawn from the plan: its cost up to sampling.
    assert costs[2] == pytest.approx(best, rel=0.2)


SMALL = {"samples": 64, "width": 8, "depth": 1, "rounds": 1}


@pytest.mark.slow
def test_a_fit_is_watched_and_what_ctrl_c_stopped_ends_in_the_same_bits(tmp_path):
    """It runs through the driver: progress, a checkpoint, and the best map by the loss."""
    method, told = FlowMatching(steps=20, batch=32), []
    whole = fit_velocity(X, X[:200], key=KEY, method=method, callback=told.append, **SMALL)
    assert [progress.step for progress in told] == list(range(1, 21))
    assert whole.stats["best_metric"] == min(whole.stats["history"]) == told[-1].best_metric
    kept = brenier.Checkpoint(tmp_path / "run")

    def stop(progress):
        if progress.step == 7:
            raise KeyboardInterrupt

    arguments = {"key": KEY, "method": method, "checkpoint": kept, **SMALL}
    cut = fit_velocity(X, X[:200], callback=stop, throw=False, **arguments)
    assert cut.result is brenier.Result.interrupted
    resumed = fit_velocity(X, X[:200], **arguments)
    np.testing.assert_array_equal(resumed.map.velocity(0.3, X[:5]), whole.map.velocity(0.3, X[:5]))


def test_it_is_a_method_of_the_driver_for_any_measures():
    start = FlowMap(
        NetworkVelocity.random(KEY, jnp.zeros(2), jnp.ones(()), width=8, depth=1), 0.0, 1.0
    )
    z, x = SOURCE.sample(KEY, 256), TARGET.sample(KEY, 256)
    solution = brenier.solve(
        SOURCE,
        TARGET,
        method=FlowMatching(steps=40),
        initial=start,
        key=KEY,
        metric=MatchingLoss(z, x, jnp.linspace(0.0, 1.0, 256)),
        blocks=2,
    )
    assert solution.stats["history"][-1] < solution.stats["history"][0]
    pairs = (jnp.arange(3), jnp.arange(3))
    with pytest.raises(ValueError, match="source: got Gaussian, which has no atoms to pair"):
        brenier.solve(SOURCE, TARGET, method=FlowMatching(pairs), initial=start, key=KEY)
    with pytest.raises(ValueError, match="initial: got AffineMap; wants the FlowMap of a Network"):
        brenier.solve(SOURCE, TARGET, method=FlowMatching(), initial=MONGE, key=KEY)


def test_bad_settings_and_a_loss_that_runs_away():
    with pytest.raises(ValueError, match="coupling: got 'best'; wants one of"):
        fit_velocity(X, X, key=KEY, coupling="best")
    with pytest.raises(ValueError, match="target: got dimension 3; wants dimension 2"):
        fit_velocity(X, np.zeros((5, 3)), key=KEY)
    with pytest.raises(ValueError, match="steps: got 0"):
        fit_velocity(X, X, key=KEY, method=FlowMatching(steps=0))
    method = FlowMatching(steps=30, learning_rate=1e200)
    lost = fit_velocity(X, X, key=KEY, method=method, throw=False, **SMALL)
    assert lost.result is brenier.Result.diverged
