"""What is no weight or no strength is refused; of traced values a NaN ends the iteration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics import (
    barycentric_projection,
    cosine_similarity,
    entropic_potential,
    float64_mean,
    l2_uvp,
    mean_distance,
    self_transport,
    sinkhorn,
    total_variance,
)

RNG = np.random.default_rng(0)
X, Y = jnp.asarray(RNG.normal(size=(20, 2))), jnp.asarray(RNG.normal(size=(15, 2)))
W = jnp.asarray(RNG.integers(1, 4, 20), jnp.float64)
G = jnp.zeros(20)

OF_WEIGHTS = {
    "sinkhorn": (lambda w: sinkhorn(X, Y, w, epsilon=0.3), "a"),
    "sinkhorn, of the target": (lambda w: sinkhorn(Y, X, None, w, epsilon=0.3), "b"),
    "sinkhorn, with a penalty": (lambda w: sinkhorn(X, Y, w, epsilon=0.3, source_penalty=1.0), "a"),
    "entropic_potential": (lambda w: entropic_potential(Y, X, G, w, epsilon=0.3), "b"),
    "barycentric_projection": (lambda w: barycentric_projection(Y, X, G, w, epsilon=0.3), "b"),
    "self_transport": (lambda w: self_transport(X, w, epsilon=0.3), "weights"),
    "mean_distance": (lambda w: mean_distance(X, Y, w), "x_weights"),
    "float64_mean": (lambda w: float64_mean(X[:, 0], w), "weights"),
    "total_variance": (lambda w: total_variance(X, w), "weights"),
    "l2_uvp": (lambda w: l2_uvp(X + 1.0, X, w), "weights"),
    "cosine_similarity": (lambda w: cosine_similarity(X, X + 1.0, X + 2.0, w), "weights"),
}


@pytest.mark.parametrize("name", OF_WEIGHTS)
@pytest.mark.parametrize("wrong", [-W, W.at[3].set(jnp.nan), 0.0 * W, W.at[0].set(jnp.inf)])
def test_what_is_no_weight_is_refused(name, wrong):
    function, argument = OF_WEIGHTS[name]
    with pytest.raises(ValueError, match=f"^{argument}: got .*; wants "):
        function(wrong)


def test_weights_of_other_rows_are_refused():
    with pytest.raises(ValueError, match=r"a: got shape \(3,\); wants one weight for each of 20"):
        sinkhorn(X, Y, np.ones(3), epsilon=0.3)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("epsilon", lambda e: sinkhorn(X, Y, epsilon=e)),
        ("source_penalty", lambda e: sinkhorn(X, Y, epsilon=0.3, source_penalty=e)),
        ("epsilon", lambda e: entropic_potential(Y, X, G, epsilon=e)),
        ("epsilon", lambda e: barycentric_projection(Y, X, G, epsilon=e)),
        ("epsilon", lambda e: self_transport(X, epsilon=e)),
    ],
)
def test_a_strength_that_is_none_is_refused(name, function, wrong):
    with pytest.raises(ValueError, match=f"{name}: got .*; wants a finite number above 0"):
        function(wrong)


def test_a_strength_may_be_an_array():
    np.testing.assert_array_equal(
        entropic_potential(Y, X, G, epsilon=jnp.asarray(0.3)),
        entropic_potential(Y, X, G, epsilon=0.3),
    )
    with pytest.raises(ValueError, match="epsilon: got -1"):
        entropic_potential(Y, X, G, epsilon=jnp.asarray(-1.0))


def test_only_ratios_of_weights_count():
    for solve in (
        lambda w: sinkhorn(X, Y, w, epsilon=0.3).f,
        lambda w: self_transport(X, w, epsilon=0.3).potential,
    ):
        np.testing.assert_allclose(solve(W), solve(W / W.sum()), atol=1e-12)
    assert sinkhorn(X, Y, W, epsilon=0.3).converged


@jax.jit
def _traced(weights, epsilon, scale, penalty):
    own = {"source_penalty": penalty, "target_penalty": penalty}
    return sinkhorn(scale * X, Y, weights, epsilon=epsilon, **own)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_under_a_trace_what_is_no_number_ends_the_iteration(place, bad):
    given = [W, 0.3, 1.0, 1.0]
    given[place] = bad * given[place]
    result = _traced(*given)
    # A penalty without end is one that holds.
    assert not result.converged or (place == 3 and bad == jnp.inf)
    assert int(result.iterations) <= 1000


def test_points_that_are_no_numbers_end_the_iteration():
    assert not sinkhorn(X.at[0, 0].set(jnp.nan), Y, W, epsilon=0.3).converged
