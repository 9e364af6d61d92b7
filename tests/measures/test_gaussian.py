import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from brenier.measures import Gaussian, GaussianMixture

MEAN = np.array([1.0, -2.0])
COVARIANCE = np.array([[2.0, 0.6], [0.6, 0.5]])
WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[-2.0, 0.0], [2.0, 1.0]])
COVARIANCES = np.array([[[1.0, 0.3], [0.3, 0.5]], [[0.2, 0.0], [0.0, 3.0]]])
GAUSSIAN = Gaussian(MEAN, COVARIANCE)
MIXTURE = GaussianMixture(WEIGHTS, MEANS, COVARIANCES)
X = np.random.default_rng(0).normal(size=(3, 4, 2)) * 3.0


def test_densities_agree_with_scipy():
    gaussian = stats.multivariate_normal(MEAN, COVARIANCE).logpdf(X)
    np.testing.assert_allclose(GAUSSIAN.log_density(X), gaussian, rtol=1e-12)
    parts = [
        stats.multivariate_normal(m, c).pdf(X) for m, c in zip(MEANS, COVARIANCES, strict=True)
    ]
    mixture = np.log(np.tensordot(WEIGHTS, parts, 1))
    np.testing.assert_allclose(MIXTURE.log_density(X), mixture, rtol=1e-12)


def test_gaussian_score_is_affine():
    exact = -(X - MEAN) @ np.linalg.inv(COVARIANCE)
    np.testing.assert_allclose(GAUSSIAN.score(X), exact, rtol=1e-11, atol=1e-12)


def test_mixture_score_far_from_every_mode_does_not_underflow():
    # 1e4 standard deviations out: the nearest component alone decides.
    x = jnp.array([-1.0e4, 0.0])
    exact = -np.linalg.solve(COVARIANCES[0], np.asarray(x) - MEANS[0])
    np.testing.assert_allclose(MIXTURE.score(x), exact, rtol=1e-9)


def test_moments_of_the_mixture_are_exact():
    # Against the average over the law of the label, by hand.
    mean = WEIGHTS @ MEANS
    second = sum(
        w * (c + np.outer(m, m)) for w, m, c in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
    )
    np.testing.assert_allclose(MIXTURE.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(MIXTURE.covariance, second - np.outer(mean, mean), rtol=1e-12)
    np.testing.assert_allclose(GAUSSIAN.covariance, COVARIANCE, rtol=1e-12)


def test_samples_of_a_mixture_are_of_its_law_in_the_memory_of_the_points():
    law = GaussianMixture(
        np.array([0.3, 0.7]), np.eye(2, 60), np.array([np.eye(60), 4.0 * np.eye(60)])
    )
    sample = jax.jit(lambda key: law.sample(key, 5000)).lower(jax.random.key(0)).compile()
    # Not a factor (d, d) for each of the points, 144 MB.
    assert sample.memory_analysis().temp_size_in_bytes < 10 * 5000 * 60 * 8
    points = np.asarray(sample(jax.random.key(0)))
    np.testing.assert_allclose(points.mean(axis=0), law.mean, atol=5 * 2.0 / np.sqrt(5000))
    np.testing.assert_allclose(points.var(axis=0), np.diag(law.covariance), rtol=0.15)


def test_weights_in_single_precision_are_normalised():
    single = GaussianMixture(WEIGHTS.astype(np.float32), MEANS, COVARIANCES)
    np.testing.assert_allclose(np.sum(single.weights), 1.0, rtol=1e-7)


def test_dtype_follows_the_input():
    single = Gaussian(MEAN.astype(np.float32), COVARIANCE.astype(np.float32))
    sample = single.sample(jax.random.key(0), 3)
    assert sample.dtype == jnp.float32
    assert single.score(sample).dtype == jnp.float32


def test_it_can_be_made_inside_a_compiled_function():
    score = jax.jit(lambda c, x: Gaussian(jnp.zeros(2), c).score(x))
    np.testing.assert_allclose(
        score(jnp.asarray(COVARIANCE), jnp.asarray(COVARIANCE[0])), [-1.0, 0.0], atol=1e-12
    )


@pytest.mark.parametrize(
    ("mean", "covariance", "message"),
    [
        (np.zeros(2), np.eye(3), r"covariance: got shape \(3, 3\)"),
        (np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]]), "covariance: .* not positive definite"),
        (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]), "covariance: .* not symmetric"),
        (np.zeros(1), np.array([[np.nan]]), "covariance: .* NaN or infinite"),
        (np.zeros((1, 1)), np.eye(1), r"mean: got shape \(1, 1\)"),
        (np.array([np.inf]), np.eye(1), "mean: .* NaN or infinite"),
    ],
)
def test_bad_gaussians(mean, covariance, message):
    with pytest.raises(ValueError, match=message):
        Gaussian(mean, covariance)


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        (np.array([1.0, -1.0]), MEANS, COVARIANCES, "weights: "),
        (np.ones(3), MEANS, COVARIANCES, r"weights: got shape \(3,\)"),
        (
            5.0 * WEIGHTS,
            MEANS,
            COVARIANCES,
            "weights: got weights that sum to 5; wants .* sum to 1",
        ),
        (WEIGHTS, MEANS, COVARIANCES[:, :1, :1], r"covariances: got shape \(2, 1, 1\)"),
        (WEIGHTS, MEANS * np.nan, COVARIANCES, "means: .* NaN or infinite"),
    ],
)
def test_bad_mixtures(weights, means, covariances, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(weights, means, covariances)
