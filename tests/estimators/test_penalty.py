"""The strength of growth, or none, chosen by points held out."""

import numpy as np
import pytest

from brenier import MongeMap
from brenier.estimators.growth import entropic_growth, penalty_rows
from brenier.estimators.growth._penalty import _ranked
from brenier.measures import Gaussian

# Types of points lie so many of their own standard deviations apart; 120 points a side everywhere,
# since programs are compiled for each number.
FAR, STEP = np.array([0.0, 10.0]), np.array([2.0, 0.0])


def _types(n, rng):
    return np.concatenate([rng.normal(size=(n, 2)), FAR + rng.normal(size=(n, 2))])


def _fit(x, y, unbalanced):
    return MongeMap(random_state=0, candidates=["gaussian", "entropic"], unbalanced=unbalanced).fit(
        x, y
    )


def _chosen(rows):
    (one,) = [row for row in rows if row.chosen]
    return one


def test_a_type_that_is_gone_is_found():
    rng = np.random.default_rng(0)
    x = _types(60, rng)
    est = _fit(x, rng.normal(size=(120, 2)) + STEP, "cv")
    one = _chosen(est.penalties_)
    assert est.growth_.penalty == one.penalty
    # More than half of the squared move of the type that stays, less than that of the other.
    assert 0.5 * STEP @ STEP < one.penalty < 0.5 * FAR @ FAR
    assert est.source_growth_[60:].mean() < 0.1 * est.source_growth_[:60].mean()
    off = np.linalg.norm(est.transform(x)[:60] - x[:60] - STEP, axis=1)
    # What growth takes of a move between types of variance 1, and 0.4 for so few points.
    assert off.mean() < 2.0 - 2.0 / (1.0 + 2.0 / one.penalty) + 0.4
    balanced = est.penalties_[0]
    assert balanced.penalty is None
    assert balanced.behind > 2.0 * balanced.stderr
    assert est.score(x, rng.normal(size=(120, 2)) + STEP) < 10.0
    assert "cv" in repr(est)


def test_where_nothing_is_gone_the_map_is_the_balanced_one():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(120, 2)), rng.normal(size=(120, 2)) @ np.diag([2.0, 0.5]) + 3.0
    est = _fit(x, y, "cv")
    assert _chosen(est.penalties_).penalty is None
    assert est.growth_ is None
    assert (est.source_growth_ == 1.0).all()
    np.testing.assert_array_equal(est.transform(x), _fit(x, y, None).transform(x))


@pytest.mark.slow
def test_units_change_nothing():
    rng = np.random.default_rng(2)
    x, y = _types(60, rng), rng.normal(size=(120, 2)) + STEP
    unit = 2.0**20
    shifted = unit * x + 2.0**23, unit * y + 2.0**23
    here, there = (penalty_rows(*pair, (None, None), 0) for pair in ((x, y), shifted))
    assert [row.chosen for row in here] == [row.chosen for row in there]
    for one, other in zip(here, there, strict=True):
        assert one.penalty == other.penalty or np.isclose(other.penalty, one.penalty * unit**2)
        # Plans end at an error of 1e-3.
        assert other.discrepancy == pytest.approx(one.discrepancy, abs=1e-2)


@pytest.mark.slow
def test_weights_count():
    rng = np.random.default_rng(3)
    x, y = _types(60, rng), _types(60, rng)
    lost = np.where(np.arange(120) < 60, 1.0, 1e-9)
    assert _chosen(penalty_rows(x, y, (None, lost), 0)).penalty is not None
    one = _chosen(penalty_rows(x, x[rng.permutation(120)] + 1.0, (None, None), 0))
    assert one.penalty is None or np.std(entropic_growth(x, x + 1.0, one.penalty).source(x)) < 0.1


def test_the_largest_within_two_standard_errors_is_taken():
    seen = np.array([[5.0, 2.2, 2.0, 9.0], [5.1, 1.9, 2.0, 9.0], [5.0, 2.1, 2.0, np.inf]])
    rows = _ranked([None, 4.0, 2.0, 1.0], seen)
    assert [row.chosen for row in rows] == [False, True, False, False]
    assert rows[3].behind == np.inf
    alike = _ranked([None, 4.0], np.ones((3, 2)))
    assert alike[0].chosen


@pytest.mark.parametrize("wrong", ["auto", "CV", "4", ""])
def test_other_words_are_refused(wrong):
    with pytest.raises(ValueError, match=r"unbalanced: got .*; wants a finite number above 0"):
        _fit(np.zeros((50, 2)), np.ones((50, 2)), wrong)


def test_what_cannot_be_judged_is_refused():
    x = np.random.default_rng(4).normal(size=(50, 2))
    with pytest.raises(ValueError, match="unbalanced: got 'cv' for 39 points of Y; wants 40"):
        _fit(x, x[:39], "cv")
    with pytest.raises(ValueError, match="Y: got the measure Gaussian with unbalanced=cv"):
        _fit(x, Gaussian(np.zeros(2), np.eye(2)), "cv")


def _drawn_case(rng, gone):
    """Two to four types of two to fifteen dimensions, moved and scaled; one is gone, or none."""
    d, k, n = (int(rng.choice(some)) for some in ((2, 5, 15), (2, 3, 4), (200, 400)))
    apart = rng.uniform(5.0, 10.0) + np.sqrt(d)
    centres = [np.zeros(d)]
    while len(centres) < k:
        way = rng.normal(size=d)
        centre = 2.0 * apart * rng.uniform(0.6, 1.3) * way / np.linalg.norm(way)
        if min(np.linalg.norm(centre - other) for other in centres) >= apart:
            centres.append(centre)
    centres = np.array(centres)
    shares = rng.dirichlet(np.full(k, 8.0))
    after = shares.copy()
    if gone:
        after[-1] = 0.0
        after /= after.sum()
    step = rng.normal(size=d)
    step *= rng.uniform(0.3, 1.0) * apart / 4.0 / np.linalg.norm(step)
    own, scale = 0.3 * rng.normal(size=(k, d)), rng.uniform(0.8, 1.25)
    kinds, others = rng.choice(k, n, p=shares), rng.choice(k, n, p=after)
    x = centres[kinds] + rng.normal(size=(n, d))
    y = centres[others] + scale * rng.normal(size=(n, d)) + step + own[others]
    return x, y, kinds == k - 1


@pytest.mark.slow
def test_of_twenty_draws_of_either_kind_nearly_all_are_told():
    found, left = [], []
    for seed in range(20):
        rng = np.random.default_rng([7, seed])
        for gone, told in ((True, found), (False, left)):
            x, y, last = _drawn_case(rng, gone)
            penalty = _chosen(penalty_rows(x, y, (None, None), seed)).penalty
            growth = np.ones(len(x))
            if penalty is not None:
                growth = entropic_growth(x, y, penalty).source(x)
            if gone:
                told.append(growth[last].mean() < 0.25 * growth[~last].mean())
            else:
                told.append(growth.std() < 0.25 * growth.mean())
    assert np.mean(found) >= 0.9
    assert np.mean(left) >= 0.9
