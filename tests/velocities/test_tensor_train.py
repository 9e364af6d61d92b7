"""The probability flow of tensor trains, against that of mixtures in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.measures import GaussianMixture, TensorTrain
from brenier.velocities import FlowMap, MixtureVelocity, TensorTrainVelocity, tensor_train_encoder

MIXTURE = GaussianMixture(
    np.array([0.5, 0.3, 0.2]),
    np.array([[-1.5, 0.5], [1.2, 1.0], [0.3, -1.4]]),
    np.array([[[0.4, 0.2], [0.2, 0.5]], [[0.3, 0.0], [0.0, 0.6]], [[0.7, -0.3], [-0.3, 0.4]]]),
)
LAW = TensorTrain.from_log_density(
    MIXTURE.point_log_density, [-8.0] * 2, [8.0] * 2, [120] * 2, tolerance=1e-12
)
X = MIXTURE.sample(jax.random.key(0), 200)


@eqx.filter_jit
def _look(velocity, signal, x):
    def one(y):
        return velocity.at(signal, y), jax.jacfwd(lambda z: velocity.at(signal, z))(y)

    return jax.vmap(one)(x)


@pytest.mark.parametrize("signal", [1.0, 0.999, 0.9, 0.5, 1e-3, 0.0])
def test_velocity_and_jacobian_are_exact_at_all_times(signal):
    noise = jax.random.normal(jax.random.key(1), X.shape)
    x = signal * X + np.sqrt(1.0 - signal**2) * noise
    values, jacobians = _look(TensorTrainVelocity(LAW), jnp.asarray(signal), x)
    exact, exact_jacobians = _look(MixtureVelocity(MIXTURE), jnp.asarray(signal), x)
    # The error of the tensor train, relative to the density here; far less once it is diffused.
    size = 1e-11 / np.exp(LAW.diffused(signal).log_density(x))
    assert (np.abs(values - exact).max(axis=1) < 100.0 * size).all()
    assert (np.abs(jacobians - exact_jacobians).max(axis=(1, 2)) < 3000.0 * size).all()


@pytest.mark.slow
def test_encoder_and_decoder():
    encoder = tensor_train_encoder(LAW, tolerance=1e-10)
    exact = FlowMap(MixtureVelocity(MIXTURE), 1.0, 0.0, tolerance=1e-12)
    z = encoder(X)
    np.testing.assert_allclose(z, exact(X), atol=1e-7)
    np.testing.assert_allclose(encoder.inverse()(z), X, atol=1e-7)


def test_far_out_nothing_overflows():
    far = jnp.array([[60.0, -60.0], [-300.0, 4.0]])
    assert np.isfinite(TensorTrainVelocity(LAW)(0.3, far)).all()


def test_bad_stages():
    with pytest.raises(ValueError, match=r"stages: got \[0.5, 0.9\]; wants decreasing numbers"):
        tensor_train_encoder(LAW, stages=[0.5, 0.9])
