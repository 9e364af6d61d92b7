"""Batches spread over a cloud: unbiased, without repetition, and of less noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.flows._strata import cell_order, spread_batches, spread_rows

KEY = jax.random.key(0)


@pytest.mark.parametrize(("rows", "dimension"), [(1, 1), (2, 3), (77, 2), (300, 1)])
def test_an_order_has_every_row_once_ties_too(rows, dimension):
    points = np.round(np.random.default_rng(0).normal(size=(rows, dimension)), 1)
    np.testing.assert_array_equal(np.sort(cell_order(jnp.asarray(points))), np.arange(rows))


def test_neighbours_in_the_order_are_neighbours():
    points = jax.random.normal(KEY, (4096, 3))
    cells = points[cell_order(points)].reshape(64, 64, 3)
    assert jnp.mean(jnp.var(cells, axis=1)) < 0.15


@pytest.mark.parametrize(
    ("rows", "seen", "size"), [pytest.param(1000, 517, 64, marks=pytest.mark.slow), (70, 64, 64)]
)
def test_batches_of_a_round_repeat_no_row_and_take_only_those_seen(rows, seen, size):
    among = jnp.zeros(rows, bool).at[jax.random.permutation(KEY, rows)[:seen]].set(True)
    order = cell_order(jax.random.normal(KEY, (rows, 2)))
    found = np.asarray(spread_batches(order, among, KEY, size))
    np.testing.assert_array_equal(np.sort(found), np.arange(rows))
    assert set(found[:seen]) == set(np.flatnonzero(among))


def test_no_row_is_left_out_more_often_than_another():
    order, among = jnp.arange(70), jnp.ones(70, bool)
    keys = jax.random.split(KEY, 2000)
    left = jax.vmap(lambda key: spread_batches(order, among, key, 32)[64:])(keys)
    counts = np.bincount(np.asarray(left).ravel(), minlength=70)
    assert abs(counts / 2000 - 6 / 70).max() < 5 * np.sqrt(6 / 70 / 2000)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_row_is_drawn_as_often_as_its_weight_says(weighted):
    weights = jnp.arange(1.0, 41.0) if weighted else None
    order = jax.random.permutation(KEY, 40)
    draw = jax.vmap(lambda key: spread_rows(order, weights, key, 7))
    counts = np.bincount(np.asarray(draw(jax.random.split(KEY, 3000))).ravel(), minlength=40)
    expected = np.full(40, 1 / 40) if weights is None else np.asarray(weights / weights.sum())
    frequency = counts / counts.sum()
    assert abs(frequency - expected).max() < 5 * np.sqrt(expected.max() / 21_000)


@pytest.mark.slow
@pytest.mark.parametrize(("dimension", "less"), [(2, 0.1), (8, 0.5)])
def test_means_of_batches_have_less_noise_than_of_independent_draws(dimension, less):
    points = jax.random.normal(KEY, (8192, dimension))
    order = cell_order(points)

    def noise(batches):
        means = jnp.mean(jnp.logaddexp(points @ jnp.ones(dimension), 0.0)[batches], axis=1)
        return jnp.var(means)

    keys = jax.random.split(KEY, 200)
    drawn = jax.vmap(lambda key: jax.random.choice(key, 8192, (512,)))(keys)
    spread = jax.vmap(lambda key: spread_rows(order, None, key, 512))(keys)
    visited = spread_batches(order, jnp.ones(8192, bool), KEY, 512).reshape(16, 512)
    assert noise(spread) < less * noise(drawn)
    assert noise(visited) < less * noise(drawn)
