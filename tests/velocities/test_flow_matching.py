"""Flow matching: closed forms, the diffusion in another clock, McCann's interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.maps import GradientMap
from brenier.measures import Empirical, Gaussian, GaussianMixture, Uniform
from brenier.potentials import LogSumExp
from brenier.velocities import (
    FlowMap,
    MatchingVelocity,
    McCannVelocity,
    MixtureVelocity,
    RescaledDiffusionVelocity,
)

NORMAL = Gaussian.standard(2)
MIXTURE = GaussianMixture(
    np.array([0.3, 0.7]),
    np.array([[-1.0, 0.5], [1.5, 0.0]]),
    np.array([[[0.5, 0.2], [0.2, 0.3]], [[1.0, -0.6], [-0.6, 0.5]]]),
)
NARROW = Gaussian(np.array([0.0, 2.0]), np.array([[1e-6, 0.0], [0.0, 2.0]]))
ATOMS = Empirical(np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 1.5]]), np.array([0.2, 0.3, 0.5]))
Z = 1.5 * jax.random.normal(jax.random.key(0), (40, 2))


@pytest.mark.parametrize("target", [pytest.param(MIXTURE, marks=pytest.mark.slow), NARROW])
def test_from_a_gaussian_it_is_the_diffusion_in_another_clock(target):
    matching = MatchingVelocity(NORMAL, target)
    other = RescaledDiffusionVelocity(MixtureVelocity(target))
    for s in (0.0, 1e-9, 0.2, 0.5, 0.9, 1.0):
        v = other(s, Z)
        # Rounding, against a narrow Gaussian divided by its width.
        np.testing.assert_allclose(matching(s, Z), v, rtol=1e-10, atol=1e-12 * np.abs(v).max())


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *(
            pytest.param(*pair, marks=pytest.mark.slow)
            for pair in ((MIXTURE, NARROW), (MIXTURE, ATOMS))
        ),
        (ATOMS, MIXTURE),
    ],
)
def test_it_is_the_conditional_mean(source, target):
    """E[(X − Z) k(x_s)] = E[v_s(x_s) k(x_s)] for smooth k, on a large sample."""
    n, keys = 50_000, jax.random.split(jax.random.key(1))
    z, x = source.sample(keys[0], n), target.sample(keys[1], n)
    velocity = MatchingVelocity(source, target)
    for s in (0.1, 0.6):
        at = (1 - s) * z + s * x
        tests = jnp.stack([jnp.ones(n), at[:, 0], jnp.sin(2 * at[:, 1]), jnp.tanh(at.sum(1))])
        noise = tests[:, :, None] * (x - z - velocity(s, at))
        error = np.asarray(noise.mean(axis=1))
        # Five standard errors; rounding where z and s leave no doubt about X − Z.
        assert (np.abs(error) < 1e-13 + 5 * np.asarray(noise.std(axis=1)) / np.sqrt(n)).all()


@pytest.mark.slow
def test_atoms_are_components_without_width():
    sharp = GaussianMixture(ATOMS.weights, ATOMS.points, 1e-12 * np.tile(np.eye(2), (3, 1, 1)))
    for pair in ((MIXTURE, ATOMS), (ATOMS, NORMAL)):
        close = [sharp if measure is ATOMS else measure for measure in pair]
        v, w = MatchingVelocity(*pair)(0.5, Z), MatchingVelocity(*close)(0.5, Z)
        np.testing.assert_allclose(v, w, atol=1e-9)


@pytest.mark.slow
def test_the_decoder_of_atoms_ends_in_them():
    flow = FlowMap(MatchingVelocity(NORMAL, ATOMS), 0.0, 1.0 - 1e-7)
    ends = np.asarray(flow(NORMAL.sample(jax.random.key(2), 2000)))
    distance = np.linalg.norm(ends[:, None] - np.asarray(ATOMS.points), axis=2)
    # A particle is still as far as Z is, times 1 − s.
    assert np.median(distance.min(axis=1)) < 1e-6
    shares = np.bincount(distance.argmin(axis=1), minlength=3) / len(ends)
    np.testing.assert_allclose(shares, ATOMS.weights, atol=5 * np.sqrt(0.25 / len(ends)))


@pytest.mark.slow
def test_the_flow_between_gaussians_reaches_the_target():
    """Between Gaussians the flow is affine: the covariance of its image is known."""
    flow = FlowMap(MatchingVelocity(NARROW, Gaussian(np.ones(2), 2 * np.eye(2))), 0.0, 1.0)
    jacobian = np.asarray(flow.jacobian(jnp.array([0.3, -0.4])))
    np.testing.assert_allclose(jacobian @ NARROW.covariance @ jacobian.T, 2 * np.eye(2), atol=1e-7)
    np.testing.assert_allclose(flow(NARROW.mean), np.ones(2), atol=1e-8)


CURVED = GradientMap(LogSumExp.identity(jax.random.key(3), 2, 6, temperature=0.4))


@pytest.mark.slow
def test_mccann_interpolation_flows_to_the_map_itself():
    x, flow = Z[:10], FlowMap(McCannVelocity(CURVED), 0.0, 1.0, tolerance=1e-10)
    # Straight, at constant speed.
    s = np.array([0.25, 0.75, 1.0])
    way = x[:, None] + s[:, None] * (CURVED(x) - x)[:, None]
    np.testing.assert_allclose(flow.path(x, s), way, atol=1e-8)
    np.testing.assert_allclose(McCannVelocity(CURVED)(0.0, x), CURVED(x) - x, atol=1e-11)


@pytest.mark.slow
def test_mccann_interpolation_is_audited_optimal():
    flow = FlowMap(McCannVelocity(CURVED), 0.0, 1.0, tolerance=1e-10)
    certificate = brenier.audit(flow, NORMAL, key=jax.random.key(0), samples=4000, budget=2.0)
    assert certificate.verdict.optimality == "optimal"
    assert certificate.asymmetry.max < 1e-7


def test_what_has_no_closed_form_says_so():
    with pytest.raises(ValueError, match="source: got Uniform; wants a Gaussian"):
        MatchingVelocity(Uniform(np.zeros(2), np.ones(2)), NORMAL)
    with pytest.raises(ValueError, match="target: got Empirical as is source"):
        MatchingVelocity(ATOMS, ATOMS)
    with pytest.raises(ValueError, match="target: got dimension 3; wants 2"):
        MatchingVelocity(NORMAL, Gaussian.standard(3))
