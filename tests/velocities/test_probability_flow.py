"""The probability flow: its clocks, its sources, its two ends."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import velocities
from brenier.measures import Empirical, Gaussian, GaussianMixture, Uniform
from brenier.velocities import (
    DDIM,
    AtomsDecoder,
    AtomsVelocity,
    ConstantSchedule,
    CosineSchedule,
    ExactNoise,
    LinearSchedule,
    MixtureVelocity,
    NoiseVelocity,
    ProbabilityFlow,
    RateSchedule,
    ScoreVelocity,
)

MIXTURE = GaussianMixture(
    np.array([0.4, 0.6]),
    np.array([[1.5, 0.0], [-1.0, 0.5]]),
    np.array([[[0.3, 0.1], [0.1, 0.2]], [[0.5, 0.0], [0.0, 0.1]]]),
)
V = MixtureVelocity(MIXTURE)
X = MIXTURE.sample(jax.random.key(0), 6)


def _diffused(t):
    """μ_t of the Ornstein-Uhlenbeck diffusion, as a measure."""
    a, covariances = np.exp(-t), np.einsum("kij,klj->kil", MIXTURE.factors, MIXTURE.factors)
    noised = a**2 * covariances + (1 - a**2) * np.eye(2)
    return GaussianMixture(np.asarray(MIXTURE.weights), a * np.asarray(MIXTURE.means), noised)


@pytest.mark.parametrize("t", [0.0, 0.3, 2.0])
def test_the_velocity_is_minus_x_minus_the_score(t):
    exact = -X - _diffused(t).score(X)
    np.testing.assert_allclose(ProbabilityFlow(MIXTURE)(t, X), exact, atol=1e-12)
    a = jnp.exp(-t)
    found = jax.vmap(lambda x: velocities.score(V, a, x))(X)
    np.testing.assert_allclose(found, _diffused(t).score(X), atol=1e-12)


def test_tweedie():
    """E[X_0 | x] + E[Z | x] make up x, and the noise is minus the score's multiple."""
    a = jnp.asarray(0.6)
    mean = jax.vmap(lambda x: velocities.posterior_mean(V, a, x))(X)
    noise = jax.vmap(lambda x: velocities.noise(V, a, x))(X)
    np.testing.assert_allclose(a * mean + jnp.sqrt(1 - a**2) * noise, X, atol=1e-12)
    np.testing.assert_allclose(
        noise, -jnp.sqrt(1 - a**2) * _diffused(-np.log(0.6)).score(X), atol=1e-12
    )


def test_atoms_are_mixtures_of_little_width():
    """Between noise levels far above it, a width of 1e-4 cannot be seen but in its square."""
    points, weights = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]]), np.array([1.0, 2.0, 0.5])
    narrow = np.broadcast_to(1e-8 * np.eye(2), (3, 2, 2))
    wide = GaussianMixture(weights / weights.sum(), points, narrow)
    atoms = AtomsVelocity(Empirical(points, weights))
    for a in (0.0, 0.5, 0.99):
        np.testing.assert_allclose(atoms(a, X), MixtureVelocity(wide)(a, X), rtol=1e-5)


# Compiles long.
@pytest.mark.slow
def test_many_atoms_are_streamed():
    """Weights split between copies change nothing, past a tile of the streamed sum as well."""
    points = np.asarray(MIXTURE.sample(jax.random.key(1), 700))
    once, twice = (AtomsVelocity(Empirical(np.tile(points, (k, 1)))) for k in (1, 2))
    np.testing.assert_allclose(once(0.7, X), twice(0.7, X), rtol=1e-11)


def test_decoder_of_atoms():
    """Images are atoms, and the masses of their cells are the weights."""
    points, weights = np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 1.5]]), np.array([0.2, 0.5, 0.3])
    decoder = AtomsDecoder(Empirical(points, weights), tolerance=1e-6)
    z = jax.random.normal(jax.random.key(3), (2000, 2))
    labels = decoder.labels(z)
    np.testing.assert_allclose(decoder(z), points[labels], atol=1e-9)
    shares = np.bincount(labels) / len(z)
    assert (np.abs(shares - weights) < 4.0 * np.sqrt(weights * (1 - weights) / len(z))).all()
    with pytest.raises(ValueError, match="sends a cell to one point"):
        decoder.inverse()


@pytest.mark.slow
def test_encoder_and_decoder_of_atoms_at_finite_times():
    flow = ProbabilityFlow(Empirical(np.array([[-1.0, 0.0], [1.0, 0.5]])))
    assert isinstance(flow.decoder(), AtomsDecoder)
    encoder = flow.encoder(0.1)
    np.testing.assert_allclose(encoder.inverse()(encoder(X)), X, atol=1e-6)
    with pytest.raises(ValueError, match=r"start: got 0.0, where the measure is made of atoms"):
        flow.encoder()


