"""One network for all conditions: points that carry theirs with them, and whether it helps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import ConditionalMongeMap
from brenier.estimators.conditional._network import Fibred, network_of
from brenier.estimators.conditional._sides import Side, Sides
from brenier.flows import SemiDual
from brenier.potentials import ICNN, PartialICNN, conjugate_points, expansion

KEY = jax.random.key(0)
DOSES = np.linspace(-1.0, 1.0, 5)


def phi() -> PartialICNN:
    """A network that moves with a number and a category of two."""
    network = ICNN.identity(KEY, 2, (4, 3), activation="squareplus", pieces=3)
    still = PartialICNN.identity(network, (2, 0), 2, key=KEY)
    return jax.tree.map(lambda z: z + 0.2 * jax.random.normal(KEY, z.shape), still)


@pytest.mark.slow
def test_points_with_their_conditions_are_moved_by_the_map_of_each():
    own, apart = phi(), 4.0
    x, codes = jax.random.normal(KEY, (6, 2)), jnp.array([[1.0, 0.0, -0.5], [0.0, 1.0, 0.5]])
    both = Fibred(own, apart)
    assert both.dimension == 5
    for code in codes:
        z = jnp.concatenate([x, jnp.broadcast_to(apart * code, (6, 3))], axis=1)
        np.testing.assert_allclose(both.gradient(z)[:, :2], own.gradient(x, code), rtol=1e-12)
        np.testing.assert_allclose(both.gradient(z)[:, 2:], z[:, 2:])
        found = expansion(both, z[0])
        np.testing.assert_allclose(found.hessian, both.hessian(z[:1])[0], rtol=1e-9, atol=1e-12)
        y = 2.0 * z.at[:, 2:].multiply(0.5)  # far from x, at the same condition
        back = conjugate_points(both, y, y)
        alone = conjugate_points(own.at(code), y[:, :2], y[:, :2])
        np.testing.assert_allclose(back.point[:, :2], alone.point, atol=1e-7)
        np.testing.assert_allclose(back.point[:, 2:], y[:, 2:], atol=1e-12)


def slopes(c: float) -> np.ndarray:
    angles = np.array([0.0, 2.1, 4.2]) + 0.8 * c
    return 1.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def known(x: np.ndarray, c: float) -> np.ndarray:
    """The gradient of ¼‖x‖² + ½ log Σ exp(2⟨a_i(c), x⟩): its slopes turn with the dose."""
    heights = 2.0 * x @ slopes(c).T
    shares = np.exp(heights - heights.max(axis=1, keepdims=True))
    return 0.5 * x + shares / shares.sum(axis=1, keepdims=True) @ slopes(c)


def sides(n: int) -> Sides:
    r = np.random.default_rng(0)
    of = np.repeat(np.arange(5), n)
    x, z = r.normal(size=(2, 5 * n, 2))
    y = np.concatenate([known(z[of == k], dose) for k, dose in enumerate(DOSES)])
    sound = np.ones(5 * n, bool)
    return Sides(Side(x, of, sound), Side(y, of, sound), DOSES[:, None], (0,))


@pytest.mark.slow  # compilation
def test_a_few_steps_bring_it_nearer_at_every_dose():
    own, seen = sides(120), []  # of 40 a dose the middle one is not told from the start
    method = SemiDual(steps=200, batch=64)
    network = ICNN.identity(KEY, 2, (8, 8), activation="squareplus", pieces=8)
    found = network_of(own, method, network, key=KEY, tell=seen.append)
    assert isinstance(found, PartialICNN)
    assert found.linear.dtype == np.float64
    assert min(one.metric for one in seen) < seen[0].metric
    x = np.random.default_rng(1).normal(size=(200, 2))
    for dose in DOSES:
        error = np.mean((np.asarray(found.gradient(x, np.array([dose]))) - known(x, dose)) ** 2)
        assert error < 0.8 * np.mean((x - known(x, dose)) ** 2)  # that of the start


@pytest.mark.slow  # two networks
def test_slopes_that_turn_with_the_dose_are_learned_from_few_points_a_dose():
    r = np.random.default_rng(0)
    doses = np.repeat(np.linspace(-1.0, 1.0, 40), 30)
    x, z = r.normal(size=(2, len(doses), 2))
    y = np.stack([known(row[None], dose)[0] for row, dose in zip(z, doses, strict=True)])
    fresh = r.normal(size=(1000, 2))
    errors = {}
    for effort in ("auto", "best"):
        est = ConditionalMongeMap(effort=effort, random_state=0).fit(x, y, doses, doses)
        true = [known(fresh, dose) for dose in (-0.7, 0.0, 0.7)]
        found = [est.transform(fresh, dose) for dose in (-0.7, 0.0, 0.7)]
        errors[effort] = np.mean([np.mean((a - b) ** 2) for a, b in zip(found, true, strict=True)])
    assert {row.name: row.weight for row in est.candidates_.parts}["network"] > 0.3
    assert errors["best"] < 0.7 * errors["auto"]
