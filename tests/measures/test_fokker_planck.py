"""The splitting scheme, against the exact law and against a known stationary one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import Result
from brenier.measures import GaussianMixture, TensorTrain, solve_fokker_planck

MIXTURE = GaussianMixture(
    np.array([0.5, 0.5]),
    np.array([[-1.5, 0.5], [1.2, 1.0]]),
    np.array([[[0.4, 0.2], [0.2, 0.5]], [[0.3, 0.0], [0.0, 0.6]]]),
)
LOWER, UPPER = [-8.0] * 2, [8.0] * 2


@pytest.fixture(scope="module")
def law():
    return TensorTrain.from_log_density(MIXTURE.point_log_density, LOWER, UPPER, [110] * 2)


@pytest.mark.parametrize("drift", [None, pytest.param(jnp.negative, marks=pytest.mark.slow)])
def test_second_order_in_the_step(law, drift):
    exact = law.diffused(float(np.exp(-0.4)))
    x = exact.sample(jax.random.key(0), 200)
    errors = []
    for steps in (2, 4, 8):
        solution = solve_fokker_planck(
            law, 0.4, steps=steps, lower=LOWER, upper=UPPER, shape=[72] * 2, drift=drift
        )
        # Both halves of a step keep the mass but for the rounding and for what the paths err.
        assert abs(solution.stats["mass"] - 1.0).max() < 1e-6
        gap = np.exp(solution.map.log_density(x)) - np.exp(exact.log_density(x))
        errors.append(np.sqrt(np.mean(gap**2)))
    orders = -np.diff(np.log2(errors))
    np.testing.assert_allclose(orders, 2.0, atol=0.1)


@pytest.mark.slow
def test_the_cross_convects_as_the_stretch_does(law):
    ends = [
        solve_fokker_planck(
            law, 0.1, steps=1, lower=LOWER, upper=UPPER, shape=[60] * 2, drift=drift, tolerance=1e-6
        ).map
        for drift in (None, jnp.negative)
    ]
    x = law.sample(jax.random.key(1), 50)
    np.testing.assert_allclose(*(np.exp(end.log_density(x)) for end in ends), atol=1e-5)


@pytest.mark.slow
def test_a_general_drift_goes_to_its_gibbs_measure(law):
    def potential(x):
        return 0.25 * jnp.sum(x**4) + 0.3 * x[0] * x[1]

    lower, upper = [-5.5] * 2, [5.5] * 2
    goal = TensorTrain.from_log_density(lambda x: -potential(x), lower, upper, [100] * 2)
    x = goal.sample(jax.random.key(0), 200)
    errors = []
    for steps in (20, 40):
        end = solve_fokker_planck(
            law,
            3.0,
            steps=steps,
            lower=lower,
            upper=upper,
            shape=[60] * 2,
            drift=lambda x: -jax.grad(potential)(x),
            tolerance=1e-7,
        ).map
        errors.append(np.abs(np.exp(end.log_density(x)) - np.exp(goal.log_density(x))).max())
    # What is left is the splitting's own error in the stationary law.
    assert errors[1] < 0.01
    assert 1.5 < np.log2(errors[0] / errors[1]) < 2.5


def test_bad_input_and_lost_mass(law):
    box = {"lower": LOWER, "upper": UPPER, "shape": [40] * 2}
    with pytest.raises(ValueError, match=r"time: got -1\.0; wants a finite number above 0"):
        solve_fokker_planck(law, -1.0, steps=2, **box)
    with pytest.raises(ValueError, match="shape: got 1 axes; wants 2"):
        solve_fokker_planck(law, 1.0, steps=2, lower=[-8.0], upper=[8.0], shape=[40])
    small = {"lower": [-2.0] * 2, "upper": [2.0] * 2, "shape": [40] * 2}
    lost = solve_fokker_planck(law, 1.0, steps=2, **small, throw=False)
    assert lost.result is Result.diverged
    assert lost.map is None
    with pytest.raises(ValueError, match="drift: got NaN or infinite values on the way to"):
        solve_fokker_planck(law, 1.0, steps=2, **box, drift=lambda x: x / (x[0] - x[0]))
