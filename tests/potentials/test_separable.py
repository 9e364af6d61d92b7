"""Separable potentials: monotone maps of single coordinates, their inverse and their curvature."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import fixed_quad

import brenier
from brenier.maps import GradientMap
from brenier.potentials import Separable, conjugate_points, expansion

_AXES = np.array([[1.0, 0.5, 0.0], [-0.3, 2.0, 0.4], [0.2, 0.0, 0.7]])
# The second coordinate has an atom, torn over a width of 2e-4 to a width of 3; the third bends.
_KNOTS = np.array([[-1.0, 0.0, 0.5, 2.0], [-1e-4, 0.0, 1e-4, 1.0], [-2.0, -1.0, 1.0, 2.0]])
_IMAGES = np.array([[-2.0, 0.1, 0.2, 3.0], [-2.0, -0.5, 1.0, 1.4], [-1.0, 0.5, 0.6, 4.0]])
_ENDS = np.array([[0.5, 2.0], [1.0, 0.3], [2.5, 0.7]])


def _potential(axes=_AXES, knots=_KNOTS, images=_IMAGES, ends=_ENDS):
    return Separable(*(jnp.asarray(part) for part in (axes, knots, images, ends)))


PHI = _potential()


@eqx.filter_jit
def _look(phi, x):
    return phi(x), phi.gradient(x), phi.hessian(x), phi.strong_convexity()


def _monotone(z, i):
    """f_i' at numbers, from NumPy's interpolation."""
    t, q, (low, high) = _KNOTS[i], _IMAGES[i], _ENDS[i]
    inside = np.interp(z, t, q)
    return inside + low * np.minimum(z - t[0], 0.0) + high * np.maximum(z - t[-1], 0.0)


def _points():
    """Points, some of them in the torn atom and some far outside the knots."""
    z = 1.5 * np.random.default_rng(0).normal(size=(60, 3))
    z[:15, 1] *= 1e-4
    z[15:30] *= 20.0
    return np.linalg.solve(_AXES, z.T).T


def test_the_gradient_is_the_monotone_map_of_each_coordinate():
    x = _points()
    z = x @ _AXES.T
    images = np.stack([_monotone(z[:, i], i) for i in range(3)], axis=1)
    # Slopes of 1e4 in the atom times the rounding of z.
    np.testing.assert_allclose(_look(PHI, x)[1], images @ _AXES, rtol=1e-11, atol=1e-11)


def test_the_value_is_the_integral_of_the_monotone_maps():
    x = _points()
    rows = [0, 1, 2, 15, 16, 30, 31, 32]
    expected = [sum(_integral(z, i) for i, z in enumerate(_AXES @ x[row])) for row in rows]
    np.testing.assert_allclose(_look(PHI, x)[0][np.array(rows)], expected, rtol=1e-9, atol=1e-9)


def _integral(z, i):
    """∫ f_i' from the first knot to z: exact by Gauss-Legendre, piece by piece."""
    start = _KNOTS[i][0]
    inner = _KNOTS[i][(_KNOTS[i] > min(start, z)) & (_KNOTS[i] < max(start, z))]
    edges = np.array([start, *(inner if z > start else inner[::-1]), z])
    return sum(fixed_quad(_monotone, a, b, args=(i,), n=2)[0] for a, b in itertools.pairwise(edges))


def test_the_hessian_is_that_of_differences_and_of_its_closed_form():
    # Away from knots, where the second derivative jumps.
    z = np.array([[-0.5, 0.4, 0.3], [1.2, -2.0, -1.5], [3.0, 0.5e-4, -4.0], [-5.0, 7.0, 1.5]])
    z = np.tile(z, (15, 1))  # the shape that is compiled anyway
    x = np.linalg.solve(_AXES, z.T).T
    slopes = np.array([[_slope(zi, i) for i, zi in enumerate(row)] for row in z])
    expected = np.einsum("ij,ni,ik->njk", _AXES, slopes, _AXES)
    np.testing.assert_allclose(_look(PHI, x)[2], expected, rtol=1e-10, atol=1e-12)
    # Gradients are linear on every piece, so that differences only round; h within the atom.
    h = 1e-6
    for j in range(3):
        step = h * np.eye(3)[j]
        difference = (_look(PHI, x + step)[1] - _look(PHI, x - step)[1]) / (2 * h)
        np.testing.assert_allclose(difference, expected[:, :, j], rtol=1e-6, atol=1e-6)


