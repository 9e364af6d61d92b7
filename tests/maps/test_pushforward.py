import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from brenier.maps import AffineMap, GradientMap, Pushforward, ResidualNetwork
from brenier.measures import Empirical, Gaussian, GaussianMixture
from brenier.potentials import LogSumExp
from brenier.problems import SeparablePotential

KEY = jax.random.key(0)
# Both sides of the switches to LAPACK and to reverse mode, above d = 3.
DIMENSIONS = (2, 4)
MIXTURE = GaussianMixture(
    np.array([0.4, 0.6]),
    np.array([[1.0, 1.0], [-1.0, 0.0]]),
    np.stack([np.eye(2), 0.5 * np.eye(2)]),
)
BENT = Pushforward(MIXTURE, GradientMap(LogSumExp.identity(KEY, 2, 12, temperature=0.3)))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_affine_image_of_a_gaussian_is_gaussian(dimension):
    rng = np.random.default_rng(dimension)
    root = rng.normal(size=(dimension, dimension))
    covariance, matrix = root @ root.T + np.eye(dimension), rng.normal(size=(dimension, dimension))
    mean, offset = rng.normal(size=(2, dimension))
    moved = Pushforward(Gaussian(mean, covariance), AffineMap(matrix, offset))
    exact = Gaussian(matrix @ mean + offset, matrix @ covariance @ matrix.T)
    x = rng.normal(size=(6, dimension))
    y = moved.map(x)
    np.testing.assert_allclose(moved.log_density(y), exact.log_density(y), rtol=1e-10)
    np.testing.assert_allclose(moved.log_density_at(x), exact.log_density(y), rtol=1e-10)
    np.testing.assert_allclose(moved.score_at(x), exact.score(y), rtol=1e-8)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_bent_axes_in_closed_form(dimension):
    a = np.linspace(-0.7, 3.0, dimension)
    potential = SeparablePotential(jnp.asarray(a))
    moved = Pushforward(Gaussian.standard(dimension), GradientMap(potential))
    x = np.random.default_rng(0).normal(size=(6, dimension))
    # T'_i = 1 + a_i sech² x_i, axis by axis.
    slope = 1.0 + a / np.cosh(x) ** 2
    log_density = stats.norm.logpdf(x).sum(axis=1) - np.log(slope).sum(axis=1)
    score = (-x + 2.0 * a * np.tanh(x) / np.cosh(x) ** 2 / slope) / slope
    np.testing.assert_allclose(moved.log_density_at(x), log_density, rtol=1e-12)
    np.testing.assert_allclose(moved.score_at(x), score, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_at_a_known_preimage_and_through_the_inverse_agree():
    # The second way differentiates through the implicit function theorem.
    @eqx.filter_jit
    def look(moved, x):
        y = moved.map(x)
        return (moved.log_density_at(x), moved.log_density(y)), (moved.score_at(x), moved.score(y))

    for at_preimage, through_inverse in look(BENT, MIXTURE.sample(jax.random.key(1), 5)):
        np.testing.assert_allclose(at_preimage, through_inverse, rtol=1e-8, atol=1e-8)


def test_samples_are_the_images_of_the_source_samples():
    np.testing.assert_array_equal(BENT.sample(KEY, 5), BENT.map(MIXTURE.sample(KEY, 5)))


def test_what_is_missing_is_said():
    cloud = Pushforward(Empirical(np.zeros((3, 2))), AffineMap.identity(2))
    assert not cloud.has_density
    for ask in (cloud.log_density, cloud.score, cloud.log_density_at, cloud.score_at):
        with pytest.raises(ValueError, match="source: got Empirical, which has no density"):
            ask(jnp.zeros((1, 2)))
    network = Pushforward(Gaussian.standard(2), ResidualNetwork.identity(KEY, 2))
    with pytest.raises(ValueError, match=r"ResidualNetwork.*no inverse"):
        network.log_density(jnp.zeros(2))
    with pytest.raises(ValueError, match="map: got dimension 3; wants dimension 2"):
        Pushforward(Gaussian.standard(2), AffineMap.identity(3))
