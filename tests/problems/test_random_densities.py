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
    values = np.exp(jax.jit(jax.vmap(jax.vmap(quartic_mixture(3, 2))))(points))
    np.testing.assert_allclose(64.0 * weights @ values @ weights, 1.0, atol=1e-9)
    counts = set()
    for seed in range(12):
        rho = quartic_mixture(seed, 2)
        assert rho.dimension == 2
        counts.add(int(np.isfinite(rho.log_weights).sum()))
        assert np.linalg.eigvalsh(rho.quadratic).min() >= 0.1 - 1e-12
        assert np.linalg.eigvalsh(rho.quartic).min() >= 0.01 - 1e-12
    assert counts <= set(range(1, 6))
    assert len(counts) > 2
    one, same, other = quartic_mixture(0, 2), quartic_mixture(0, 2), quartic_mixture(1, 2)
    x = jnp.array([0.3, -0.2])
    assert one(x) == same(x) != other(x)


def test_mass_of_a_train_of_a_quartic_mixture():
    rho = quartic_mixture(1, 2)
    law = TensorTrain.from_log_density(rho, [-8.0] * 2, [8.0] * 2, [250] * 2)
    x = law.sample(jax.random.key(0), 100)
    # Both are normalised, one by the trapezoid rule and one by its Gaussians.
    exact = jnp.exp(jax.jit(jax.vmap(rho))(x))
    np.testing.assert_allclose(np.exp(law.log_density(x)), exact, atol=1e-9)


def test_trains_of_rank_two_in_any_dimension():
    law = random_tensor_train(4, 5)
    assert law.ranks == (2, 2, 2, 2)
    # Every marginal has its mass where γ and the bumps have theirs.
    assert np.abs(law.mean).max() < 1.0
    assert (np.diagonal(law.covariance) > 0.3).all()
    assert (np.diagonal(law.covariance) < 2.0).all()
    np.testing.assert_array_equal(random_tensor_train(4, 5).mean, law.mean)
    assert (np.asarray(random_tensor_train(5, 5).mean) != np.asarray(law.mean)).any()


def test_bad_arguments():
    with pytest.raises(ValueError, match="dimension: got 4; wants 2 or 3"):
        quartic_mixture(0, 4)
    with pytest.raises(ValueError, match="rank: got 0"):
        random_tensor_train(0, 3, rank=0)
