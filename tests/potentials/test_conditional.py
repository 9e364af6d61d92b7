"""Potentials of conditions: convex in x whatever the condition and the parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics import Kriging
from brenier.potentials import (
    ICNN,
    AbstractConditionalPotential,
    Blended,
    ConditionalGaussian,
    ConditionalMixture,
    LogSumExp,
    PartialICNN,
    Quadratic,
    Unconditional,
)
from brenier.potentials.host import CompiledPotential, HostQuadratic, on_host

KEY = jax.random.key(0)
BENT = LogSumExp.identity(KEY, 2, 5)
DOSES = jnp.array([[-1.0], [0.0], [2.0]])
DOUBLE = Quadratic.from_matrix(2.0 * jnp.eye(2), jnp.ones(2))


def line(values: np.ndarray) -> Kriging:
    """Values of two columns or four, of any size."""
    return Kriging(DOSES, values[:2], values[2:5], jnp.ones(()), (0,))


GAUSSIAN = ConditionalGaussian(
    Unconditional(BENT, (0,)),
    line(jax.random.normal(KEY, (5, 4))),
    line(jax.random.normal(KEY, (5, 2))),
)


def moving(code: tuple[int, ...], pieces: int = 3) -> PartialICNN:
    """A network all of whose parameters move with the condition."""
    network = ICNN.identity(KEY, 2, (4, 3), activation="squareplus", pieces=pieces, quadratic=0.5)
    still = PartialICNN.identity(network, code, 2, key=KEY)
    leaves, structure = jax.tree.flatten(still)
    keys = jax.random.split(KEY, len(leaves))
    moved = [z + 0.3 * jax.random.normal(k, z.shape) for z, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, moved)


POTENTIALS: dict[str, Callable[[], AbstractConditionalPotential]] = {
    "unconditional": lambda: Unconditional(BENT, (0,)),
    "blended": lambda: Blended([BENT, DOUBLE, Quadratic.identity(2)], DOSES, (0,)),
    "gaussian": lambda: GAUSSIAN,
    "network": lambda: moving((0,)),
    "mixture": lambda: ConditionalMixture(
        [GAUSSIAN, Unconditional(DOUBLE, (0,))], jnp.array([[0.4, 0.6], [1.0, 0.0]]), DOSES
    ),
}


@pytest.mark.daily("network")
@pytest.mark.parametrize("name", POTENTIALS)
@pytest.mark.parametrize(
    "dose", [0.5, *(pytest.param(d, marks=pytest.mark.slow) for d in (-3.0, 2.0))]
)
def test_convex_in_x_and_one_potential_at_each_condition(name, dose):
    phi, c = POTENTIALS[name](), jnp.array([dose])
    x = 3.0 * jax.random.normal(KEY, (12, 2))
    here = phi.at(c)
    assert phi.dimension == here.dimension == 2
    assert phi.layout == (0,)
    np.testing.assert_allclose(phi(x, c), here(x))
    np.testing.assert_allclose(phi.gradient(x, c), here.gradient(x))
    eigenvalues = np.linalg.eigvalsh(here.hessian(x))
    assert (eigenvalues >= float(here.strong_convexity()) - 1e-9 * eigenvalues.max()).all()
    assert eigenvalues.min() > 0


def test_a_blend_is_its_parts_at_the_knots_and_between_them():
    phi = POTENTIALS["blended"]()
    assert isinstance(phi, Blended)
    for dose, weights in (
        (-1.0, (1, 0, 0)),
        (-0.25, (0.25, 0.75, 0)),
        (1.0, (0, 0.5, 0.5)),
        (9.0, (0, 0, 1)),
        (-9.0, (1, 0, 0)),
    ):
        np.testing.assert_allclose(phi.weights(jnp.array([dose])), weights, atol=1e-12)


def test_a_blend_of_categories_takes_their_own_and_of_others_all():
    codes = jnp.array([[1.0, 0, 0.0], [0, 1.0, 0.0], [0, 1.0, 1.0]])
    phi = Blended([BENT] * 3, codes, (2, 0))
    for code, weights in (
        ((1, 0, 5.0), (1, 0, 0)),
        ((0, 1, 0.25), (0, 0.75, 0.25)),
        ((0, 0, 1.0), (0, 0, 1)),
        ((0, 0, 0.0), (0.5, 0.5, 0)),
    ):
        np.testing.assert_allclose(phi.weights(jnp.array(code)), weights, atol=1e-12)
    many = Blended([BENT] * 3, jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), (0, 0))
    np.testing.assert_allclose(many.weights(jnp.array([1.0, 0.0])), [0, 1, 0], atol=1e-9)


def test_other_weights_where_the_category_was_not_seen():
    parts = [Unconditional(Quadratic.identity(2), (3,)), Unconditional(DOUBLE, (3,))]
    phi = ConditionalMixture(parts, jnp.eye(2), jnp.eye(3)[:2])
    x = jnp.array([1.0, 2.0])
    np.testing.assert_allclose(phi.gradient(x, jnp.eye(3)[0]), x)
    np.testing.assert_allclose(phi.gradient(x, jnp.zeros(3)), 2.0 * x + 1.0)


def test_a_quadratic_potential_is_one_on_the_host():
    affine = ConditionalGaussian(
        Unconditional(DOUBLE, (0,)), GAUSSIAN.logarithm, GAUSSIAN.shift
    ).at(jnp.array([0.5]))
    found = on_host(affine)
    assert isinstance(found, HostQuadratic)
    x = np.asarray(jax.random.normal(KEY, (5, 2)))
    np.testing.assert_allclose(found.expand(x).gradient, affine.gradient(x), rtol=1e-9)
    assert isinstance(on_host(GAUSSIAN.at(jnp.array([0.5]))), CompiledPotential)


def test_shapes_that_do_not_match_are_named():
    with pytest.raises(ValueError, match=r"knots: got shape \(3, 1\); wants \(2, 1\)"):
        Blended([BENT, BENT], DOSES, (0,))
    with pytest.raises(ValueError, match=r"weights: got shape \(2, 2\)"):
        ConditionalMixture([GAUSSIAN], jnp.eye(2), DOSES)
    with pytest.raises(ValueError, match=r"logarithm, shift: got \(2, 2\) values; wants \(4, 2\)"):
        ConditionalGaussian(Unconditional(BENT, (0,)), GAUSSIAN.shift, GAUSSIAN.shift)


@pytest.mark.slow
def test_a_network_is_the_same_at_every_condition_to_begin_with_and_then_moves():
    network = ICNN.identity(KEY, 2, (4,), pieces=3)
    still = PartialICNN.identity(network, (2, 0), key=KEY)
    x = jax.random.normal(KEY, (5, 2))
    for c in (jnp.array([1.0, 0.0, -2.0]), jnp.zeros(3)):
        np.testing.assert_allclose(still(x, c), network(x), rtol=1e-12)
    phi = moving((0,), pieces=0)
    assert phi.slopes.shape == (0, 3)
    assert np.ptp(np.asarray([phi(x, jnp.array([c])) for c in (-1.0, 0.0, 1.0)]), axis=0).min() > 0


def test_the_width_of_what_moves_a_network_is_checked():
    with pytest.raises(ValueError, match="width: got 0; wants"):
        PartialICNN.identity(ICNN.identity(KEY, 2, (4,)), (0,), 0, key=KEY)
