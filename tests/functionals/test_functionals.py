"""Each Wasserstein gradient against finite differences of its functional; values against others."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import energy_distance

from brenier.functionals import (
    MMD,
    Energy,
    GaussianKernel,
    InteractionEnergy,
    LaplaceKernel,
    Moving,
    PotentialEnergy,
    SinkhornDivergence,
)
from brenier.functionals._target import draw_target
from brenier.measures import Empirical, Gaussian

KEY = jax.random.key(0)


@eqx.filter_jit
def _value(functional, points, target):
    return functional.value(Moving(points), target, key=KEY)


@eqx.filter_jit
def _gradient(functional, points, target):
    return functional.gradient(Moving(points), target, key=KEY)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


FUNCTIONALS = {
    "energy distance": MMD(),
    "gaussian kernel": MMD(GaussianKernel(1.5)),
    "laplace kernel": MMD(LaplaceKernel(0.7), target_size=20),
    "sinkhorn": SinkhornDivergence(1.0, tolerance=1e-10),
    "potential": PotentialEnergy(lambda y: jnp.sum(y**4) + y[0]),
    # Singular at 0: the pairs (i, i) are to be left out.
    "interaction": InteractionEnergy(lambda z: -0.5 * jnp.log(z @ z)),
}
TARGETS = {
    "gaussian": Gaussian.standard,
    "atoms": lambda d: Empirical(jax.random.normal(KEY, (30, d)), np.arange(1.0, 31.0)),
}


# Above d = 8 distances are computed another way.
@pytest.mark.parametrize(
    ("name", "target", "dimension"),
    [
        ("energy distance", "gaussian", 2),
        ("energy distance", "atoms", 12),
        ("gaussian kernel", "atoms", 2),
        ("laplace kernel", "gaussian", 12),
        ("sinkhorn", "atoms", 2),
        ("potential", "gaussian", 2),
        ("interaction", "gaussian", 2),
    ],
)
def test_gradient_is_the_derivative_of_the_value(name, target, dimension, rng):
    functional, target = FUNCTIONALS[name], TARGETS[target](dimension)
    y = rng.normal(size=(25, dimension)) + 0.3
    v = rng.normal(size=y.shape)
    h = 1e-5

    @jax.jit
    def look(y):
        values = jax.lax.map(
            lambda z: functional.value(Moving(z), target, key=KEY),
            jnp.stack([y + h * v, y - h * v]),
        )
        return values, functional.gradient(Moving(y), target, key=KEY)

    (above, below), gradient = look(jnp.asarray(y))
    # n ∂F/∂y_i = ∇_W F(y_i); central differences err by h² times third derivatives: 1e-6 at most.
    np.testing.assert_allclose(
        np.mean(np.sum(gradient * v, axis=1)), (above - below) / (2 * h), rtol=2e-6, atol=1e-8
    )


@pytest.mark.parametrize(
    ("kernel", "profile"),
    [
        (Energy(), lambda r: -r),
        (GaussianKernel(0.5), lambda r: np.exp(-2.0 * r**2)),
        (LaplaceKernel(0.5), lambda r: np.exp(-2.0 * r)),
    ],
)
def test_mmd_is_the_double_sum_over_weighted_atoms(kernel, profile, rng):
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(9, 3))
    b = rng.uniform(size=9)
    points, signed = np.concatenate([x, y]), np.concatenate([np.full(6, 1 / 6), -b / b.sum()])
    k = profile(np.linalg.norm(points[:, None] - points[None], axis=-1))
    value = _value(MMD(kernel), x, Empirical(y, b))
    np.testing.assert_allclose(value, 0.5 * signed @ k @ signed, rtol=1e-12)


def test_energy_distance_on_the_line_agrees_with_scipy(rng):
    x, y = rng.normal(size=(40, 1)), rng.normal(size=(50, 1)) + 1.0
    value = _value(MMD(), x, Empirical(y))
    # scipy's is the square root of 2E|X − Y| − E|X − X'| − E|Y − Y'|.
    np.testing.assert_allclose(2.0 * value, energy_distance(x[:, 0], y[:, 0]) ** 2, rtol=1e-10)


@pytest.mark.parametrize("dimension", [2, 12])
def test_energy_distance_of_a_cloud_to_itself_is_zero(dimension, rng):
    x = 100.0 + rng.normal(size=(50, dimension))
    # A difference of sums of about 2 √d: rounding leaves some 1e-15 of that.
    assert abs(float(_value(MMD(), x, Empirical(x)))) < 1e-13
    assert float(jnp.abs(_gradient(MMD(), x, Empirical(x))).max()) < 1e-12


def test_tiles_give_what_the_whole_matrix_gives(rng):
    x, y = jnp.asarray(rng.normal(size=(2100, 2))), jnp.asarray(rng.normal(size=(2300, 2)))
    b = jnp.full(2300, 1 / 2300)
    for kernel in (Energy(), GaussianKernel(0.3)):
        parts = [kernel.mean_gradient(rows, y, b) for rows in jnp.split(x, 2)]
        np.testing.assert_allclose(
            kernel.mean_gradient(x, y, b), jnp.concatenate(parts), rtol=1e-10, atol=1e-13
        )


def test_sinkhorn_divergence_of_a_translate_is_half_its_square(rng):
    # Exact for every ε: the cost splits into ½|t|² and terms that the self-transports cancel.
    x, t = rng.normal(size=(30, 2)), np.array([3.0, -4.0])
    functional = SinkhornDivergence(tolerance=1e-9)
    target = Empirical(x + t)
    np.testing.assert_allclose(_value(functional, x, target), 12.5, rtol=1e-7)
    np.testing.assert_allclose(_gradient(functional, x, target), np.tile(-t, (30, 1)), rtol=1e-6)


def test_sinkhorn_divergence_agrees_with_pot(rng):
    import ot

    x, y, b = rng.normal(size=(12, 2)), rng.normal(size=(15, 2)) + 1.0, rng.uniform(size=15)
    a, b, epsilon = np.full(12, 1 / 12), b / b.sum(), 0.7

    def entropic(x, y, a, b):
        cost = 0.5 * ot.dist(x, y)
        plan = ot.bregman.sinkhorn_log(a, b, cost, epsilon, numItermax=5000, stopThr=1e-12)
        return np.sum(plan * cost) + epsilon * np.sum(plan * np.log(plan / np.outer(a, b)))

    exact = entropic(x, y, a, b) - 0.5 * entropic(x, x, a, a) - 0.5 * entropic(y, y, b, b)
    functional = SinkhornDivergence(epsilon, tolerance=1e-10)
    value = _value(functional, x, Empirical(y, b))
    np.testing.assert_allclose(value, exact, rtol=1e-8)


def test_interaction_of_two_particles_in_closed_form():
    pair, target = np.array([[0.0, 0.0], [2.0, 0.0]]), Gaussian.standard(2)
    repulsion = InteractionEnergy(lambda z: -jnp.log(jnp.linalg.norm(z)))
    np.testing.assert_allclose(_value(repulsion, pair, target), -0.5 * np.log(2.0))
    np.testing.assert_allclose(
        _gradient(repulsion, pair, target), [[0.5, 0.0], [-0.5, 0.0]], atol=1e-15
    )


def test_the_target_points_of_an_evaluation(rng):
    atoms = rng.normal(size=(30, 2))
    weights = np.arange(1.0, 31.0)
    whole, share = draw_target(Empirical(atoms, weights), None, 5, KEY)
    np.testing.assert_array_equal(whole, atoms)
    np.testing.assert_allclose(share, weights / weights.sum())
    some, _ = draw_target(Empirical(atoms), 29, 5, KEY)
    assert len(np.unique(some, axis=0)) == 29  # without replacement
    again, _ = draw_target(Empirical(atoms), 29, 5, KEY)
    np.testing.assert_array_equal(some, again)
    heavy, _ = draw_target(Empirical(atoms, 1.0 * (weights == 7)), 10, 5, KEY)
    np.testing.assert_array_equal(heavy, np.tile(atoms[6], (10, 1)))
    assert draw_target(Gaussian.standard(2), None, 5, KEY)[0].shape == (5, 2)
    assert draw_target(Gaussian.standard(2), 8, 5, KEY)[0].shape == (8, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianKernel(0.0), r"bandwidth: got 0\.0"),
        (lambda: LaplaceKernel(-1.0), r"bandwidth: got -1\.0"),
        (lambda: MMD(target_size=0), "target_size: got 0"),
        (lambda: SinkhornDivergence(0.0), r"epsilon: got 0\.0"),
        (lambda: SinkhornDivergence(tolerance=-1.0), r"tolerance: got -1\.0"),
    ],
)
def test_bad_configuration(make, message):
    with pytest.raises(ValueError, match=message):
        make()
