"""Mixtures of convex potentials: sums with weights of values, gradients and curvatures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.maps import GradientMap
from brenier.potentials import (
    ICNN,
    LogSumExp,
    Mixture,
    Preconditioned,
    Quadratic,
    Separable,
    conjugate_points,
    expansion,
)

KEY = jax.random.key(0)
_MATRIX = jnp.array([[2.0, 0.5], [0.5, 1.0]])
# An atom of width 2e-4 in the first coordinate.
_SEPARABLE = Separable(
    jnp.array([[1.0, 0.3], [0.0, 1.0]]),
    jnp.array([[-1e-4, 0.0, 1e-4], [-1.0, 0.0, 1.0]]),
    jnp.array([[-1.5, 0.1, 1.5], [-2.0, 0.5, 0.6]]),
    jnp.array([[1.0, 0.5], [2.0, 0.3]]),
)
PARTS = (
    Quadratic.from_matrix(_MATRIX, jnp.array([1.0, -1.0])),
    LogSumExp.identity(KEY, 2, 6, temperature=0.3),
    _SEPARABLE,
    Preconditioned(
        ICNN.identity(KEY, 2, (5,), activation="squareplus"),
        jnp.array([[1.5, 0.2], [0.0, 0.8]]),
        jnp.ones(2),
        -jnp.ones(2),
        jnp.array(2.0),
    ),
)
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.6])
PHI = Mixture(PARTS, WEIGHTS)
X = jax.random.normal(jax.random.key(1), (40, 2)) * jnp.array([1.5, 1.5])
# Some in the torn atom, where (Bx)_1 is about 0.
X = X.at[:10].set(jnp.stack([1e-4 * X[:10, 0] - 0.3 * X[:10, 1], X[:10, 1]], axis=1))


@eqx.filter_jit
def _look(phi, x):
    return phi(x), phi.gradient(x), phi.hessian(x)


@pytest.fixture(scope="module")
def looks():
    return [_look(phi, X) for phi in (*PARTS, PHI)]


def test_everything_is_the_sum_with_weights(looks):
    *parts, whole = looks
    for i in range(3):
        expected = sum(w * part[i] for w, part in zip(WEIGHTS, parts, strict=True))
        # Hessians of 1e4 in the atom.
        np.testing.assert_allclose(whole[i], expected, rtol=1e-12, atol=1e-11)


def test_expansion_is_what_jax_gives(looks):
    found = eqx.filter_jit(lambda phi: jax.vmap(lambda point: expansion(phi, point))(X))(PHI)
    for own, theirs in zip(found, looks[-1], strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-11, atol=1e-11)


def test_the_modulus_is_a_bound_and_exact_for_quadratics(looks):
    assert 0.0 < float(PHI.strong_convexity()) <= np.linalg.eigvalsh(looks[-1][2]).min()
    two = Mixture([Quadratic.identity(2), Quadratic.from_matrix(_MATRIX, jnp.ones(2))], [2.0, 0.5])
    exact = 2.0 + 0.5 * np.linalg.eigvalsh(_MATRIX)[0]
    np.testing.assert_allclose(two.strong_convexity(), exact, rtol=1e-14)


@pytest.mark.slow
def test_the_inverse_leads_back_in_atoms_and_outside_the_knots():
    forward = GradientMap(Mixture(PARTS[:3], WEIGHTS[:3]))
    x = jnp.concatenate([X, 20.0 * X[10:]])
    y = forward(x)
    # The residual of 1e-12 (1 + ‖y‖) over a modulus of more than 0.3.
    np.testing.assert_allclose(forward.inverse()(y), x, rtol=1e-10, atol=1e-10)


def test_a_conjugate_of_quadratics_in_closed_form():
    two = Mixture([Quadratic.identity(2), Quadratic.from_matrix(_MATRIX, jnp.ones(2))], [2.0, 0.5])
    matrix, y = 2.0 * np.eye(2) + 0.5 * np.asarray(_MATRIX), np.asarray(X[10:20])
    found = conjugate_points(two, jnp.asarray(y))
    expected = np.linalg.solve(matrix, (y - 0.5).T).T
    np.testing.assert_allclose(found.point, expected, rtol=1e-9, atol=1e-9)
    halves = 0.5 * np.sum(expected * (y - 0.5), axis=1)
    np.testing.assert_allclose(found.value, halves, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_a_part_that_is_most_of_it_guesses_well():
    """Where the weight of the rest is small, the inverse of the separable part is nearly it."""
    phi = Mixture([Quadratic.identity(2), _SEPARABLE], [1e-9, 1.0])
    found = conjugate_points(phi, _look(phi, X)[1], tolerance=1e-8)
    assert int(found.iterations.max()) <= 2
    np.testing.assert_allclose(found.point, X, rtol=1e-7, atol=1e-7)


def test_saved_and_loaded_bit_for_bit(tmp_path):
    brenier.save(tmp_path / "m.brenier", GradientMap(PHI))
    again = brenier.load(tmp_path / "m.brenier")
    assert isinstance(again.potential, Mixture)
    np.testing.assert_array_equal(again(X), GradientMap(PHI)(X))


@pytest.mark.parametrize(
    ("parts", "weights"), [((), ()), (PARTS[:2], (1.0,)), (PARTS[:2], np.full((1, 2), 0.5))]
)
def test_a_weight_for_each_potential(parts, weights):
    with pytest.raises(ValueError, match=r"weights: got shape .* wants one for each of"):
        Mixture(parts, weights)
