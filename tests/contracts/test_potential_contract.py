"""What every potential keeps to, whatever its parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brenier.grids import GridPotential, Torus
from brenier.potentials import (
    ICNN,
    EntropicGridPotential,
    LogSumExp,
    MaxAffine,
    Mixture,
    Preconditioned,
    Quadratic,
    Separable,
    SoftMaximum,
)
from brenier.problems import RadialPotential, SeparablePotential

KEY = jax.random.key(0)
BASE = LogSumExp.identity(KEY, 2, 6)
POTENTIALS = {
    "quadratic": Quadratic.identity(2, floor=0.1),
    "max-affine": MaxAffine.identity(KEY, 2, 6),
    "log-sum-exp": BASE,
    "icnn": ICNN.identity(KEY, 2, (6, 4)),
    "icnn-squareplus": ICNN.identity(KEY, 2, (5,), activation="squareplus"),
    "icnn-pieces": ICNN.identity(KEY, 2, (3,), pieces=4),
    "soft-maximum": SoftMaximum.random(KEY, 2, 6, share=0.5),
    "preconditioned": Preconditioned(BASE, jnp.eye(2), jnp.zeros(2), jnp.zeros(2), jnp.ones(())),
}
WAVES = Torus([0.0, 0.0], [2 * np.pi, 2 * np.pi], [16, 16])
# Not learned: their few parameters are bounded by their constructors.
FIXED = {
    "radial": RadialPotential(jnp.zeros(2), -0.4, 0.5),
    "separable": SeparablePotential(jnp.array([3.0, -0.9])),
    "grid": GridPotential.from_grid(
        WAVES, 0.4 * np.cos(WAVES.points()).sum(axis=-1) + 0.1 * np.sin(WAVES.points().sum(axis=-1))
    ),
}


_SIDES = (jnp.linspace(-2.0, 2.0, 5), jnp.linspace(-1.0, 2.0, 4))
_MASSES = jnp.sin(jnp.arange(20.0).reshape(5, 4))
FIXED["entropic-grid"] = EntropicGridPotential(_MASSES, _SIDES, jnp.array(0.4))
_COLUMNS = Separable(
    jnp.array([[1.0, 0.5], [-0.3, 2.0]]),
    jnp.array([[-1.0, 0.0, 2.0], [-1e-4, 0.0, 1e-4]]),
    jnp.array([[-2.0, 0.1, 0.2], [-1.0, 0.3, 1.0]]),
    jnp.array([[0.5, 2.5], [1.0, 0.7]]),
)
FIXED["columns"] = _COLUMNS
FIXED["mixture"] = Mixture([BASE, _COLUMNS, FIXED["radial"]], [0.5, 0.3, 0.7])
FIXED["entropic-torus"] = EntropicGridPotential(_MASSES, _SIDES, jnp.array(0.4), (5.0, 4.0))


@eqx.filter_jit
def _look(phi, x):
    return phi(x), phi.gradient(x), phi.hessian(x), phi.strong_convexity()


def _check_convex(phi, seed):
    x = 3.0 * jax.random.normal(jax.random.key(seed), (12, 2))
    values, gradients, hessians, modulus = (np.asarray(a) for a in _look(phi, x))
    assert np.isfinite(values).all()
    step = np.asarray(x[:, None] - x[None])
    slopes = np.linalg.norm(gradients, axis=1)
    squares = np.sum(step**2, axis=-1)
    # Rounding: some units in the last place of the terms that are summed.
    tolerance = 1e-12 * (np.add.outer(slopes, slopes) * np.sqrt(squares) + modulus * squares)
    monotone = np.sum((gradients[:, None] - gradients[None]) * step, axis=-1)
    assert (monotone >= modulus * squares - tolerance).all()
    tangent = values[None] + np.sum(gradients[None] * step, axis=-1)
    above = values[:, None] - tangent - 0.5 * modulus * squares
    scale = np.abs(values)
    assert (above >= -tolerance - 1e-12 * np.add.outer(scale, scale)).all()
    # Second derivatives cancel: slopes of 10 over a temperature of e⁻⁹ leave 1e-10 of rounding.
    rounding = 1e-9 + 1e-11 * np.abs(hessians).max()
    np.testing.assert_allclose(hessians, np.swapaxes(hessians, 1, 2), atol=rounding)
    assert (np.linalg.eigvalsh(hessians)[:, 0] >= modulus - rounding).all()


@pytest.mark.parametrize("name", POTENTIALS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([0.1, 1.0, 3.0]))
def test_convex_for_every_parameter(name, seed, scale):
    leaves, structure = jax.tree.flatten(POTENTIALS[name])
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    moved = [
        jnp.asarray(leaf + scale * jax.random.normal(key, leaf.shape))
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    _check_convex(jax.tree.unflatten(structure, moved), seed)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_potentials_are_convex(name):
    _check_convex(FIXED[name], 0)


@pytest.mark.parametrize("name", POTENTIALS | FIXED)
def test_modulus_and_repr(name):
    phi = (POTENTIALS | FIXED)[name]
    assert float(phi.strong_convexity()) >= 0
    assert repr(phi).startswith(type(phi).__name__)


def test_any_leading_axes():
    x = jax.random.normal(KEY, (6, 2))
    for flat, shaped in zip(_look(BASE, x), _look(BASE, x.reshape(2, 3, 2)), strict=True):
        assert shaped.shape[:2] in [(2, 3), ()]
        np.testing.assert_allclose(shaped.reshape(flat.shape), flat, rtol=1e-12, atol=1e-14)
