"""The entropic map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier._solution import Result, SolveError
from brenier.maps._entropic import EntropicMap
from brenier.numerics import barycentric_projection, sinkhorn

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 2))
Y = RNG.standard_normal((50, 2)) * [2.0, 0.5] + 1.0
T = EntropicMap.from_samples(X, Y, epsilon=0.3, tolerance=1e-10)


def test_is_the_barycentric_projection():
    plan = sinkhorn(X, Y, epsilon=0.3, tolerance=1e-10)
    z = 3.0 * RNG.standard_normal((60, 2))
    expected = barycentric_projection(z, Y, plan.g, epsilon=0.3)
    np.testing.assert_allclose(T(z), expected, atol=1e-8)


@pytest.mark.slow
def test_between_gaussians_in_closed_form():
    # Grids with Gaussian weights: quadrature exact to rounding. Janati et al. (2020): the plan's
    # covariance is √(σ₁²σ₂² + ε²/4) − ε/2.
    grid = np.linspace(-1.0, 1.0, 151)[:, None]
    s1, s2, epsilon = 1.0, 4.0, 0.5
    T = EntropicMap.from_samples(
        7.0 * grid,
        14.0 * grid + 3.0,
        epsilon=epsilon,
        tolerance=1e-12,
        source_weights=np.exp(-0.5 * (7.0 * grid[:, 0]) ** 2 / s1),
        target_weights=np.exp(-0.5 * (14.0 * grid[:, 0]) ** 2 / s2),
    )
    slope = (np.sqrt(s1 * s2 + epsilon**2 / 4) - epsilon / 2) / s1
    z = np.linspace(-2.0, 2.0, 9)[:, None]
    # The grids end at 7 standard deviations: e^{-24} of the mass is missing.
    np.testing.assert_allclose(T(z), 3.0 + slope * z, atol=1e-6)
    np.testing.assert_allclose(T.jacobian(z)[:, 0, 0], slope, atol=1e-6)


def test_jacobian_is_a_covariance():
    z = RNG.standard_normal((5, 2))
    moved = z - T.origin + Y.mean(axis=0)
    scores = (T.potential - 0.5 * ((moved[:, None] - Y) ** 2).sum(-1)) / 0.3
    p = np.asarray(jax.nn.softmax(scores, axis=1))
    covariances = [np.cov(Y.T, aweights=weights, bias=True) for weights in p]
    np.testing.assert_allclose(T.jacobian(z), np.stack(covariances) / 0.3, atol=1e-9)


def test_inverse_inside_the_hull():
    np.testing.assert_allclose(T.inverse()(T(X)), X, atol=1e-6)


def test_far_from_the_origin_and_in_single_precision():
    shift = np.array([300.0, -200.0])
    moved = EntropicMap(
        (Y + shift).astype(np.float32), T.potential.astype(np.float32), 0.3, T.origin + shift
    )
    z = (X + shift).astype(np.float32)
    assert moved(z).dtype == np.float32
    # Coordinates of 300 in float32 are known to 2e-5; the slopes are up to 5.
    np.testing.assert_allclose(moved(z) - shift, T(X), atol=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [1e2, 1e4])
def test_clouds_far_apart_cost_no_digits_in_single_precision(apart):
    x, y = X.astype(np.float32), (Y + apart).astype(np.float32)
    moved = EntropicMap.from_samples(x, y, epsilon=0.3)
    near = EntropicMap.from_samples(x, (y - np.float32(apart)), epsilon=0.3)
    np.testing.assert_allclose(moved(x) - apart, near(x), atol=1e-3 + 1e-6 * apart)
    np.testing.assert_allclose(moved.inverse()(moved(x[:5])), x[:5], atol=1e-2 + 1e-4 * apart)


def test_points_of_no_weight_are_dropped():
    weights = np.append(np.ones(len(Y)), 0.0)
    padded = EntropicMap.from_samples(
        X, np.vstack([Y, [[99.0, 99.0]]]), target_weights=weights, epsilon=0.3, tolerance=1e-10
    )
    np.testing.assert_allclose(padded(X), T(X), atol=1e-8)


def test_what_does_not_converge_raises_or_returns():
    few = {"epsilon": 1e-3, "tolerance": 1e-9, "max_iterations": 2}
    with pytest.raises(SolveError) as caught:
        EntropicMap.from_samples(X, Y, **few)
    assert caught.value.solution.result is Result.not_converged
    assert caught.value.solution.stats["error"] > 1e-9
    last = EntropicMap.from_samples(X, Y, **few, throw=False)
    np.testing.assert_array_equal(last(X), caught.value.solution.map(X))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:, :1]), "target: got dimension 1; wants dimension 2"),
        ((X, np.full((3, 2), np.nan)), "target: got 6 NaN or infinite entries"),
        ((X[:, 0], Y), r"source: got shape \(60,\); wants \(n, d\)"),
    ],
)
def test_bad_points(arguments, message):
    with pytest.raises(ValueError, match=message):
        EntropicMap.from_samples(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, "epsilon: got 0.0; wants a finite number above 0"),
        ({"source_weights": np.ones(3)}, r"source_weights: got shape \(3,\); wants \(60,\)"),
        ({"max_iterations": 0}, "max_iterations: got 0; wants an integer of at least 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        EntropicMap.from_samples(X, Y, **options)
    with pytest.raises(ValueError, match=r"potential: got shape \(3,\); wants one number for"):
        EntropicMap(Y, jnp.zeros(3), 0.1)
    with pytest.raises(ValueError, match=r"origin: got shape \(3,\); wants \(2,\)"):
        EntropicMap(Y, jnp.zeros(len(Y)), 0.1, jnp.zeros(3))
