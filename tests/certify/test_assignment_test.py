"""Rows that belong together are nearer, by a permutation test with a key."""

import jax
import numpy as np
import pytest

from brenier.certify import assignment_test, audit_pairs, paired_closer

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
