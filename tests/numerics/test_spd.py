"""Roots, Bures distance and the Gaussian map."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from brenier.numerics import bures_squared, gaussian_map_matrix, inverse_sqrtm_spd, sqrtm_spd

RNG = np.random.default_rng(0)


def _spd(eigenvalues):
    turn = np.linalg.qr(RNG.standard_normal((len(eigenvalues),) * 2))[0]
    return jnp.asarray(turn @ np.diag(eigenvalues) @ turn.T)


S, C = _spd([3.0, 1.0, 0.2, 0.01]), _spd([5.0, 2.0, 1.0, 0.5])
SINGULAR = _spd([1.0, 1e-7, 1e-15, 0.0])


def test_roots_against_scipy():
    root = sqrtm(np.asarray(S))
    np.testing.assert_allclose(sqrtm_spd(S), root, atol=1e-14)
    np.testing.assert_allclose(inverse_sqrtm_spd(S), np.linalg.inv(root), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("source", [S, SINGULAR], ids=["regular", "singular"])
def test_roots_multiply_back(source):
    root = sqrtm_spd(source)
    np.testing.assert_allclose(root @ root, source, atol=1e-15 * 4)
    # S^{1/2} S^{-1/2} is the projection on the eigenvectors above 4 u λ_max; the inverse root grows
    # to 3e7 there, by which rounding is multiplied.
    projection = root @ inverse_sqrtm_spd(source)
    np.testing.assert_allclose(projection @ root, root, atol=1e-8)
    assert np.isfinite(projection).all()


def test_bures_in_closed_form():
    naive = (
        np.trace(S)
        + np.trace(C)
        - 2 * np.trace(sqrtm(sqrtm(np.asarray(S)) @ np.asarray(C) @ sqrtm(np.asarray(S))).real)
    )
    np.testing.assert_allclose(bures_squared(S, C), naive, rtol=1e-12)
    # Scaling by (1 + h)² moves each root by h of itself: h² tr S, of which the usual formula
    # keeps nothing at h = 1e-8.
    h = 1e-8
    np.testing.assert_allclose(bures_squared(S, (1 + h) ** 2 * S), h**2 * np.trace(S), rtol=1e-4)
    np.testing.assert_allclose(bures_squared(SINGULAR, C), bures_squared(C, SINGULAR), rtol=1e-12)


def test_gaussian_map():
    A = gaussian_map_matrix(S, C)
    np.testing.assert_allclose(A @ S @ A, C, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(A, A.T, atol=1e-13)
    assert np.linalg.eigvalsh(A).min() > 0
    # E‖X − AX‖² = tr (I − A)S(I − A) is the Bures distance: A is the cheapest of all maps.
    cost = np.trace((np.eye(4) - A) @ S @ (np.eye(4) - A))
    np.testing.assert_allclose(cost, bures_squared(S, C), rtol=1e-11)


def test_gaussian_map_of_a_flat_source():
    flat = jnp.diag(jnp.array([4.0, 1e-13, 0.0]))
    C3 = _spd([2.0, 1.0, 0.5])
    A = gaussian_map_matrix(flat, C3)
    assert np.isfinite(A).all()
    # On the range of S it is a map onto C there; the kernel stays put at 0.
    np.testing.assert_allclose((A @ flat @ A)[:2, :2], C3[:2, :2], rtol=1e-6)
    assert not np.any(A[2])
