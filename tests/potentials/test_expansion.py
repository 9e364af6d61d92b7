"""The closed form of a network's derivatives against differentiating twice."""

import equinox as eqx
import jax
import numpy as np
import pytest

from brenier.potentials import ICNN, LogSumExp, expand


@pytest.mark.parametrize(("dimension", "widths", "activation", "pieces"), [
    (1, (3,), "softplus", 0), (3, (5, 4, 2), "squareplus", 6),
])
def test_layers_give_what_jax_gives(dimension, widths, activation, pieces):
    potential = ICNN.identity(
        jax.random.key(0), dimension, widths, activation=activation, share=0.4, sharpness=3.0,
        pieces=pieces,
    )
    x = jax.random.normal(jax.random.key(1), (20, dimension))
    value, gradient, hessian = eqx.filter_jit(expand)(potential, x)
    # Sums of some tens of terms of size one, in double precision.
    np.testing.assert_allclose(value, eqx.filter_jit(potential)(x), atol=1e-13)
    np.testing.assert_allclose(gradient, eqx.filter_jit(potential.gradient)(x), atol=1e-13)
    np.testing.assert_allclose(hessian, eqx.filter_jit(potential.hessian)(x), atol=1e-12)


def test_other_potentials_are_differentiated():
    potential = LogSumExp.identity(jax.random.key(0), 2, 4)
    x = jax.random.normal(jax.random.key(1), (3, 2))
    hessian = eqx.filter_jit(potential.hessian)(x)
    np.testing.assert_allclose(eqx.filter_jit(expand)(potential, x)[2], hessian, rtol=1e-12)
