"""Weights of a combination: the least dual over the simplex."""

import itertools

import numpy as np
import pytest

from brenier.potentials.host import (
    HostLogSumExp,
    HostMixture,
    HostQuadratic,
    fit_separable,
    host_conjugates,
    stacking_weights,
)

RANDOM = np.random.default_rng(0)


def _dual(potentials, weights, x, y):
    used = [(phi, w) for phi, w in zip(potentials, weights, strict=True) if w > 0]
    phi = HostMixture(tuple(phi for phi, _ in used), np.array([w for _, w in used]))
    found = host_conjugates(phi, y, tolerance=1e-6, steps=100)
    return phi.value(x).mean() + found.values.mean()


def _simplex(k, steps):
    for counts in itertools.product(range(steps + 1), repeat=k):
        if sum(counts) == steps:
            yield np.array(counts) / steps


def _atoms(scale):
    points = scale * RANDOM.normal(size=(20, 2))
    return HostLogSumExp(0.9 * points, -0.45 * np.sum(points**2, axis=1), 0.5, 0.1)


def _columns(x, y):
    return fit_separable(x, y, np.eye(2), 25)


def _clouds(n=300):
    x, z = RANDOM.normal(size=(2, n, 2))
    return x, z + 0.4 * np.tanh(2.0 * z) + 0.2 * z[:, ::-1]


@pytest.mark.slow
def test_two_and_three_potentials_against_a_grid():
    learn, held = _clouds(), [_clouds() for _ in range(2)]
    columns = _columns(*learn)
    for potentials, steps in (
        ([HostQuadratic.identity(2), columns], 50),
        ([HostQuadratic.identity(2), columns, _atoms(1.2)], 20),
    ):
        found = stacking_weights([potentials, potentials], held)
        assert found.sum() == pytest.approx(1.0)
        assert (found >= 0).all()
        duals = {
            tuple(w): np.mean([_dual(potentials, w, *pair) for pair in held])
            for w in _simplex(len(potentials), steps)
        }
        own = np.mean([_dual(potentials, found, *pair) for pair in held])
        best = min(duals, key=lambda w: duals[w])
        # As low as the grid's best; weights below 2 % are left out, at a price of second order.
        assert own < duals[best] + 1e-4
        np.testing.assert_allclose(found, best, atol=0.1)


def test_folds_have_potentials_of_their_own():
    held = [_clouds(), _clouds()]
    own = [[HostQuadratic.identity(2), _columns(*_clouds())] for _ in held]
    found = stacking_weights(own, held)
    duals = [
        np.mean([_dual(fits, [1 - w, w], *pair) for fits, pair in zip(own, held, strict=True)])
        for w in np.linspace(0.0, 1.0, 51)
    ]
    assert found[1] == pytest.approx(np.argmin(duals) / 50, abs=0.04)


def test_the_right_one_alone():
    """One potential is the Monge map itself, the others are not near it."""
    x = RANDOM.normal(size=(2000, 2))
    held = [(x, RANDOM.normal(size=(2000, 2)))]
    found = stacking_weights([[_atoms(3.0), HostQuadratic.identity(2), _atoms(0.3)]], held)
    assert found[1] > 0.9


def test_a_combination_of_one_kind_twice_is_that_kind():
    held = [_clouds()]
    found = stacking_weights([[HostQuadratic.identity(2), HostQuadratic.identity(2)]], held)
    assert found.sum() == pytest.approx(1.0)


def test_a_mixture_of_wrong_slopes_finds_the_right_one():
    """x ↦ x/2 and x ↦ 2x in their mean that reaches a standard normal: weights 2/3 and 1/3."""
    half, double = (
        HostLogSumExp(np.zeros((1, 2)), np.zeros(1), 1.0, modulus) for modulus in (0.5, 2.0)
    )
    x = RANDOM.normal(size=(4000, 2))
    y = RANDOM.permutation(x)
    found = stacking_weights([[half, double]], [(x, y)])
    # J(w) is least where the slope m has m² E‖X‖² = E‖Y‖², exactly here.
    np.testing.assert_allclose(found, [2.0 / 3.0, 1.0 / 3.0], atol=1e-3)
