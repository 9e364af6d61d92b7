import jax
import numpy as np
import pytest

from brenier.measures import Empirical

POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
WEIGHTS = np.array([1.0, 2.0, 1.0])


def test_mean_and_weights():
    np.testing.assert_allclose(Empirical(POINTS).mean, [1 / 3, 1.0])
    weighted = Empirical(POINTS, WEIGHTS)
    np.testing.assert_allclose(weighted.mean, [0.5, 0.75])
    np.testing.assert_allclose(weighted.weights, [0.25, 0.5, 0.25])
    assert Empirical(POINTS).weights is None


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_samples_are_atoms_in_proportion(weights):
    measure = Empirical(POINTS, weights)
    n = 40_000
    sample = np.asarray(measure.sample(jax.random.key(1), n))
    shares = [np.mean((sample == point).all(axis=1)) for point in POINTS]
    exact = np.full(3, 1 / 3) if weights is None else WEIGHTS / 4.0
    # Five standard errors of a binomial share.
    np.testing.assert_allclose(shares, exact, atol=5.0 * np.sqrt(0.25 / n))


def test_integers_and_data_frames_values_become_floats():
    assert Empirical(np.arange(6).reshape(3, 2)).points.dtype == np.float64


@pytest.mark.parametrize(
    ("points", "weights", "message"),
    [
        (np.zeros(3), None, r"points: got shape \(3,\)"),
        (np.array([[np.nan, 0.0]]), None, "points: .* NaN or infinite"),
        (POINTS, np.ones(2), r"weights: got shape \(2,\)"),
        (POINTS, np.array([1.0, -1.0, 1.0]), "weights: got negative"),
    ],
)
def test_bad_atoms(points, weights, message):
    with pytest.raises(ValueError, match=message):
        Empirical(points, weights)
