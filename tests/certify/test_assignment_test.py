"""Rows that belong together are nearer, by a permutation test with a key."""

import jax
import numpy as np
import pytest

from brenier.certify import alignment, assignment_test, audit_pairs, paired_closer

_X = np.random.default_rng(0).normal(size=(30, 4))
_OTHER = np.random.default_rng(1).normal(size=(30, 4))


def test_equal_keys_draw_equal_pairings_and_seed_0_is_the_default():
    first, second = (paired_closer(_X, _OTHER, key=jax.random.key(0)) for _ in range(2))
    assert first == second == paired_closer(_X, _OTHER)
    assert first["random"] != paired_closer(_X, _OTHER, key=jax.random.key(1))["random"]


def test_rows_that_do_not_match_are_named():
    with pytest.raises(ValueError, match="second: got 29 rows for 30; wants one each"):
        paired_closer(_X, _OTHER[1:])
    for test in (assignment_test, audit_pairs):
        with pytest.raises(ValueError, match="tx: got 29 images of 30 points; wants one each"):
            test(_X, _OTHER[1:])


def test_controls_are_compared_as_pairs_are():
    near = _X + 0.1 * _OTHER
    found = alignment(_X, near, {"own": near, "none": _OTHER})
    assert found["own"] == found["paired"] == paired_closer(_X, near)
    assert found["none"] == paired_closer(_X, _OTHER)
    assert found["paired"]["p_value"] == 0.001


def test_shuffled_pairs_are_near_at_chance_only_and_none_keeps_its_own():
    keys = jax.random.split(jax.random.key(0), 40)
    found = [alignment(_X, _X, key=key)["shuffled"] for key in keys]
    # A derangement: of equal rows none is at distance 0, so the mean is that of other rows.
    assert all(one["paired"] > 0.8 * one["random"] for one in found)
    small = sum(one["p_value"] <= 0.1 for one in found)
    # Binomial of 40 at 0.1, and four standard errors: derangements lose the pairs at distance 0.
    assert small <= 12
