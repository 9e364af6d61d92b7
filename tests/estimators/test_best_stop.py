"""Which map of a fit is kept."""

import jax.numpy as jnp
import numpy as np
import pytest

from brenier.estimators.candidates._best_stop import Look, best_stop
from brenier.potentials import Quadratic


@pytest.fixture(scope="module")
def clouds():
    random = np.random.default_rng(0)
    return jnp.asarray(random.normal(size=(2000, 5))), jnp.asarray(random.normal(size=(1500, 5)))


def _stretch(factor):
    return Quadratic.from_matrix(factor * jnp.eye(5), jnp.zeros(5))


def test_the_dual_decides_where_images_cannot(clouds):
    """Overshooting by a third is seen, by a thousandth not; a failed look counts for nothing."""
    far, near, right = _stretch(1.3), _stretch(1.001), _stretch(1.0)
    looks = [Look(right, 1.0), Look(near, 0.9), Look(far, 0.5), Look(_stretch(2.0), np.nan)]
    assert best_stop(looks, *clouds) is looks[1]
    assert best_stop(looks[3:], *clouds) is None
