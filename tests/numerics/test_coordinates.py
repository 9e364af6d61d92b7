"""Standard coordinates: there and back, and what they keep."""

import jax
import jax.numpy as jnp
import numpy as np

from brenier.numerics import Coordinates

KEYS = jax.random.split(jax.random.key(0), 4)
X, Y = jax.random.normal(KEYS[0], (50, 3)), 2.0 + jax.random.normal(KEYS[1], (50, 3))
MATRIX = jnp.eye(3) + 0.3 * jax.random.normal(KEYS[2], (3, 3))
COORDINATES = Coordinates(MATRIX, jnp.arange(3.0), -jnp.ones(3), jnp.array(7.0))


def test_there_and_back():
    u, v = COORDINATES.encode_source(X), COORDINATES.encode_target(Y)
    np.testing.assert_allclose(COORDINATES.decode_source(u), X, atol=1e-13)
    np.testing.assert_allclose(COORDINATES.decode_target(v), Y, atol=1e-13)
    # One point as well as many.
    np.testing.assert_allclose(COORDINATES.encode_target(Y[0]), v[0], atol=1e-15)
    np.testing.assert_allclose(COORDINATES.decode_source(u[0]), X[0], atol=1e-13)


def test_inner_products_are_kept_up_to_the_scale():
    products = (X - COORDINATES.source_shift) @ (Y - COORDINATES.target_shift).T
    inner = COORDINATES.encode_source(X) @ COORDINATES.encode_target(Y).T
    np.testing.assert_allclose(COORDINATES.scale**2 * inner, products, atol=1e-12)


def test_reversed_swaps_source_and_target():
    back = COORDINATES.reversed()
    np.testing.assert_allclose(back.encode_source(Y), COORDINATES.encode_target(Y), atol=1e-14)
    np.testing.assert_allclose(back.encode_target(X), COORDINATES.encode_source(X), atol=1e-14)
    np.testing.assert_allclose(back.reversed().matrix, MATRIX, atol=1e-14)


def test_units_of_the_data_do_not_matter():
    """Shifted and scaled data have the same coordinates."""

    def encoded(x, y):
        moments = [part for z in (x, y) for part in (z.mean(axis=0), jnp.cov(z.T))]
        coordinates = Coordinates.gaussian(*moments)
        return coordinates.encode_source(x), coordinates.encode_target(y)

    u, v = encoded(X, Y)
    np.testing.assert_allclose(jnp.cov(u.T), jnp.cov(v.T), atol=1e-12)
    np.testing.assert_allclose(jnp.trace(jnp.cov(u.T)), 3.0, rtol=1e-12)
    far = encoded(1e6 * X + 1e8, 1e6 * Y - 1e9)
    # 1e9 over 1e6 are three digits lost.
    np.testing.assert_allclose(far, (u, v), atol=1e-11)
