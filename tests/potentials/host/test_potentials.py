"""Potentials on the host are those of JAX: values, gradients, Hessians, conjugates."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics import Coordinates, gaussian_map_matrix
from brenier.potentials import ICNN, Preconditioned, conjugate_points, expansion
from brenier.potentials.host import (
    CompiledPotential,
    HostLogSumExp,
    HostMixture,
    HostPotential,
    HostQuadratic,
    SoftPieces,
    compiled,
    fit_separable,
    gaussian_potential,
    host_conjugates,
)

RANDOM = np.random.default_rng(0)
_ATOMS = RANDOM.normal(size=(12, 3))
_OFFSETS = -0.5 * np.sum(_ATOMS**2, axis=1)


def soft_pieces(groups, pieces, rank, anchored, d=3):
    return SoftPieces(
        RANDOM.normal(size=(groups, pieces, d)),
        0.3 * RANDOM.normal(size=(groups, pieces)),
        0.3 * RANDOM.normal(size=groups) - 0.5,
        0.5 * RANDOM.normal(size=(rank, d)),
        RANDOM.normal(size=d),
        np.array([-0.8]),
        anchored,
        np.full(d, 6.0),
    )


def _separable():
    x = np.where(RANDOM.random((300, 3)) < 0.3, 0.0, RANDOM.gamma(1.0, size=(300, 3)))
    return fit_separable(x, RANDOM.normal(size=(300, 3)), np.eye(3) + 0.2 * _ATOMS[:3], 25)


_LOG_SUM_EXP = HostLogSumExp(_ATOMS, _OFFSETS, 0.2, 0.3)
_SEPARABLE = _separable()
_NETWORK = CompiledPotential(
    ICNN.identity(jax.random.key(0), 3, (6,), activation="squareplus"), np.dtype(np.float64)
)
POTENTIALS: dict[str, HostPotential] = {
    "identity": HostQuadratic.identity(3),
    "quadratic": HostQuadratic(
        _ATOMS[:3].T @ _ATOMS[:3] + 0.5 * np.eye(3), np.array([1.0, -2.0, 0.5])
    ),
    "log-sum-exp": _LOG_SUM_EXP,
    "separable": _SEPARABLE,
    "soft maximum": soft_pieces(1, 8, 3, False),
    "soft maximum without a quadratic": soft_pieces(1, 8, 0, False),
    "ridges": soft_pieces(6, 1, 3, True),
    "ridges without a quadratic": soft_pieces(6, 1, 0, True),
    "network": _NETWORK,
    "mixture": HostMixture(
        (HostQuadratic.identity(3), _LOG_SUM_EXP, _SEPARABLE, soft_pieces(6, 1, 3, True)),
        np.array([0.2, 0.3, 0.1, 0.4]),
    ),
    "mixture of one": HostMixture((_LOG_SUM_EXP,), np.ones(1)),
}
# Far outside, too, where exponentials would overflow that are not written with care.
X = RANDOM.normal(size=(40, 3)) * np.repeat([1.0, 30.0], 20)[:, None]


@eqx.filter_jit
def _expansions(potential, x):
    by_jax = potential(x), potential.gradient(x), potential.hessian(x)
    return by_jax, tuple(jax.vmap(lambda point: expansion(potential, point))(x))


@pytest.mark.parametrize("name", POTENTIALS)
def test_the_compiled_potential_is_the_same(name):
    potential = POTENTIALS[name]
    found = potential.expand(X)
    for theirs in _expansions(compiled(potential), jnp.asarray(X)):
        # Heights of 1e3 and Hessians of 1e3 (in atoms) round in their last places.
        for own, their, error in zip(found, theirs, (1e-12, 1e-11, 1e-9), strict=True):
            np.testing.assert_allclose(own, their, rtol=error, atol=error)
    np.testing.assert_allclose(potential.value(X), found.value, rtol=1e-13)
    assert potential.dimension == 3


def test_only_potentials_of_the_host_are_compiled():
    with pytest.raises(TypeError, match="potential"):
        compiled(object())


@pytest.mark.parametrize("name", POTENTIALS)
def test_conjugates_are_those_of_jax(name):
    potential = POTENTIALS[name]
    x = X[:20]
    y = potential.expand(x).gradient
    found = host_conjugates(potential, y, tolerance=1e-7, steps=200)
    exact = np.sum(x * y, axis=1) - potential.value(x)
    # What is left of the value is of a higher order in the decrement than tolerance² (1 + ‖y‖²).
    np.testing.assert_allclose(found.values, exact, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(potential.expand(found.points).gradient, y, atol=1e-4)
    if name not in ("log-sum-exp", "separable", "ridges"):
        return  # JAX's solver compiles long, and values are compared above
    theirs = conjugate_points(compiled(potential), jnp.asarray(y))
    np.testing.assert_allclose(found.values, theirs.value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["log-sum-exp", "ridges", "separable"])
def test_conjugates_at_the_tolerance_of_a_choice(name):
    """By default the error is below what tells candidates apart, from any start."""
    potential = POTENTIALS[name]
    y = potential.expand(X[:20]).gradient
    exact = np.sum(X[:20] * y, axis=1) - potential.value(X[:20])
    for start in (None, X[:20], 5.0 * RANDOM.normal(size=y.shape)):
        found = host_conjugates(potential, y, start)
        np.testing.assert_array_less(np.abs(found.values - exact), 1e-6 * (1 + np.sum(y**2, 1)))


def test_conjugates_do_not_touch_their_start():
    start = np.zeros((5, 3))
    host_conjugates(_LOG_SUM_EXP, X[:5], start)
    assert (start == 0.0).all()


def test_a_potential_in_other_coordinates():
    """What moves a fold's network into the coordinates of all points changes a constant only."""
    from brenier.potentials.host import between

    own, other = (
        Coordinates.gaussian(
            RANDOM.normal(size=3), a @ a.T + np.eye(3), RANDOM.normal(size=3), b @ b.T + np.eye(3)
        )
        for a, b in RANDOM.normal(size=(2, 2, 3, 3))
    )
    psi = _NETWORK.potential
    x = jnp.asarray(RANDOM.normal(size=(20, 3)))
    first, second = (
        Preconditioned.in_coordinates(phi, coordinates)
        for phi, coordinates in ((psi, own), (between(psi, own, other), other))
    )
    np.testing.assert_allclose(second.gradient(x), first.gradient(x), rtol=1e-10, atol=1e-10)
    assert float(jnp.std(second(x) - first(x))) < 1e-10


def test_the_gaussian_map_carries_moments_onto_moments():
    u, v = RANDOM.normal(size=(50, 3)) @ _ATOMS[:3], 2.0 + RANDOM.normal(size=(40, 3)) @ _ATOMS[3:6]
    fit = gaussian_potential(u, v)
    moved = fit.expand(u).gradient
    np.testing.assert_allclose(moved.mean(axis=0), v.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(v.T), rtol=1e-8, atol=1e-8)
    by_jax = gaussian_map_matrix(jnp.asarray(np.cov(u.T)), jnp.asarray(np.cov(v.T)))
    np.testing.assert_allclose(fit.matrix, by_jax, rtol=1e-7, atol=1e-7)
    assert gaussian_potential(u[:3], v) is None  # three points of three dimensions are flat
    one = gaussian_potential(u[:, :1], 3.0 * u[:, :1] - 1.0)
    np.testing.assert_allclose([one.matrix[0, 0], one.shift[0]], [3.0, -1.0], rtol=1e-9)
