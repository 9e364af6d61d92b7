"""The map of a flow: against closed forms, its derivatives, its failures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import Result, SolveError
from brenier.maps import Pushforward
from brenier.measures import Gaussian, GaussianMixture
from brenier.velocities import AbstractVelocity, FlowMap, MixtureVelocity, log_likelihood

MIXTURE = GaussianMixture(
    np.array([0.4, 0.6]),
    np.array([[1.5, 0.0], [-1.0, 0.5]]),
    np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.5, 0.0], [0.0, 0.1]]]),
)
ENCODER = FlowMap(MixtureVelocity(MIXTURE), 1.0, 0.0, tolerance=1e-10)
X = MIXTURE.sample(jax.random.key(0), 8)


class Turn(AbstractVelocity):
    """dx/dt = k(t) J x: a rotation, by ∫ k in all."""

    rate: jax.Array

    @property
    def dimension(self):
        return 2

    def at(self, time, x):
        return self.rate * jnp.cos(time) * jnp.array([-x[1], x[0]])


class Explosion(AbstractVelocity):
    """dx/dt = x²: infinite at t = 1/x(0)."""

    @property
    def dimension(self):
        return 1

    def at(self, time, x):
        return x**2


@pytest.mark.slow
def test_a_rotation_by_a_known_angle():
    angle = 0.7 * np.sin(2.0)
    exact = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    T = FlowMap(Turn(jnp.asarray(0.7)), 0.0, 2.0, tolerance=1e-11)
    np.testing.assert_allclose(T(X), X @ exact.T, atol=1e-10)
    np.testing.assert_allclose(T.jacobian(X[0]), exact, atol=1e-10)
    # Half way, and there.
    path = T.path(X, np.array([1.0, 2.0]))
    assert path.shape == (8, 2, 2)
    np.testing.assert_allclose(path[:, 1], X @ exact.T, atol=1e-9)
    np.testing.assert_allclose(jnp.sum(path[:, 0] ** 2, 1), jnp.sum(X**2, 1), rtol=1e-9)


@pytest.mark.slow
def test_density_of_the_mixture_from_its_encoder():
    """ρ is the density that the decoder makes of N(0, I), by the trace along the way."""
    exact = MIXTURE.log_density(X)
    latent = Gaussian.standard(2)
    np.testing.assert_allclose(log_likelihood(ENCODER, latent, np.asarray(X)), exact, atol=1e-8)
    # Hutchinson: unbiased, so far off by no more than five standard errors over its probes.
    key = jax.random.key(3)
    some = log_likelihood(ENCODER, latent, np.asarray(X), probes=500, key=key)
    assert 0.0 < float(jnp.abs(some - exact).max()) < 0.5


@pytest.mark.slow
def test_derivatives_in_reverse():
    """The gradient of a function of the end: the transpose of the Jacobian's own integration."""
    slope = jax.jit(jax.grad(lambda x: jnp.sum(ENCODER.apply(x) ** 2)))(X[0])
    exact = 2.0 * ENCODER.jacobian(X[0]).T @ ENCODER(X[0])
    np.testing.assert_allclose(slope, exact, atol=1e-9)


@pytest.mark.slow
def test_determinants_and_scores_of_the_decoder():
    """Second derivatives: the score of the decoder's image of N(0, I) is the mixture's own."""
    rho = Pushforward(Gaussian.standard(2), ENCODER.inverse())
    np.testing.assert_allclose(rho.log_density(X[:2]), MIXTURE.log_density(X[:2]), atol=1e-8)
    np.testing.assert_allclose(rho.score_at(ENCODER(X[:2])), MIXTURE.score(X[:2]), atol=1e-6)


@pytest.mark.slow
def test_many_dimensions_integrate_one_direction_at_a_time():
    d = 40
    source = Gaussian(np.zeros(d), np.diag(np.linspace(0.2, 3.0, d)))
    T = FlowMap(MixtureVelocity(source), 1.0, 0.0)
    x, direction = jnp.ones(d), jnp.arange(d) / d
    found = jax.jit(lambda x: jax.jvp(T.apply, (x,), (direction,))[1])(x)
    np.testing.assert_allclose(found, direction / np.sqrt(np.linspace(0.2, 3.0, d)), atol=1e-8)


def test_a_point_that_explodes_is_named():
    T = FlowMap(Explosion(), 0.0, 2.0, max_steps=64)
    x = np.array([[0.1], [1.0]])
    end = T.solve(x, throw=False)
    assert end.result is Result.not_converged
    assert end.stats["failed"].tolist() == [False, True]
    np.testing.assert_allclose(end.points[0], 0.1 / 0.8, rtol=1e-8)
    assert np.isnan(end.points[1]).all()
    with pytest.raises(SolveError):
        T.solve(x)
    with pytest.raises(eqx.EquinoxRuntimeError, match="did not reach its tolerance"):
        T(x)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((jnp.nan, 0.0), r"start: got nan; wants a finite time"),
        ((0.0, np.inf), r"stop: got inf; wants a finite time"),
    ],
)
def test_times_are_checked(arguments, wanted):
    with pytest.raises(ValueError, match=wanted):
        FlowMap(Explosion(), *arguments)


def test_other_bad_input():
    with pytest.raises(ValueError, match="tolerance: got 0"):
        FlowMap(Explosion(), 0.0, 1.0, tolerance=0.0)
    for times in ([2.0, 1.0], [0.0, 3.0], [np.nan], []):
        with pytest.raises(ValueError, match="times: got"):
            FlowMap(Explosion(), 0.0, 2.0).path(X[:, :1], np.array(times))
    with pytest.raises(ValueError, match="differentiable in x"):
        eqx.filter_grad(lambda v: jnp.sum(FlowMap(v, 0.0, 1.0).apply(X[0])))(Turn(jnp.ones(())))
    with pytest.raises(ValueError, match="key: got None beside probes"):
        log_likelihood(ENCODER, Gaussian.standard(2), np.asarray(X), probes=3)