@pytest.mark.slow
def test_a_user_score_and_a_noise_predictor():
    """The exact ones, handed in as a user would, give the closed form's velocity."""
    scored = ScoreVelocity(lambda x, t: velocities.score(V, jnp.exp(-t), x), 2)
    predicted = NoiseVelocity(ExactNoise(V), 2)
    for velocity in (scored, predicted):
        for a in (0.9, 0.5, 1e-3):
            np.testing.assert_allclose(velocity(a, X), V(a, X), atol=1e-8)
        # Held where the sum would cancel: what is left out is the square of 1e-5.
        np.testing.assert_allclose(velocity(0.0, X), V(0.0, X), atol=1e-4)
    broken = ProbabilityFlow(ScoreVelocity(lambda x, t: jnp.nan * x, 2)).encoder()
    with pytest.raises(ValueError, match="velocity: got NaN"):
        broken.solve(np.asarray(X))


SCHEDULES = {
    "constant": ConstantSchedule(1.5, 4.0),
    "linear": LinearSchedule(),
    "cosine": CosineSchedule(),
    "rate": RateSchedule(lambda t: 0.1 + 19.9 * t, 1.0),
}


@pytest.mark.daily("linear", "cosine")
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_another_clock(name):
    """Its signal falls at the rate β, and its maps are those of the laws that it passes."""
    schedule = SCHEDULES[name]
    half = jnp.asarray(0.5 * schedule.duration)
    h = 1e-5
    slope = (schedule.log_signal(half + h) - schedule.log_signal(half - h)) / (2 * h)
    np.testing.assert_allclose(schedule.rate(half), -2.0 * slope, rtol=1e-6)
    levels = schedule.levels(10)
    assert levels.shape == (11,)
    np.testing.assert_allclose(levels[0], 1.0)
    assert bool((jnp.diff(levels) < 0).all())
    t = float(-schedule.log_signal(half))
    flow = ProbabilityFlow(MIXTURE, schedule)
    np.testing.assert_allclose(
        flow(half, X), 0.5 * schedule.rate(half) * ProbabilityFlow(MIXTURE)(t, X), rtol=1e-9
    )


def test_rates_by_quadrature_are_the_closed_form():
    linear, rate = SCHEDULES["linear"], SCHEDULES["rate"]
    times = jnp.linspace(0.0, 1.0, 7)
    np.testing.assert_allclose(
        jax.vmap(rate.log_signal)(times), jax.vmap(linear.log_signal)(times), atol=1e-12
    )


def test_ddim_meets_the_probability_flow_at_first_order():
    exact = ProbabilityFlow(MIXTURE).encoder()(X)
    errors = []
    for steps in (50, 100, 200):
        levels = jnp.sin(jnp.linspace(jnp.pi / 2, 0.0, steps + 1)).at[-1].set(0.0)
        errors.append(float(jnp.abs(DDIM(ExactNoise(V), levels, 2)(X) - exact).max()))
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert ((orders > 0.9) & (orders < 1.1)).all()


def test_ddim_there_and_back():
    levels = jnp.linspace(1.0, 0.05, 401)
    encoder = DDIM(ExactNoise(V), levels, 2)
    np.testing.assert_allclose(encoder.reversed()(encoder(X)), X, atol=0.05)
    with pytest.raises(ValueError, match="have no exact inverse"):
        encoder.inverse()


def test_gaussians_are_closed_forms():
    """ProbabilityFlow's affine map at finite times is the flow of the same velocity."""
    source = Gaussian(np.array([1.0, -2.0]), np.array([[2.0, 0.5], [0.5, 0.4]]))
    for stop in (0.7, None):
        closed = ProbabilityFlow(source).encoder(0.1, stop)
        flowed = velocities.FlowMap(
            MixtureVelocity(source), np.exp(-0.1), 0.0 if stop is None else np.exp(-stop)
        )
        np.testing.assert_allclose(closed(X), flowed(X), atol=1e-8)


def test_a_negative_time():
    with pytest.raises(eqx.EquinoxRuntimeError, match=r"time: got one outside \[0, inf\]"):
        ProbabilityFlow(MIXTURE)(-0.1, X)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: ProbabilityFlow(Uniform.unit(2)), "source: got Uniform, whose score"),
        (
            lambda: ProbabilityFlow(MIXTURE).encoder(-1.0),
            r"start: got -1.0; wants a time in \[0, inf",
        ),
        (
            lambda: ProbabilityFlow(MIXTURE).encoder(1.0, 0.5),
            "stop: got 0.5; wants a time from 1.0 on",
        ),
        (
            lambda: ProbabilityFlow(MIXTURE, LinearSchedule()).encoder(0.0, 2.0),
            "stop: got 2.0; wants",
        ),
        (lambda: DDIM(ExactNoise(V), np.array([1.0, 0.5, 0.7]), 2), "all falling or all rising"),
        (lambda: DDIM(ExactNoise(V), np.array([0.0, 0.5]), 2), "got signal level 0 at the start"),
        (lambda: ConstantSchedule().levels(3), "which has no last time"),
        (lambda: RateSchedule(lambda t: t - 1.0, 2.0), "rates β"),
        (lambda: LinearSchedule(first=-1.0), "first: got -1.0"),
        (lambda: CosineSchedule(floor=2.0), "floor: got 2.0"),
        (lambda: ScoreVelocity(jnp.sin, 0), "dimension: got 0"),
    ],
)
def test_bad_input(make, wanted):
    with pytest.raises(ValueError, match=wanted):
        make()
