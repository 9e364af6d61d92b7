import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.measures import Gaussian, GaussianMixture, Uniform, quasi_sample

BOX = Uniform(np.array([-1.0, 0.0, 2.0]), np.array([1.0, 0.5, 6.0]))


def test_moments_and_density():
    np.testing.assert_allclose(BOX.mean, [0.0, 0.25, 4.0])
    np.testing.assert_allclose(BOX.covariance, np.diag([4.0, 0.25, 16.0]) / 12.0)
    inside, outside = np.array([0.5, 0.1, 3.0]), np.array([0.5, 0.6, 3.0])
    assert float(BOX.log_density(inside)) == pytest.approx(-np.log(4.0))
    assert float(BOX.log_density(outside)) == -np.inf
    np.testing.assert_array_equal(BOX.score(np.stack([inside, outside])), np.zeros((2, 3)))


def test_samples_stay_in_the_box_and_keep_its_dtype():
    x = BOX.sample(jax.random.key(0), 1000)
    assert (x >= BOX.lower).all()
    assert (x <= BOX.upper).all()
    single = Uniform(jnp.zeros(1, jnp.float32), jnp.ones(1, jnp.float32))
    assert single.sample(jax.random.key(0), 2).dtype == jnp.float32


@pytest.mark.parametrize(
    "measure",
    [
        BOX,
        Gaussian(np.array([1.0, -1.0]), np.array([[2.0, 0.6], [0.6, 0.5]])),
        GaussianMixture(np.array([0.25, 0.75]), np.array([[0.0], [4.0]]), np.ones((2, 1, 1))),
    ],
)
def test_quasi_random_points_have_the_moments(measure):
    x = np.asarray(quasi_sample(measure, 4096, key=jax.random.key(0)))
    assert x.shape == (4096, measure.dimension)
    # Far below the 1/64 of independent points.
    np.testing.assert_allclose(x.mean(axis=0), measure.mean, atol=2e-3)
    covariance = np.atleast_2d(np.cov(x.T, bias=True))
    np.testing.assert_allclose(covariance, measure.covariance, atol=1e-2)


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        (np.zeros(2), np.ones(3), r"upper: got shape \(3,\) beside a lower of shape \(2,\)"),
        (np.zeros(2), np.array([1.0, 0.0]), "upper: got a corner that is not above lower"),
        (np.zeros(0), np.zeros(0), "upper: got shape"),
        (np.array([np.nan]), np.ones(1), "lower: got NaN"),
        (np.zeros(1), np.array([np.inf]), "upper: got NaN or infinite"),
    ],
)
def test_bad_boxes(lower, upper, message):
    with pytest.raises(ValueError, match=message):
        Uniform(lower, upper)
