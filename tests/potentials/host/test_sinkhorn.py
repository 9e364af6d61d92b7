"""Sinkhorn's ladder on the host against POT and against the compiled solver."""

import jax.numpy as jnp
import numpy as np
import pytest

from brenier.numerics import sinkhorn
from brenier.potentials.host import sinkhorn_ladder

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(150, 2)), 0.5 * RANDOM.normal(size=(120, 2)) + [1.0, 0.0]
WEIGHTS = RANDOM.dirichlet(np.full(120, 3.0))
EPSILONS = [1.0, 0.5, 0.2, 0.05]


def _marginal(g, weights, epsilon):
    """The second marginal of the plan that g stands for, where the first is exact."""
    cost = 0.5 * np.sum((X[:, None] - Y) ** 2, axis=2)
    scores = (g - cost) / epsilon + np.log(weights)
    plan = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (plan / plan.sum(axis=1, keepdims=True)).mean(axis=0)


def _tight(monkeypatch):
    monkeypatch.setattr("brenier.potentials.host._sinkhorn._TOLERANCE", 1e-10)
    monkeypatch.setattr("brenier.potentials.host._sinkhorn._MOST_SWEEPS", 20_000)


@pytest.mark.parametrize("weights", [np.full(120, 1.0 / 120), WEIGHTS], ids=["equal", "weights"])
def test_marginals_at_every_rung(weights):
    found = list(sinkhorn_ladder(X, Y, weights, EPSILONS))
    assert len(found) == len(EPSILONS)
    for g, epsilon in zip(found, EPSILONS, strict=True):
        assert np.abs(_marginal(g, weights, epsilon) - weights).sum() < 2e-3


@pytest.mark.parametrize("weights", [np.full(120, 1.0 / 120), WEIGHTS], ids=["equal", "weights"])
def test_potentials_are_those_of_pot_and_of_jax(weights, monkeypatch):
    import ot

    _tight(monkeypatch)
    cost = 0.5 * np.sum((X[:, None] - Y) ** 2, axis=2)
    for g, epsilon in zip(sinkhorn_ladder(X, Y, weights, EPSILONS), EPSILONS, strict=True):
        first = np.full(150, 1.0 / 150)
        _, log = ot.sinkhorn(
            first,
            weights,
            cost,
            epsilon,
            "sinkhorn_log",
            numItermax=20_000,
            stopThr=1e-12,
            log=True,
        )
        # POT's plan is exp(u + v − c/ε) without the weights in front.
        by_pot = epsilon * (log["log_v"] - np.log(weights))
        np.testing.assert_allclose(g - g.mean(), by_pot - by_pot.mean(), atol=1e-6)
    result = sinkhorn(
        jnp.asarray(X), jnp.asarray(Y), b=jnp.asarray(weights), epsilon=0.05, tolerance=1e-10
    )
    by_jax = np.asarray(result.g)
    np.testing.assert_allclose(g - g.mean(), by_jax - by_jax.mean(), atol=1e-6)


def test_a_ladder_ends_where_its_last_rung_begins_alone(monkeypatch):
    _tight(monkeypatch)
    *_, last = sinkhorn_ladder(X, Y, WEIGHTS, EPSILONS)
    (alone,) = sinkhorn_ladder(X, Y, WEIGHTS, EPSILONS[-1:])
    np.testing.assert_allclose(last - last.mean(), alone - alone.mean(), atol=1e-6)


def test_far_apart_and_sharp_nothing_underflows():
    """Costs of 5000 ε: kernels without care are zeros."""
    (g,) = sinkhorn_ladder(X, Y + 100.0, WEIGHTS, [1.0])
    assert np.isfinite(g).all()
    (sharp,) = sinkhorn_ladder(X, Y, WEIGHTS, [1e-3])
    assert np.isfinite(sharp).all()


def test_it_is_lazy():
    ladder = sinkhorn_ladder(X, Y, WEIGHTS, [1.0, -1.0])
    assert np.isfinite(next(ladder)).all()
