"""Maps along a few directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from brenier.maps import AffineMap, SubspaceMap

RANDOM = np.random.default_rng(0)
BASIS = np.linalg.qr(RANDOM.normal(size=(6, 2)))[0]
ACROSS = (np.eye(6) - BASIS @ BASIS.T) @ RANDOM.normal(size=6)
STRETCH = np.array([[2.0, 0.5], [0.5, 1.0]])
T = SubspaceMap(AffineMap(STRETCH, np.array([1.0, -1.0])), BASIS, np.ones(6), ACROSS)
X = RANDOM.normal(size=(9, 6))


def test_the_formula_and_the_two_ways_of_evaluating_it():
    u = (X - 1.0) @ BASIS
    expected = X + ACROSS + (u @ STRETCH + np.array([1.0, -1.0]) - u) @ BASIS.T
    np.testing.assert_allclose(T(X), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(T.of_rows(X), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(T.of_rows(sparse.csr_matrix(X)), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(T.coordinates(sparse.csr_matrix(X)), u, atol=1e-13)
    assert T.of_rows(X.astype(np.float32)).dtype == np.float32


def test_inverse_and_what_lies_across():
    np.testing.assert_allclose(T.inverse().of_rows(T.of_rows(X)), X, atol=1e-12)
    moved = T.of_rows(X) - X
    across = moved - moved @ BASIS @ BASIS.T
    np.testing.assert_allclose(across, np.tile(ACROSS, (9, 1)), atol=1e-12)


def test_it_is_a_gradient_where_the_inner_map_is_one():
    jacobian = np.asarray(T.jacobian(jnp.asarray(X[0])))
    np.testing.assert_allclose(jacobian, jacobian.T, atol=1e-12)
    # Along the basis the stretch, across it the identity.
    expected = np.sort(np.r_[np.linalg.eigvalsh(STRETCH), np.ones(4)])
    np.testing.assert_allclose(np.linalg.eigvalsh(jacobian), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((BASIS[:, :1], np.zeros(6)), r"basis: got shape \(6, 1\) with a map of R\^2"),
        ((2.0 * BASIS, np.zeros(6)), "basis: got columns that are not orthonormal"),
        ((BASIS, np.zeros(6), BASIS[:, 0]), "shift: got a shift along the basis"),
        ((BASIS, np.full(6, np.nan)), "centre: got NaN"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SubspaceMap(AffineMap.identity(2), *arguments)


def test_it_passes_through_jit():
    moved = jax.jit(lambda map, x: map(x))(T, jnp.asarray(X))
    np.testing.assert_allclose(moved, T.of_rows(X), rtol=1e-12, atol=1e-12)
