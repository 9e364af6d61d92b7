"""Gauss-Newton on the semi-dual finds the map between two clouds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics import flatten_parameters
from brenier.potentials import ICNN, LogSumExp, Quadratic, minimise_semi_dual
from brenier.potentials import _semi_dual as module

_KEYS = jax.random.split(jax.random.key(0), 3)
_X = jax.random.normal(_KEYS[0], (600, 2))


def _bent(x):
    return x + 0.5 * jnp.tanh(2.0 * x)


def _error(potential):
    test = jax.random.normal(_KEYS[1], (500, 2))
    wanted = _bent(test)
    return float(jnp.mean(jnp.sum((potential.gradient(test) - wanted) ** 2, axis=1)) / 4.0)


def test_a_quadratic_becomes_the_gaussian_map():
    matrix = jnp.array([[2.0, 0.5], [0.5, 1.0]])
    fit = minimise_semi_dual(Quadratic.identity(2, floor=0.1), _X, _X @ matrix + 1.0)
    # The images of the sample itself: the minimiser is exact, not up to sampling.
    np.testing.assert_allclose(fit.potential.gradient(_X), _X @ matrix + 1.0, atol=2e-2)


# Compiles long.
@pytest.mark.slow
def test_a_bend_is_found_and_the_objective_falls_to_its_bound():
    start = LogSumExp.identity(_KEYS[2], 2, 30, scale=3.0, temperature=1.0)
    fit = minimise_semi_dual(start, _X, _bent(_X), start=_X)
    floor = float(jnp.mean(jnp.sum(_X * _bent(_X), axis=1)))
    assert 0.0 <= float(fit.value) - floor < 2e-3
    assert _error(fit.potential) < 0.01


@pytest.mark.slow
def test_conjugate_gradients_take_the_same_step(monkeypatch):
    start = ICNN.identity(_KEYS[2], 2, (3,), activation="squareplus", sharpness=2.0)
    flat, rebuild = flatten_parameters(start)
    slope = jnp.sin(jnp.arange(flat.size, dtype=float))
    damping = jnp.asarray(0.1)
    dense, model = module._newton_step(flat, rebuild, _X[:20], slope, damping)
    # Exact scales in place of probed ones, so that the two steps solve the same system.
    monkeypatch.setattr(module, "_DENSE_PARAMETERS", 0)
    monkeypatch.setattr(
        module,
        "probed_squares",
        lambda transposed, residual: jnp.sum(
            jax.vmap(transposed)(jnp.eye(residual.size).reshape(-1, *residual.shape)) ** 2, axis=0
        ),
    )
    sparse, other = module._newton_step(flat, rebuild, _X[:20], slope, damping)
    np.testing.assert_allclose(sparse, dense, atol=5e-3 * float(jnp.abs(dense).max()))
    np.testing.assert_allclose(other, model, rtol=5e-3)
