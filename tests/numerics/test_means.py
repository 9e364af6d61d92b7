"""What is stated is summed in float64: a million float32 terms against exact answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.flows import HeldOutDual
from brenier.functionals import linearised_distance
from brenier.maps import AffineMap, GradientMap
from brenier.numerics import (
    cosine_similarity,
    energy_distance_squared,
    float64_mean,
    l2_uvp,
    mean_distance,
    plan_error,
    total_variance,
)
from brenier.potentials import Quadratic

N = 10**6
# Sums of a million terms in float64, one after the other: n units of rounding at the very most.
EXACT = N * 2.0**-53


def terms() -> np.ndarray:
    return (100.0 + np.random.default_rng(0).normal(size=N)).astype(np.float32)


def wide(x) -> np.ndarray:
    return np.asarray(x, np.float64)


def mean_of_terms():
    t = terms()
    return float64_mean(jnp.asarray(t)), wide(t).mean()


def weighted_mean_of_terms():
    t, w = terms(), np.random.default_rng(1).uniform(size=N).astype(np.float32)
    return float64_mean(jnp.asarray(t), jnp.asarray(w)), np.average(wide(t), weights=wide(w))


def variance_of_terms():
    t = terms()[:, None]
    return total_variance(jnp.asarray(t)), wide(t).var()


def unexplained_variance():
    # Differences that float32 holds exactly: their squares' mean is known.
    truth = np.round(terms())[:, None]
    off = np.where(np.arange(N) % 2 == 0, 1.0, 2.0).astype(np.float32)[:, None]
    return l2_uvp(jnp.asarray(truth + off), jnp.asarray(truth)), 250.0 / wide(truth).var()


def cosine():
    wanted = np.round(terms())[:, None]
    moved = wanted + np.where(np.arange(N) % 2 == 0, 1.0, -1.0).astype(np.float32)[:, None]
    product, norms = np.sum(wide(moved * wanted)), [np.sum(wide(z * z)) for z in (moved, wanted)]
    zero = jnp.zeros((N, 1), jnp.float32)
    found = cosine_similarity(zero, jnp.asarray(moved), jnp.asarray(wanted))
    return found, product / np.sqrt(norms[0] * norms[1])


def distance_of_maps():
    x = jnp.asarray(np.round(terms())[:, None])
    first, second = (AffineMap(jnp.asarray([[a]]), jnp.zeros(1)) for a in (1.0, 2.0))
    return linearised_distance(first, second, x), np.sqrt(np.mean(wide(x) ** 2))


def held_out_dual():
    # A sixteenth of the terms: each has its conjugate found.
    x, y = (jnp.asarray(np.round(terms()[::16] + shift)[:, None]) for shift in (0.0, 3.0))
    identity = Quadratic(jnp.eye(1, dtype=jnp.float32), jnp.zeros(1, jnp.float32))
    found = HeldOutDual(x, y)(GradientMap(identity))
    assert jax.tree.leaves(identity)[0].dtype == jnp.float32
    return found, 0.5 * np.mean(wide(x) ** 2) + 0.5 * np.mean(wide(y) ** 2)


@pytest.mark.daily("mean_of_terms")
@pytest.mark.parametrize(
    "answer",
    [
        mean_of_terms, weighted_mean_of_terms, variance_of_terms, unexplained_variance, cosine,
        distance_of_maps, held_out_dual,
    ],
)  # fmt: skip
def test_a_million_float32_terms_keep_their_digits(answer):
    found, expected = answer()
    assert found.dtype == jnp.float64
    assert float(found) == pytest.approx(float(expected), rel=EXACT)


def test_one_after_the_other_they_would_not():
    t = terms()
    assert abs(np.add.accumulate(t)[-1] / wide(t).sum() - 1.0) > 1e-6


# 1/n is no float32 number, and n of what it is rounded to do not add up to 1.
@pytest.mark.daily("3", "4099")
@pytest.mark.parametrize("n", [3, 41, 61, 83, 999, 4099])
def test_uniform_weights_are_not_rounded_to_float32(n):
    x = jnp.asarray(np.arange(n)[:, None], jnp.float32)
    # A shift by more than the cloud is long is its own mean distance.
    shift, within = 8192.0, (n * n - 1.0) / (3.0 * n)
    # What the docstring says of float32; before, weights alone were off by up to 6e-8.
    assert float(mean_distance(x)) == pytest.approx(within, rel=1e-8)
    assert float(mean_distance(x, x + shift)) == pytest.approx(shift, rel=1e-8)
    energy = float(energy_distance_squared(x, x + shift))
    assert energy == pytest.approx(2.0 * (shift - within), rel=1e-8)


@pytest.mark.slow
def test_an_error_of_marginals_is_that_of_float64():
    n = 2000
    x = jnp.asarray(np.arange(n)[:, None] / 1024.0, jnp.float32)
    weights = jnp.full(n, 1.0 / n, jnp.float32)
    g = jnp.zeros(n, jnp.float32)
    f = jnp.linspace(0.0, 1.0, n, dtype=jnp.float32)
    epsilon = jnp.float32(1.0)
    a = wide(weights)
    scores = wide(f)[:, None] + wide(g) - 0.5 * (wide(x) - wide(x).T) ** 2
    plan = a[:, None] * a * np.exp(scores)
    expected = np.abs(plan.sum(1) - a).sum() + np.abs(plan.sum(0) - a).sum()
    found = plan_error(x, x, weights, weights, f, g, epsilon)
    assert float(found) == pytest.approx(expected, rel=1e-10)
