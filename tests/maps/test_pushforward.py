import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.maps import AffineMap, GradientMap, Pushforward, ResidualNetwork
from brenier.measures import Empirical, Gaussian, GaussianMixture
from brenier.potentials import LogSumExp

KEY = jax.random.key(0)
# Both sides of the switches to LAPACK and to reverse mode, above d = 3.
DIMENSIONS = (2, 4)


def _bent(dimension):
    phi = LogSumExp.identity(KEY, dimension, 12, temperature=0.3)
    ones, identity = np.ones(dimension), np.eye(dimension)
    source = GaussianMixture(np.array([0.4, 0.6]), np.stack([ones, -ones]),
                             np.stack([identity, 0.5 * identity]))
    return Pushforward(source, GradientMap(phi))


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
def test_at_a_known_preimage_and_through_the_inverse_agree(dimension):
    # The second way differentiates through the implicit function theorem.
    moved = _bent(dimension)
    x = moved.source.sample(jax.random.key(1), 5)

    @eqx.filter_jit
    def look(moved, x):
        y = moved.map(x)
        return (moved.log_density_at(x), moved.log_density(y)), (moved.score_at(x), moved.score(y))

    for at_preimage, through_inverse in look(moved, x):
        np.testing.assert_allclose(at_preimage, through_inverse, rtol=1e-8, atol=1e-8)


def test_samples_are_the_images_of_the_source_samples():
    moved = _bent(3)
    np.testing.assert_array_equal(moved.sample(KEY, 5), moved.map(moved.source.sample(KEY, 5)))


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