def _slope(z, i):
    inside = np.diff(_IMAGES[i]) / np.diff(_KNOTS[i])
    return np.concatenate([_ENDS[i, :1], inside, _ENDS[i, 1:]])[np.searchsorted(_KNOTS[i], z)]


def test_expansion_is_what_jax_gives():
    x = jnp.asarray(_points())
    found = eqx.filter_jit(lambda phi: jax.vmap(lambda point: expansion(phi, point))(x))(PHI)
    for own, theirs in zip(found, _look(PHI, x)[:3], strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-13, atol=1e-13)


def test_the_modulus_is_a_bound_and_is_reached_by_orthogonal_axes():
    _, _, hessians, modulus = _look(PHI, _points())
    assert 0.0 < float(modulus) <= np.linalg.eigvalsh(hessians).min() * (1.0 + 1e-12)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    # Least of all slopes: 0.1/2 between the inner knots of the third coordinate.
    np.testing.assert_allclose(_look(_potential(axes=2.0 * turn), _points())[3], 4.0 * 0.05)


def test_the_inverse_is_exact_in_atoms_and_outside_the_knots():
    x = _points()
    values, y, _, _ = _look(PHI, x)
    # Residuals of 1e-12 (1 + ‖y‖) over the least slope 0.05 · 0.1.
    np.testing.assert_allclose(GradientMap(PHI).inverse()(y), x, rtol=1e-10, atol=1e-10)
    # The guess is the inverse itself: no step is needed, up to rounding.
    found = conjugate_points(PHI, y, tolerance=1e-9)
    assert int(found.iterations.max()) == 0
    np.testing.assert_allclose(found.point, x, rtol=1e-10, atol=1e-10)
    exact = jnp.sum(x * y, axis=1) - values
    np.testing.assert_allclose(found.value, exact, rtol=1e-12, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), steep=st.floats(-6.0, 6.0), count=st.integers(2, 6))
def test_any_increasing_knots_give_a_convex_potential_and_its_inverse(seed, steep, count):
    random = np.random.default_rng(seed)
    widths, rises = (np.exp(random.normal(size=(2, 6))) for _ in range(2))
    rises[0, 2] *= 10.0**steep
    # One shape for all counts, so that one program is compiled: the rest are far away.
    widths[:, count:] = 1e3
    knots, images = np.cumsum(widths, axis=1) - 3.0, np.cumsum(rises, axis=1) - 3.0
    axes = random.normal(size=(2, 2)) + 2.0 * np.eye(2)
    phi = _potential(axes, knots, images, np.exp(random.normal(size=(2, 2))))
    x = 3.0 * random.normal(size=(20, 2))
    values, gradients, modulus, back = map(np.asarray, _forth_and_back(phi, jnp.asarray(x)))
    condition = np.linalg.cond(axes) ** 2 * np.exp(3.0) * 10.0 ** abs(steep)
    np.testing.assert_allclose(back, x, atol=1e-14 * condition * (1.0 + np.abs(x).max()) * 100.0)
    apart = x[:, None] - x
    squares = np.sum(apart**2, axis=2)
    monotone = np.sum((gradients[:, None] - gradients) * apart, axis=2)
    size = np.abs(gradients).max() * np.abs(x).max()
    assert (monotone >= modulus * squares - 1e-11 * size).all()
    above = values[:, None] - values - np.sum(gradients * apart, axis=2) - 0.5 * modulus * squares
    assert (above >= -1e-11 * (size + np.abs(values).max())).all()


@eqx.filter_jit
def _forth_and_back(phi, x):
    gradients = phi.gradient(x)
    back = jax.vmap(phi.conjugate_point)(gradients)
    return phi(x), gradients, phi.strong_convexity(), back


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_saved_and_loaded_bit_for_bit(dtype, tmp_path):
    phi = jax.tree.map(lambda leaf: leaf.astype(dtype), PHI)
    brenier.save(tmp_path / "m.brenier", GradientMap(phi))
    again = brenier.load(tmp_path / "m.brenier")
    x = jnp.asarray(_points(), dtype)
    moved = GradientMap(phi)(x)
    assert moved.dtype == dtype
    np.testing.assert_array_equal(again(x), moved)
    assert isinstance(again.potential, Separable)
