"""Anyone's network: a NumPy function in the place of a network in JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.images import HostNetwork, ImageModel
from brenier.velocities import LinearSchedule

SHAPE = (2, 2, 1)


def _normal(signals, images, labels):
    """ε of N(0, I) images: √(1−a²) x; of label 1, of twice the images."""
    scale = np.sqrt(1.0 - signals**2) * (1.0 if labels is None else 1.0 + labels)
    return scale[:, None, None, None] * images


def test_ddim_through_the_host_is_ddim_in_jax():
    x = np.random.default_rng(0).normal(size=(5, 4))
    host = ImageModel(HostNetwork(_normal), SHAPE, "epsilon", LinearSchedule())
    jaxy = ImageModel(
        lambda a, image, label: jnp.sqrt(1.0 - a**2) * image, SHAPE, "epsilon", LinearSchedule()
    )
    np.testing.assert_allclose(host.ddim_encoder(5)(x), jaxy.ddim_encoder(5)(x), rtol=1e-12)


def test_labels_and_batches_of_any_shape():
    network = HostNetwork(_normal)
    images = jnp.ones((3, 4, *SHAPE))
    inner = jax.vmap(network, in_axes=(None, 0, 0))
    found = jax.vmap(inner, in_axes=(None, 0, None))(jnp.array(0.6), images, jnp.arange(4))
    wanted = 0.8 * (1.0 + np.arange(4))[None, :, None, None, None] * np.ones((3, 4, *SHAPE))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_what_is_no_network_is_refused():
    wrong = HostNetwork(lambda signals, images, labels: images[..., 0])
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match="wants the same shape"):
        wrong(jnp.array(0.5), jnp.ones(SHAPE))
