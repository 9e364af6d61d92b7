"""Self-transport and the score that it gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brenier.numerics import default_epsilon, self_entropic_score, self_transport

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 2)) * [1.0, 3.0] + 5.0
W = RNG.exponential(size=40)
W /= W.sum()


def _plan(x, w, f, epsilon):
    import ot

    cost = 0.5 * ot.dist(x, x)
    return w[:, None] * w * np.exp((f[:, None] + f - cost) / epsilon)


def test_potential_gives_the_plan_of_pot():
    import ot

    transport = self_transport(X, W, epsilon=2.0, tolerance=1e-13)
    plan = _plan(X, W, np.asarray(transport.potential), 2.0)
    np.testing.assert_allclose(plan.sum(1), W, rtol=1e-11)  # what the tolerance asks for
    pot = ot.sinkhorn(
        W, W, 0.5 * ot.dist(X, X), 2.0, method="sinkhorn_log", stopThr=1e-13, numItermax=5000
    )
    np.testing.assert_allclose(plan, pot, atol=1e-12)
    np.testing.assert_allclose(transport.barycentres, plan @ X / W[:, None], rtol=1e-10)
    # The rate is 1/3 per iteration whatever ε: 13 decimals take 28, and a few to get there.
    assert int(transport.iterations) <= 36


def test_two_points_in_closed_form():
    r, epsilon = 1.3, 0.4
    f = self_transport(np.array([[0.0], [r]]), epsilon=epsilon, tolerance=1e-14).potential
    expected = -0.5 * epsilon * np.log(0.5 * (1 + np.exp(-(r**2) / (2 * epsilon))))
    np.testing.assert_allclose(f, expected, rtol=1e-12)


def test_streaming_changes_nothing():
    kernel = self_transport(X, W, epsilon=0.5, tolerance=1e-12)
    streamed = self_transport(X, W, epsilon=0.5, tolerance=1e-12, block=7)
    np.testing.assert_allclose(streamed.potential, kernel.potential, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(streamed.barycentres, kernel.barycentres, rtol=1e-10)
    with pytest.raises(ValueError, match="block: got -1; wants an integer of at least 1"):
        self_transport(X, W, epsilon=0.5, block=-1)


def test_score_of_a_gaussian_in_closed_form():
    # On a grid the quadrature is exact to rounding once ε exceeds the squared spacing. The plan of
    # N(0, σ²) to itself has covariance √(σ⁴ + ε²/4) − ε/2 (Janati et al. 2020).
    x, sigma2, epsilon = np.linspace(-9.0, 9.0, 361)[:, None], 1.7, 0.1
    w = np.exp(-0.5 * x[:, 0] ** 2 / sigma2)
    score = self_entropic_score(x, w / w.sum(), epsilon=epsilon, tolerance=1e-12)
    slope = (np.sqrt(sigma2**2 + 0.25 * epsilon**2) - 0.5 * epsilon) / sigma2
    expected = -(2.0 / epsilon) * (1.0 - slope) * x
    inside = np.abs(x[:, 0]) < 4.0
    np.testing.assert_allclose(score[inside], expected[inside], atol=1e-8)
    # As ε falls it tends to −x/σ², to second order in x's slope: ε/(4σ⁴) of it here.
    np.testing.assert_allclose(expected, -x / sigma2, rtol=epsilon / (2.0 * sigma2))


def test_vmap_is_a_loop():
    clouds = jnp.asarray(RNG.standard_normal((3, 40, 2)) * np.array([1.0, 5.0, 0.2])[:, None, None])
    together = jax.vmap(self_entropic_score)(clouds)
    np.testing.assert_allclose(
        together, jnp.stack([self_entropic_score(x) for x in clouds]), rtol=1e-10, atol=1e-10
    )


def test_default_epsilon_and_degenerate_clouds():
    import ot

    distances = ot.dist(X, X)[np.triu_indices(40, 1)]
    np.testing.assert_allclose(default_epsilon(X), 0.05 * np.median(distances), rtol=2e-3)
    same = np.ones_like(X)
    assert float(default_epsilon(same)) > 0
    assert not np.any(self_entropic_score(same))
    # Most pairs coincide: the mean 2 · (1/40)(39/40) of the squared distances takes over.
    lone = np.eye(40, 2) * [1.0, 0.0]
    np.testing.assert_allclose(default_epsilon(lone), 0.05 * 2 * 39 / 1600)
    assert not np.any(self_entropic_score(X[:1]))
    assert self_entropic_score(X[:1].astype(np.float32)).dtype == np.float32


def test_a_point_of_no_weight_far_out_stays_harmless():
    x = np.concatenate([X, [[1e4, 1e4]]])
    w = np.append(W, 0.0)
    transport = self_transport(x, w, epsilon=0.5)
    alone = self_transport(X, W, epsilon=0.5)
    np.testing.assert_allclose(transport.potential[:-1], alone.potential, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(transport.barycentres[-1], x[-1])
    assert np.isfinite(transport.potential).all()


_POINT = st.floats(-100.0, 100.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(_POINT, _POINT), min_size=6, max_size=6), st.floats(-6.0, 6.0))
def test_converges_for_every_cloud_and_epsilon(points, log_epsilon):
    transport = self_transport(np.array(points), epsilon=10.0**log_epsilon, tolerance=1e-9)
    assert float(transport.residual) <= 1e-9
    assert np.isfinite(transport.potential).all()
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    margin = 1e-9 * (1 + np.abs(points).max())
    assert (transport.barycentres >= low - margin).all()
    assert (transport.barycentres <= high + margin).all()
