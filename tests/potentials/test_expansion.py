"""The closed forms of derivatives against differentiating the value twice."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics import conjugate
from brenier.potentials import (
    ICNN,
    AbstractPotential,
    LogSumExp,
    Preconditioned,
    Quadratic,
    conjugate_points,
    expansion,
)


def _network(dimension: int, widths: tuple[int, ...], activation: str, pieces: int) -> ICNN:
    return ICNN.identity(
        jax.random.key(0),
        dimension,
        widths,
        activation=activation,
        share=0.4,
        sharpness=3.0,
        pieces=pieces,
    )


def _with_quadratic_layers(network: ICNN) -> ICNN:
    random = np.random.default_rng(0)
    quadratic = tuple(jnp.asarray(random.normal(size=own.shape)) for own in network.inputs)
    return dataclasses.replace(network, quadratic=quadratic)


def _in_coordinates(potential: AbstractPotential) -> Preconditioned:
    random = np.random.default_rng(0)
    mixed = random.normal(size=(3, 3))
    covariance = mixed @ mixed.T + np.eye(3)
    linear = Preconditioned.gaussian(random.normal(size=3), np.eye(3), np.ones(3), covariance)
    return dataclasses.replace(linear, potential=potential)


@pytest.mark.parametrize(
    "potential",
    [
        _network(1, (3,), "softplus", 0),
        _network(3, (5, 4, 2), "squareplus", 6),
        _with_quadratic_layers(_network(3, (5, 4, 2), "squareplus", 0)),
        LogSumExp.identity(jax.random.key(0), 2, 4),
        _in_coordinates(_network(3, (5, 4), "softplus", 6)),
    ],
    ids=["one layer", "layers and pieces", "quadratic layers", "differentiated", "in coordinates"],
)
def test_expansion_is_what_jax_gives(potential):
    x = jax.random.normal(jax.random.key(1), (20, potential.dimension))
    found = eqx.filter_jit(lambda phi: jax.vmap(lambda point: expansion(phi, point))(x))(potential)
    expected = eqx.filter_jit(
        lambda phi: (
            jax.vmap(phi.value)(x),
            jax.vmap(jax.grad(phi.value))(x),
            jax.vmap(jax.hessian(phi.value))(x),
        )
    )(potential)
    # Sums of some tens of terms of size one, in double precision.
    for own, theirs, error in zip(found, expected, (1e-13, 1e-13, 1e-12), strict=True):
        np.testing.assert_allclose(own, theirs, rtol=error, atol=error)


@pytest.mark.slow
def test_conjugate_is_the_same_by_either_hessian():
    potential = _in_coordinates(_network(3, (5, 4), "squareplus", 6))
    y = 2.0 * jax.random.normal(jax.random.key(1), (20, 3))
    found, expected = conjugate_points(potential, y), conjugate(potential.value, y)
    np.testing.assert_allclose(found.point, expected.point, rtol=1e-8, atol=1e-8)
    assert float(found.residual.max()) < 1e-9


def test_the_gaussian_map_is_inverted_by_its_guess():
    random = np.random.default_rng(3)
    matrix = jnp.asarray(random.normal(size=(3, 3)))
    shifts = jnp.asarray(1e3 * random.normal(size=(2, 3)))
    phi = Preconditioned(Quadratic.identity(3), matrix, *shifts, jnp.array(7.0))
    x = shifts[0] + jnp.asarray(random.normal(size=(5, 3)))
    found = conjugate_points(phi, phi.gradient(x), tolerance=1e-9)
    assert int(jnp.max(found.iterations)) == 0
    np.testing.assert_allclose(found.point, x, rtol=1e-9)


def test_coordinates_without_an_inverse_leave_a_guess():
    phi = Preconditioned(
        Quadratic.identity(2),
        jnp.diag(jnp.array([1.0, 0.0])),
        jnp.zeros(2),
        jnp.zeros(2),
        jnp.array(1.0),
    )
    found = conjugate_points(phi, jnp.array([[3.0, 0.0]]))
    np.testing.assert_allclose(phi.gradient(found.point), [[3.0, 0.0]], atol=1e-9)
