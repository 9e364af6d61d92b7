"""The bounds of the defect hold, and are as tight as they can be, where the defect is known."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brenier.certify._companion import companion
from brenier.certify._defect import Growth, _extrapolated, defect_bounds
from brenier.certify._pair_savings import pair_savings
from brenier.certify._verdict import verdict
from brenier.certify._work import Work

_TURN = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
_WORK = Work.of(2000, 2, 20.0)
_ROTATION_DEFECT = 4.0 * (1.0 - np.cos(0.3))


def _normal(n, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def _bounds(x, tx, seed=0, **options):
    options = {"level": 0.95, "tolerance": 0.01, "budget": 0.3, **options}
    return defect_bounds(x, tx, jax.random.key(seed), **options)


def _word(x, tx, **options):
    found = _bounds(x, tx, **options)
    return verdict(found, None, None, stretch=1.0, dimension=x.shape[1], tolerance=0.01).optimality


# (draw of n points, map, D): laws that no bound was made for.
_NORMAL = np.random.default_rng


def _atoms(r, n):
    return np.where(r.random(n) < 0.45, 1.0, -1.0)[:, None] * np.ones(50) / np.sqrt(50.0)


LAWS = {
    "two atoms": (_atoms, lambda x: -x, 3.6, 100),
    "lognormal": (lambda r, n: np.exp(1.5 * r.normal(size=(n, 1))), lambda x: -x, None, 300),
    "t3": (lambda r, n: r.standard_t(3, size=(n, 1)), lambda x: -x, 12.0, 300),
    "rare": (lambda r, n: r.random((n, 1)), lambda x: np.where(x > 0.999, x - 0.8, x), None, 300),
    "rotation": (lambda r, n: r.normal(size=(n, 2)), lambda x: x @ _TURN.T, _ROTATION_DEFECT, 400),
}


def _defect(name):
    draw, map, known, _ = LAWS[name]
    if known is not None:
        return known
    x = draw(np.random.default_rng(1), 400_000)[:, 0]
    y = map(x)
    return np.mean((x - y) ** 2) - np.mean((np.sort(x) - np.sort(y)) ** 2)


@pytest.mark.daily("lognormal", "two atoms")
@pytest.mark.parametrize("name", LAWS)
def test_bounds_hold_at_laws_that_break_normal_ones(name):
    """Theory, section 6.2: 51 of 200, 46 of 200, 28 of 200 and 170 of 200 missed before."""
    draw, map, _, n = LAWS[name]
    defect, low, crossed, core_low = _defect(name), 0, 0, 0
    for seed in range(10):
        x = draw(np.random.default_rng(seed), n)
        found = _bounds(x, map(x), seed=seed, budget=0.05)
        low += found.lower > defect * (1.0 + 1e-9)
        crossed += found.lower > found.upper
        core_low += found.core.lower > defect * (1.0 + 1e-9)
        if name == "rotation":  # where the core is almost all
            assert found.upper > 0.9 * defect
        if name == "rare" and found.core.rows_outside == 0:
            # What was not seen is not called reached: it may lie outside.
            assert found.core.outside > 0.001
    # 2.5 % are allowed; the experiment audit-calibration counts them.
    assert low <= 2
    assert core_low <= 2
    assert crossed == 0


def test_the_lower_bound_is_that_of_math_6():
    x = _normal(2000)
    assert _bounds(x, x @ _TURN.T).lower == pytest.approx(0.052, abs=0.012)
    x = _normal(2000, 50)
    found = _bounds(x, 10.0 - x)
    assert found.lower == pytest.approx(111.0, rel=0.06)
    assert found.core.upper == pytest.approx(203.0, rel=0.03)
    assert found.core.wasted_beyond_shift.lower > 0.5
    assert found.relative_upper < 0.05


def test_savings_rise_to_the_defect():
    """E Δ_k = 1.98, 2.7126, 3.044 at k = 2, 6, 12, exactly: Theory (6.3)."""
    x = _atoms(np.random.default_rng(0), 192)
    found = {2: [], 6: [], 12: []}
    for seed in range(30):
        x = _atoms(np.random.default_rng(seed), 192)
        savings = pair_savings(x, -x, np.random.default_rng(seed), _WORK)
        for k, own in zip(savings.sizes, savings.sets, strict=True):
            if k in found:
                found[k].append(own.mean())
    for k, expected in ((6, 2.7126), (12, 3.044)):
        error = np.std(found[k]) / np.sqrt(30)
        assert np.mean(found[k]) == pytest.approx(expected, abs=4 * error)


@settings(max_examples=25, deadline=None)
@given(st.integers(20, 200), st.integers(1, 3), st.integers(0, 10**6))
def test_savings_of_any_pairs_are_no_less_than_zero_and_a_monge_map_saves_nothing(n, d, seed):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, n, d))
    assert all((own >= 0).all() for own in pair_savings(x, y, random, _WORK).sets)
    monge = pair_savings(x, np.sinh(x) + 3.0, random, _WORK)
    assert not any(own.any() for own in monge.sets)
    assert monge.cycle is None
    assert monge.moved == 0


def test_a_cycle_can_be_checked_by_hand():
    x = _normal(400, 3)
    cycle = _bounds(x, -x + 1e3).cycle
    kept = np.sum((cycle.points - cycle.images) ** 2)
    passed = np.sum((cycle.points - np.roll(cycle.images, -1, axis=0)) ** 2)
    assert len(cycle.points) == 2
    assert kept - passed == pytest.approx(cycle.saving, rel=1e-6)
    assert cycle.saving > cycle.noise
    assert "A Monge map never does that" in cycle.proof()


def test_noise_of_single_precision_proves_nothing():
    x = _normal(2000, 3).astype(np.float32).astype(np.float64)
    y = (1e-3 * x + 40.0).astype(np.float32).astype(np.float64)
    assert _bounds(x, y, precision=float(np.finfo(np.float32).eps)).cycle is None


@pytest.mark.parametrize(
    "unit", [1e-30, 1e30, *(pytest.param(u, marks=pytest.mark.slow) for u in (1e-9, 1e9))]
)
@pytest.mark.parametrize("name", ["rotation", "bent"])
def test_units_and_shifts_change_no_word_and_no_share(unit, name):
    x = _normal(1000)
    y = x @ _TURN.T if name == "rotation" else x + 0.5 * np.tanh(2.0 * x)
    first, second = _bounds(x, y), _bounds(unit * (x + 7.0), unit * (y - 30.0))
    assert second.lower == pytest.approx(unit**2 * first.lower, rel=1e-3)
    assert second.upper == pytest.approx(unit**2 * first.upper, rel=1e-3)
    assert second.core.wasted_beyond_shift.upper == pytest.approx(
        first.core.wasted_beyond_shift.upper, rel=1e-3
    )


WORDS = {
    "identity": (lambda x: x, "optimal"),
    "shift": (lambda x: x + 1e4, "optimal"),
    "bent": (lambda x: x + 0.5 * np.tanh(2.0 * x), "optimal"),
    "reversed and shifted": (lambda x: 1e3 - x, "not optimal"),
    "turned": (lambda x: x @ np.array([[0.0, -1.0], [1.0, 0.0]]), "not optimal"),
    # 2 % of the points change sides, a tiny way: it is seen, and it is not much.
    "nearly": (lambda x: 3.0 * x + np.where(np.abs(x) < 0.01, -4.0 * x, 0.0), "optimal"),
}


@pytest.mark.parametrize(
    ("name", "d"), [(name, d) for name in WORDS for d in (1, 2) if (name, d) != ("turned", 1)]
)
def test_words(name, d):
    map, word = WORDS[name]
    x = _normal(2000, d)
    assert _word(x, map(x), budget=1.0) == word


def test_words_for_what_is_left_open():
    x = _normal(2000, 20)
    turned = x.copy()
    turned[:, :2] = x[:, :2] @ _TURN.T
    assert _word(x, 2.0 * turned) == "no bound"
    few = _normal(24, 2)
    assert _word(few, few @ _TURN.T) in ("undecided", "no bound")
    swapped = x.copy()
    swapped[:, 0] *= -1.0
    assert _word(x, swapped, budget=0.1) == "not exactly optimal"
    assert _word(x + 1e9, 2.0 * x + 1e9) == "undecided"
    assert _bounds(x + 1e9, 2.0 * x + 1e9).digits_lost


def test_no_defect_where_the_map_is_a_gradient():
    x = _normal(500)
    found = _bounds(x, np.sinh(x), optimal=True)
    assert found.upper == found.lower == found.matched == 0.0
    assert found.points_moved == 0
    assert found.core is None


@pytest.mark.slow
def test_the_companion_is_nearer_and_misses_no_more_than_it_says():
    missed, bounds = 0, []
    for seed in range(40):
        x = _normal(300, seed=seed)
        found = companion(
            x - x.mean(0), (x - x.mean(0)) @ _TURN.T, 0.025, np.random.default_rng(0), 1000
        )
        missed += found.lower > _ROTATION_DEFECT
        bounds.append(found.lower)
    assert missed <= 4
    assert np.mean(bounds) > 0.08


def test_extrapolation_of_an_exact_power_law():
    growth = [Growth(n, 1, 2.0 - 3.0 * n**-0.5) for n in (100, 200, 400)]
    assert _extrapolated(growth) == pytest.approx(2.0, rel=1e-12)
    assert np.isnan(_extrapolated(growth[:2]))


def test_few_pairs_with_rare_coordinates_are_bounded_by_less_than_their_cost():
    """As pixels that few images have: sample covariances alone gave 740 times the cost."""
    random = np.random.default_rng(0)
    codes = random.normal(size=(300, 200))
    x = codes * (random.random(codes.shape) < 0.01)
    assert _bounds(x, codes).upper < np.mean(np.sum((x - codes) ** 2, axis=1))


def test_few_pairs_of_a_constant_map_have_no_defect():
    """Images that are one point have no covariance to shrink: the first candidate was NaN."""
    x = _normal(100, 20)
    assert _bounds(x, np.ones_like(x)).upper <= 2e-3 * np.mean(np.sum((x - 1.0) ** 2, axis=1))
