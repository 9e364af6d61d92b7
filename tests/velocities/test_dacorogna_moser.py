"""Dacorogna and Moser's flow: exact on the line, mass and moments, order, what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import brenier
from brenier.grids import Box, Torus
from brenier.measures import Empirical, Gaussian
from brenier.velocities import DacorognaMoserVelocity, FlowMap

TAU = 2.0 * np.pi
PLANE = Torus([0.0, 0.0], [TAU, TAU], [32, 32])


def _flat(x):
    return 0.0 * x[0]


def _wave(x):
    return jnp.log(1.0 + 0.5 * jnp.cos(x[0]) + 0.3 * jnp.sin(x[1]) * jnp.cos(x[0] - 0.5))


def _slope(x):
    """Not flat at the border of a box."""
    return 0.8 * x[0] - 0.3 * x[0] ** 2


@pytest.fixture(scope="module")
def waves():
    return DacorognaMoserVelocity.between(_wave, lambda x: 0.6 * jnp.cos(x[1] + x[0]), PLANE)


@pytest.mark.slow
def test_of_one_coordinate_it_is_the_monotone_rearrangement():
    grid = Box([-1.0, 0.0], [2.0, 1.0], [97, 12])
    flow = FlowMap(DacorognaMoserVelocity.between(_slope, _flat, grid), 0.0, 1.0)
    x = np.array([[-0.8, 0.3], [0.1, 0.5], [1.7, 0.9]])
    total = quad(lambda t: np.exp(_slope([t])), -1.0, 2.0)[0]
    share = [quad(lambda t: np.exp(_slope([t])), -1.0, a)[0] / total for a in x[:, 0]]
    exact = np.stack([-1.0 + 3.0 * np.array(share), x[:, 1]], axis=1)
    # Order 2 with 96 intervals, for slopes at the border.
    np.testing.assert_allclose(flow(x), exact, atol=2e-4)


@pytest.mark.slow
def test_its_order_is_two_with_slopes_at_the_border_and_high_without():
    x = np.array([[0.2, 0.4], [1.3, 0.7]])

    def velocities(density, grids):
        return [
            np.asarray(DacorognaMoserVelocity.between(density, _flat, grid)(0.5, x))
            for grid in grids
        ]

    def errors(values):
        return [np.abs(value - values[-1]).max() for value in values[:-1]]

    boxes = [Box([-1.0, 0.0], [2.0, 1.0], [n + 1, 13]) for n in (24, 48, 384)]
    coarse, fine = errors(velocities(_slope, boxes))
    assert 1.7 < np.log2(coarse / fine) < 3.0
    tori = [Torus([0.0, 0.0], [TAU, TAU], [n, n]) for n in (12, 24, 48)]
    coarse, fine = errors(velocities(_wave, tori))
    assert fine < 1e-5 < coarse < 1e-2


@pytest.mark.slow
def test_mass_follows_the_flow(waves):
    """det DT = α/β(T) at every point: the image of α is β."""
    flow = FlowMap(waves, 0.0, 1.0)
    x = jnp.asarray(np.random.default_rng(0).uniform(0.0, TAU, (10, 2)))
    log_det = flow.log_det(x)
    before = jax.vmap(lambda y: waves.log_density(jnp.zeros(()), y))(x)
    after = jax.vmap(lambda y: waves.log_density(jnp.ones(()), y))(flow(x))
    np.testing.assert_allclose(log_det, before - after, atol=1e-5)


def test_the_continuity_equation_holds(waves):
    x, s = jnp.array([1.0, 2.0]), jnp.asarray(0.3)

    def flow_of(y):
        return jnp.exp(waves.log_density(s, y)) * waves.at(s, y)

    @jax.jit
    def residual():
        change = jax.jacfwd(lambda time: jnp.exp(waves.log_density(time, x)))(s)
        return jnp.trace(jax.jacfwd(flow_of)(x)) + change

    assert abs(float(residual())) < 1e-6


@pytest.mark.slow
def test_moments_between_gaussians():
    source, target = (
        Gaussian(np.zeros(2), 0.6 * np.eye(2)),
        Gaussian(np.array([0.4, -0.2]), np.array([[0.9, 0.3], [0.3, 0.7]])),
    )
    velocity = DacorognaMoserVelocity.between(source, target, Box([-2.5] * 2, [2.5] * 2, [64, 64]))
    x = source.sample(jax.random.key(0), 2000)
    x = x[jnp.all(jnp.abs(x) < 2.5, axis=1)]
    images = FlowMap(velocity, 0.0, 1.0, tolerance=1e-6)(x)
    y = target.sample(jax.random.key(1), 2000)
    y = y[jnp.all(jnp.abs(y) < 2.5, axis=1)]
    noise = 5.0 / np.sqrt(len(x))
    np.testing.assert_allclose(images.mean(axis=0), y.mean(axis=0), atol=noise)
    np.testing.assert_allclose(np.cov(images.T), np.cov(y.T), atol=1.5 * noise)


def test_it_refuses_supports_that_are_apart():
    grid = Box([-5.0] * 2, [5.0] * 2, [64, 64])
    left, right = (Gaussian(np.array([a, 0.0]), 0.1 * np.eye(2)) for a in (-3.0, 3.0))
    with pytest.raises(ValueError, match=r"both below .* where a flux of .* supports that are not"):
        DacorognaMoserVelocity.between(left, right, grid)
    halves = np.ones((64, 64))
    halves[:32] = 0.0
    with pytest.raises(ValueError, match="source: got a density that is not positive"):
        DacorognaMoserVelocity.between(halves, 1.0 - halves, grid)
    with pytest.raises(ValueError, match="target: got Empirical, which has no density"):
        DacorognaMoserVelocity.between(left, Empirical(np.zeros((2, 2))), grid)
    with pytest.raises(ValueError, match="grid: got 1 axes; wants 2"):
        DacorognaMoserVelocity.between(_flat, _flat, Torus([0.0], [1.0], [16]))


def test_it_is_saved(waves, tmp_path):
    brenier.save(tmp_path / "flow.brenier", FlowMap(waves, 0.0, 1.0, tolerance=1e-5))
    x = np.array([[1.0, 2.0]])
    loaded = brenier.load(tmp_path / "flow.brenier").velocity
    np.testing.assert_array_equal(loaded(0.5, x), waves(0.5, x))
