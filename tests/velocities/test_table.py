"""A schedule in steps: exact at the steps, smooth between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.velocities import TableSchedule

STEPS = 1000
BARS = np.cumprod(1.0 - np.linspace(1e-4, 0.02, STEPS))
SCHEDULE = TableSchedule(tuple(np.sqrt(BARS)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_steps_are_exact_in_either_precision(dtype):
    times = np.arange(1, STEPS + 1)
    signals = np.sqrt(BARS).astype(dtype)
    np.testing.assert_array_equal(jax.vmap(SCHEDULE.time)(signals), times)
    found = jax.vmap(SCHEDULE.signal)(times.astype(float))
    np.testing.assert_allclose(found, np.sqrt(BARS), rtol=1e-14)
    assert SCHEDULE.duration == STEPS


@pytest.mark.slow
def test_between_the_steps_it_is_near_the_limit_of_many_steps():
    """log ᾱ of β(t) = β_0 + δ t in steps: a quadratic of t but for δ/2 and the logarithm's β²/2."""
    times = np.linspace(1.0, STEPS - 1.0, 4001)
    found = np.asarray(jax.vmap(SCHEDULE.log_signal)(times))
    exact = np.interp(times, np.arange(STEPS + 1), 0.5 * np.log(np.append(1.0, BARS)))
    # A chord lies δ/8 below the quadratic at most.
    assert np.abs(found - exact).max() < 2e-5 / 8
    back = np.asarray(jax.vmap(SCHEDULE.time)(np.exp(found)))
    # Two cubics, each of the other's inverse; where β grows by a fifth in a step, by 1e-3.
    assert np.abs(back - times).max() < 1e-2
    slopes = np.asarray(jax.vmap(jax.grad(SCHEDULE.time))(np.exp(found)))
    assert np.isfinite(slopes).all()
    assert (slopes <= 0).all()


def test_beyond_the_ends_it_stays():
    assert float(SCHEDULE.time(jnp.asarray(1.0))) == 0.0
    assert float(SCHEDULE.time(jnp.asarray(1e-6))) == STEPS


@pytest.mark.parametrize("signals", [(), (0.5,), (0.5, 0.5), (1.0, 0.5), (0.5, 0.0), (0.5, np.nan)])
def test_levels_that_do_not_fall_are_refused(signals):
    with pytest.raises(ValueError, match="signals: got"):
        TableSchedule(signals)
