"""Bounds of means hold at laws where a normal bound does not, and are known of equal draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brenier.certify._bets import (
    mean_from_above,
    mean_from_below,
    probability_from_above,
    share_from_above,
)

_ALPHA = 0.025
_DRAWS = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=40).map(np.array)


@pytest.mark.parametrize(("n", "share"), [(16, 0.71), (32, 0.84), (64, 0.92), (512, 0.99)])
def test_equal_draws_are_bounded_as_math_6_says(n, share):
    assert mean_from_below([3.0 * np.ones(n)], _ALPHA) == pytest.approx(3.0 * share, rel=0.005)


@pytest.mark.parametrize(
    ("law", "mean"),
    [
        (lambda r: r.exponential(size=32), 1.0),
        # Student's t is above the mean in four of ten.
        (lambda r: (r.random(32) < 0.97).astype(float), 0.97),
        (lambda r: np.exp(1.5 * r.normal(size=32)), np.exp(1.125)),
    ],
)
def test_a_lower_bound_is_below_the_mean(law, mean):
    random = np.random.default_rng(0)
    missed = sum(mean_from_below([law(random)], _ALPHA) > mean for _ in range(200))
    assert missed <= 5 + 3 * np.sqrt(5)


def test_an_upper_bound_is_above_the_mean():
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        # Rare and large: a fortieth of the mass has all of the mean.
        y, pilot = ((random.random(n) < 0.025).astype(float) for n in (100, 20))
        missed += mean_from_above(y, 1.0, _ALPHA, pilot) < 0.025
    assert missed <= 5 + 3 * np.sqrt(5)


def test_a_share_is_above_the_true_one():
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        c = random.exponential(size=150)
        g = np.where(random.random(150) < 0.1, np.minimum(c, 2.0), 0.0)
        missed += (
            share_from_above(g[30:], c[30:], 2.0, _ALPHA, (g[:30], c[:30]))
            < 0.1 * (1.0 - np.exp(-2.0))  # E min(C, 2) = 1 − e⁻²
        )
    assert missed <= 5 + 3 * np.sqrt(5)


@settings(deadline=None, max_examples=40)
@given(_DRAWS, _DRAWS)
def test_bounds_lie_on_their_side_of_the_sample_mean(y, pilot):
    assert mean_from_below([y], _ALPHA) <= y.mean() + 1e-12
    assert y.mean() - 1e-12 <= mean_from_above(y, 1.0, _ALPHA, pilot) <= 1.0
    c = y + 0.5
    share = share_from_above(y, c, 1.0, _ALPHA, (pilot, pilot + 0.5))
    assert y.mean() / c.mean() - 1e-9 <= share <= 1.0


def test_nothing_seen_and_nothing_moved():
    assert mean_from_below([np.zeros(20)], _ALPHA) == 0.0
    assert mean_from_below([], _ALPHA) == 0.0
    assert share_from_above(np.zeros(9), np.zeros(9), 1.0, _ALPHA, (np.zeros(2), np.zeros(2))) == 1
    # 1 − (1 − p)ⁿ = 1 − α.
    assert probability_from_above(0, 50, 0.05) == pytest.approx(1.0 - 0.05 ** (1.0 / 50))
    assert probability_from_above(5, 5, 0.05) == 1.0
