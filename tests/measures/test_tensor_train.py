"""Densities in tensor-train format, against mixtures of Gaussians in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, norm

from brenier.measures import GaussianMixture, TensorTrain

MIXTURE = GaussianMixture(
    np.array([0.5, 0.3, 0.2]),
    np.array([[-1.5, 0.5], [1.2, 1.0], [0.3, -1.4]]),
    np.array([[[0.4, 0.2], [0.2, 0.5]], [[0.3, 0.0], [0.0, 0.6]], [[0.7, -0.3], [-0.3, 0.4]]]),
)
LOWER, UPPER = [-8.0, -7.0], [8.0, 7.0]
Y = np.linspace(-7.0, 7.0, 50)
BELL = np.exp(-0.5 * np.add.outer(Y**2, Y**2))
OTHER = np.exp(-np.add.outer((Y - 1.0) ** 2, (Y + 1.0) ** 2))


@pytest.fixture(scope="module")
def law():
    return TensorTrain.from_log_density(
        MIXTURE.point_log_density, LOWER, UPPER, [120, 110], tolerance=1e-12
    )


def test_density_and_score_between_the_nodes(law):
    x = MIXTURE.sample(jax.random.key(0), 500)
    # The tolerance, relative to the largest density, over the density here, and some for norms.
    error = 1e-10 / np.exp(MIXTURE.log_density(x))
    assert (np.abs(law.log_density(x) - MIXTURE.log_density(x)) < error).all()
    assert (np.abs(law.score(x) - MIXTURE.score(x)).max(axis=1) < 20.0 * error).all()


def test_moments_and_marginals(law):
    np.testing.assert_allclose(law.mean, MIXTURE.mean, atol=1e-10)
    np.testing.assert_allclose(law.covariance, MIXTURE.covariance, atol=1e-10)
    places = np.linspace(-3.0, 3.0, 13)
    for axis in (0, 1):
        scales = np.sqrt(np.einsum("kij,kij->ki", MIXTURE.factors, MIXTURE.factors)[:, axis])
        exact = norm.pdf(places[:, None], MIXTURE.means[:, axis], scales) @ MIXTURE.weights
        marginal = law.marginal([axis])
        np.testing.assert_allclose(np.exp(marginal.log_density(places[:, None])), exact, atol=1e-10)
    with pytest.raises(ValueError, match=r"axes: got \[1, 0\]; wants increasing"):
        law.marginal([1, 0])


@pytest.mark.slow
def test_padding_changes_nothing(law):
    x = MIXTURE.sample(jax.random.key(4), 50)
    filled = law.padded(8, 40)
    assert {core.shape[1] for core in filled.cores} == {80}
    assert filled.ranks[0] % 8 == 0
    np.testing.assert_allclose(filled.log_density(x), law.log_density(x), atol=1e-9)
    np.testing.assert_allclose(
        filled.sample(jax.random.key(0), 50), law.sample(jax.random.key(0), 50), atol=1e-8
    )


def test_samples_follow_the_marginal_and_the_conditional(law):
    x = np.asarray(law.sample(jax.random.key(1), 4000))
    scales = np.sqrt(np.einsum("kij,kij->ki", MIXTURE.factors, MIXTURE.factors))
    first = norm.cdf(x[:, :1], MIXTURE.means[:, 0], scales[:, 0]) @ MIXTURE.weights
    # Given the first coordinate the second is a mixture as well.
    covariances = np.asarray(MIXTURE.factors @ jnp.swapaxes(MIXTURE.factors, 1, 2))
    slopes = covariances[:, 1, 0] / covariances[:, 0, 0]
    shares = norm.pdf(x[:, :1], MIXTURE.means[:, 0], scales[:, 0]) * np.asarray(MIXTURE.weights)
    shares /= shares.sum(axis=1, keepdims=True)
    means = np.asarray(MIXTURE.means[:, 1]) + slopes * (x[:, :1] - np.asarray(MIXTURE.means[:, 0]))
    rest = np.sqrt(covariances[:, 1, 1] - slopes * covariances[:, 1, 0])
    second = np.sum(shares * norm.cdf(x[:, 1:], means, rest), axis=1)
    # Uniform and independent, if the samples are exact.
    assert kstest(first, "uniform").pvalue > 1e-3
    assert kstest(second, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 5.0 / np.sqrt(4000)


@pytest.mark.parametrize("signal", [1.0, 0.95, 0.4, 0.0])
def test_diffused_law_is_exact(law, signal):
    covariances = MIXTURE.factors @ jnp.swapaxes(MIXTURE.factors, 1, 2)
    later = GaussianMixture(
        MIXTURE.weights,
        signal * MIXTURE.means,
        signal**2 * covariances + (1.0 - signal**2) * jnp.eye(2),
    )
    x = later.sample(jax.random.key(2), 200)
    found = law.diffused(signal)
    assert found.ranks <= law.ranks
    np.testing.assert_allclose(
        np.exp(found.log_density(x)), np.exp(later.log_density(x)), atol=1e-11
    )


@pytest.mark.slow
def test_ranks_fall_as_the_reference_says():
    # Theory, chapter 3, "Ranks of the tensor trains fall": our seed 0 in the plane.
    from brenier.problems import quartic_mixture

    law = TensorTrain.from_log_density(
        quartic_mixture(2), [-8.0] * 2, [8.0] * 2, [250] * 2, tolerance=1e-12
    )
    ranks = [law.diffused(float(np.exp(-t))).ranks[0] for t in (0.05, 0.3, 1.0, 3.0)]
    np.testing.assert_allclose([law.ranks[0], *ranks], [29, 23, 15, 8, 4], atol=1)


@pytest.mark.slow
def test_three_axes_by_cross_are_those_by_svd(monkeypatch):
    from brenier.measures import _tensor_train_values

    def log_density(x):
        return -0.5 * (x @ x) - 0.1 * jnp.square(x[0] * x[1] + x[2])

    corner, shape = [7.0] * 3, [30] * 3
    whole = TensorTrain.from_log_density(log_density, [-7.0] * 3, corner, shape, tolerance=1e-5)
    monkeypatch.setattr(_tensor_train_values, "_ALL_NODES", 0)
    cross = TensorTrain.from_log_density(log_density, [-7.0] * 3, corner, shape, tolerance=1e-5)
    x = jax.random.normal(jax.random.key(3), (50, 3))
    np.testing.assert_allclose(
        np.exp(cross.log_density(x)), np.exp(whole.log_density(x)), atol=1e-6
    )
    assert max(cross.ranks) <= max(whole.ranks) + 3
    with pytest.raises(ValueError, match="max_rank: got 2; wants at least"):
        TensorTrain.from_log_density(
            log_density, [-7.0] * 3, corner, shape, tolerance=1e-5, max_rank=2
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: np.where(p == p.max(), np.nan, p), "values: got 1 NaN or infinite entries"),
        (lambda p: p - 1e-3, "values: got a negative density"),
        (lambda p: 0.0 * p, r"density: got an integral of 0 over the box"),
        (
            lambda p: p + 1e-3,
            "lower: got a border of axis 0 where the density has not decayed: about",
        ),
        (
            lambda p: (p > 0.1) * 1.0,
            "shape: got 50 nodes along axis 0, where the density is too rough",
        ),
    ],
)
def test_what_is_no_density_on_its_grid_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TensorTrain.from_grid(change(BELL), [-7.0] * 2, [7.0] * 2)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"lower: got \[-7.0\]; wants 2 finite numbers, one for"):
        TensorTrain.from_grid(BELL, [-7.0], [7.0] * 2)
    with pytest.raises(ValueError, match=r"upper: got \[-7.0, 7.0\]; wants numbers above lower"):
        TensorTrain.from_grid(BELL, [-7.0] * 2, [-7.0, 7.0])
    with pytest.raises(ValueError, match=r"max_rank: got 1; wants at least"):
        TensorTrain.from_grid(BELL + OTHER, [-7.0] * 2, [7.0] * 2, max_rank=1)
    with pytest.raises(ValueError, match=r"cores: got shapes .* wants a chain"):
        TensorTrain.from_cores([np.ones((1, 20, 2)), np.ones((3, 20, 1))], [0.0] * 2, [1.0] * 2)
    with pytest.raises(ValueError, match=r"density: got a density of nan at"):
        TensorTrain.from_density(lambda x: jnp.log(x[0]), [-1.0], [1.0], [20])
    with pytest.raises(ValueError, match=r"log_density: got nan at"):
        TensorTrain.from_log_density(lambda x: jnp.log(x[0]), [-1.0], [1.0], [20])
    law = TensorTrain.from_grid(BELL, [-7.0] * 2, [7.0] * 2)
    with pytest.raises(ValueError, match=r"signal: got 1.5; wants a = e\^-t in \[0, 1\]"):
        law.diffused(1.5)


def _peaks(seed, dimension):
    """A mixture of round Gaussians that are apart."""
    random = np.random.default_rng(seed)
    means = random.uniform(-3.5, 3.5, (3, dimension))
    widths = random.uniform(0.35, 0.6, 3)
    covariances = widths[:, None, None] ** 2 * np.eye(dimension)
    return GaussianMixture(random.dirichlet(3.0 * np.ones(3)), means, covariances)


CORNERS = GaussianMixture(
    np.ones(2) / 2, np.outer([-3.0, 3.0], np.ones(5)), 0.16 * np.array([np.eye(5)] * 2)
)


# By cross approximation; a run from one start misses a peak of the first.
@pytest.mark.parametrize(
    "law",
    [CORNERS, *(pytest.param(_peaks(k, 4 + k % 2), marks=pytest.mark.slow) for k in range(12))],
    ids=lambda law: f"{law.dimension}d",
)
def test_peaks_that_are_apart_are_all_found(law):
    d = law.dimension
    found = TensorTrain.from_log_density(
        law.point_log_density, [-6.0] * d, [6.0] * d, [36] * d, tolerance=1e-4
    )
    np.testing.assert_allclose(found.mean, law.mean, atol=1e-2)
    np.testing.assert_allclose(found.covariance, law.covariance, atol=5e-2)
