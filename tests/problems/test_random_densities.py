"""KRCO22's random densities: normalised, seeded, and solved by the tensor-train encoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.measures import TensorTrain
from brenier.problems import quartic_mixture, random_tensor_train


def test_quartic_mixtures_are_normalised_and_positive_definite():
    # Gauss-Legendre, not the trapezoid rule that normalised it.
    y, weights = np.polynomial.legendre.leggauss(150)
    points = 8.0 * np.stack(np.meshgrid(y, y), axis=-1)
    values = np.exp(jax.jit(jax.vmap(jax.vmap(quartic_mixture(2, seed=3))))(points))
    np.testing.assert_allclose(64.0 * weights @ values @ weights, 1.0, atol=1e-9)
    counts = set()
    for seed in range(12):
        rho = quartic_mixture(2, seed=seed)
        assert rho.dimension == 2
        counts.add(int(np.isfinite(rho.log_weights).sum()))
        assert np.linalg.eigvalsh(rho.quadratic).min() >= 0.1 - 1e-12
        assert np.linalg.eigvalsh(rho.quartic).min() >= 0.01 - 1e-12
    assert counts <= set(range(1, 6))
    assert len(counts) > 2
    one, same, other = (quartic_mixture(2, seed=seed) for seed in (0, 0, 1))
    x = jnp.array([0.3, -0.2])
    assert one(x) == same(x) != other(x)


@pytest.mark.slow
def test_mass_of_a_tensor_train_of_a_quartic_mixture():
    rho = quartic_mixture(2, seed=1)
    law = TensorTrain.from_log_density(rho, [-8.0] * 2, [8.0] * 2, [250] * 2)
    x = law.sample(jax.random.key(0), 100)
    # Both are normalised, one by the trapezoid rule and one by its Gaussians.
    exact = jnp.exp(jax.jit(jax.vmap(rho))(x))
    np.testing.assert_allclose(np.exp(law.log_density(x)), exact, atol=1e-9)


def test_trains_of_rank_two_in_any_dimension():
    law = random_tensor_train(5, seed=4)
    assert law.ranks == (2, 2, 2, 2)
    # Every marginal has its mass where γ and the bumps have theirs.
    assert np.abs(law.mean).max() < 1.0
    assert (np.diagonal(law.covariance) > 0.3).all()
    assert (np.diagonal(law.covariance) < 2.0).all()
    np.testing.assert_array_equal(random_tensor_train(5, seed=4).mean, law.mean)
    assert (np.asarray(random_tensor_train(5, seed=5).mean) != np.asarray(law.mean)).any()


def test_bad_arguments():
    with pytest.raises(ValueError, match="dimension: got 4; wants 2 or 3"):
        quartic_mixture(4)
    with pytest.raises(ValueError, match="rank: got 0"):
        random_tensor_train(3, rank=0)
