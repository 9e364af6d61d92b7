"""Declared symmetries: what they make of points has the law of the source, and closes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from brenier.certify._black_box import BlackBox
from brenier.certify._orbits import asymptotic_from_symmetry, density_rings, symmetric_orbits
from brenier.certify._symmetry import Elliptical, Exchangeable, SignChanges
from brenier.measures import GaussianMixture

_CENTRE = np.array([1.0, -2.0, 0.5, 3.0])
_ROOT = np.random.default_rng(0).normal(size=(4, 4))
_SCATTER = _ROOT @ _ROOT.T
# Of each symmetry: what none of its transformations changes.
KEPT = {
    "elliptical": (
        Elliptical(_CENTRE, _SCATTER),
        lambda x: np.einsum("...i,ij,...j", x - _CENTRE, np.linalg.inv(_SCATTER), x - _CENTRE),
    ),
    "exchangeable": (Exchangeable(), lambda x: np.sort(x, axis=-1)),
    "signs": (SignChanges(_CENTRE), lambda x: np.abs(x - _CENTRE)),
}


def _bad_map(random):
    """A linear map that turns, mixes and reflects."""
    return random.normal(size=(4, 4)) - 0.5 * np.eye(4)


@pytest.mark.parametrize("name", KEPT)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_orbits_keep_what_the_symmetry_keeps_and_close(name, seed):
    symmetry, kept = KEPT[name]
    random = np.random.default_rng(seed)
    x, matrix = random.normal(size=(200, 4)) + _CENTRE, _bad_map(random)
    kinds = symmetry.kinds(x, x @ matrix.T, lambda: np.repeat(matrix[None], 16, axis=0))
    for kind in kinds:
        orbit = kind.around(x[:5])
        assert orbit.shape == (5, kind.points, 4)
        assert orbit[:, 0] == pytest.approx(x[:5])
        assert kept(orbit) == pytest.approx(np.repeat(kept(x[:5])[:, None], kind.points, axis=1))
        # The next point after the last is the first: Φ of an orbit is the orbit, one place on.
        assert kind.around(orbit[:, -1])[:, 1 % kind.points] == pytest.approx(x[:5])
    for move in symmetry.moves(x, x @ matrix.T):
        assert kept(x + move(x)) == pytest.approx(kept(x))
    assert kept(symmetry.scattered(x, random)) == pytest.approx(kept(x))


def test_what_lies_off_a_flat_scatter_stays():
    frame = ortho_group.rvs(4, random_state=0)
    symmetry = Elliptical(np.zeros(4), frame[:, :2] @ frame[:, :2].T)
    x = np.random.default_rng(0).normal(size=(50, 4))
    turn = frame[:, [1, 0, 2, 3]] @ np.diag([1.0, -1.0, 1.0, 1.0]) @ frame.T
    kinds = symmetry.kinds(x, x @ turn.T, lambda: np.repeat(turn[None], 16, axis=0))
    assert len(kinds) == 2
    off = frame[:, 2:]
    for kind in kinds:
        assert kind.around(x) @ off == pytest.approx((x @ off)[:, None] + np.zeros((1, 96, 2)))


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("map", [np.sinh, lambda x: x @ _SCATTER, np.sign])
def test_a_monge_map_saves_nothing_on_any_orbit(name, map):
    symmetry = KEPT[name][0]
    random = np.random.default_rng(1)
    x = random.normal(size=(400, 4)) + _CENTRE
    import jax

    found = symmetric_orbits(
        BlackBox(map), symmetry, (x[:200], map(x[:200])), x[200:], jax.random.key(0)
    )
    law = GaussianMixture(np.ones(1), _CENTRE[None], np.eye(4)[None])
    found += density_rings(BlackBox(map), law, (x, map(x)), law, jax.random.key(1))
    assert len(found) >= 3
    for orbits in found:
        scale = np.sqrt(np.mean(orbits.images**2)) * np.sqrt(np.mean(orbits.points**2))
        assert orbits.savings(1e-15).max() <= 1e-9 * scale


def test_rings_in_a_density_are_those_of_math_6():
    """N(0, I₂) turned by .3, radii .5, 1, 1.5: L = .010, .016, .011 of .179 (6.11b)."""
    import jax

    from brenier.certify._bets import mean_from_below

    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    law = GaussianMixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    x = np.random.default_rng(0).normal(size=(500, 2))
    rings = density_rings(
        BlackBox(lambda p: p @ turn.T), law, (x, x @ turn.T), law, jax.random.key(0)
    )
    bounds = [mean_from_below([own.savings(0.0)], 0.025) for own in rings]
    assert bounds == pytest.approx([0.010, 0.016, 0.011], abs=0.006)
    assert all(own.savings(0.0).mean() < 4.0 * (1.0 - np.cos(0.3)) for own in rings)


def test_pairs_of_a_declared_gaussian_show_a_defect_in_ten_dimensions():
    """Theory (6.12): .048 of .05 at n = 10⁴; and nothing at D = 0."""
    z = np.random.default_rng(0).normal(size=1_000_000)
    moved = 0.25 * np.mean(np.tanh(2.0 * z) ** 2)
    both = 2.0 * np.mean(z * (z + 0.5 * np.tanh(2.0 * z)))
    cosine = 1.0 - 0.05 * moved / both
    planes = np.kron(
        np.eye(5), [[cosine, -np.sqrt(1 - cosine**2)], [np.sqrt(1 - cosine**2), cosine]]
    )
    frame = ortho_group.rvs(10, random_state=0)
    turn, symmetry = frame @ planes @ frame.T, Elliptical(np.zeros(10), np.eye(10))

    def bound(matrix, seed, n):
        x = np.random.default_rng(seed).normal(size=(n, 10))
        y = x @ matrix.T
        return asymptotic_from_symmetry(x, y + 0.5 * np.tanh(2.0 * y), symmetry, 1.96)

    shares = [bound(turn, seed, 10_000) / (10 * moved) for seed in range(4)]
    assert np.mean(shares) == pytest.approx(0.048, abs=0.0015)
    assert max(shares) < 0.05
    assert sum(bound(np.eye(10), seed, 1000) > 0.0 for seed in range(40)) <= 4
