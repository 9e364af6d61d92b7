"""Batches that are spread over a cloud: the noise of their means is what cells of it leave."""

import jax
import jax.numpy as jnp

from brenier._types import Array, Bool, Int, Key, Points, Weights

# Halvings that order a cloud: cells beyond are smaller than a share of any batch.
_HALVINGS = 14


def cell_order(points: Points) -> Int[Array, " n"]:
    """The rows of a cloud (n, d) in an order in which neighbours in it lie in one small cell.

    Cells are halved at the median of their widest coordinate, as of a k-d tree.

    >>> cell_order(jnp.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.5], [0.0, 0.0]])).tolist()
    [3, 1, 2, 0]
    """
    rows = len(points)
    order = jnp.arange(rows)
    # Not the whole integers: 2^14 times 262,144 rows is no int32.
    share = jnp.arange(rows) / rows
    for level in range(min(_HALVINGS, (rows - 1).bit_length())):
        cell = jnp.floor(share * 2**level).astype(int)
        own = points[order]
        size = jax.ops.segment_sum(jnp.ones(rows, own.dtype), cell, 2**level)[:, None]
        size = jnp.maximum(size, 1)
        mean = jax.ops.segment_sum(own, cell, 2**level) / size
        spread = jax.ops.segment_sum((own - mean[cell]) ** 2, cell, 2**level)
        widest = jnp.argmax(spread, axis=1)
        along = jnp.take_along_axis(own, widest[cell][:, None], axis=1)[:, 0]
        order = order[jnp.lexsort((along, cell))]
    return order


def spread_rows(
    order: Int[Array, " n"], weights: Weights | None, key: Key, count: int
) -> Int[Array, " k"]:
    """One row drawn from each of ``count`` runs of equal weight of ``order``.

    Each row is drawn with the probability of its weight: means over them are unbiased.

    >>> rows = spread_rows(jnp.arange(100), None, jax.random.key(0), 10)
    >>> (rows // 10).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    share = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count
    if weights is None:
        places = jnp.floor(share * len(order)).astype(order.dtype)
    else:
        sums = jnp.cumsum(weights[order])
        places = jnp.searchsorted(sums, share * sums[-1])
    return order[jnp.minimum(places, len(order) - 1)]


def spread_batches(
    order: Int[Array, " n"], among: Bool[Array, " n"], key: Key, size: int
) -> Int[Array, " n"]:
    """All rows, those ``among`` first, so that each batch of them has one of each of equal runs.

    Runs begin anywhere, and those in no whole batch are a run too: no row is left out more often
    than another.

    Args:
        order: the rows as ``cell_order`` has them.
        among: which rows.
        key: of the choice within each run.
        size: rows of a batch.

    >>> rows = spread_batches(jnp.arange(8), jnp.ones(8, bool), jax.random.key(0), 4)
    >>> jnp.diff(jnp.sort(rows.reshape(2, 4)), axis=1).max().item() <= 3
    True
    """
    turn_key, within_key, run_key = jax.random.split(key, 3)
    rows, own = len(order), among[order]
    count = jnp.sum(own)
    batches = jnp.maximum(count // size, 1)
    turned = (jnp.cumsum(own) - 1 + jax.random.randint(turn_key, (), 0, rows)) % jnp.maximum(
        count, 1
    )
    run = jnp.where(own & (turned < batches * size), turned // batches, size)
    chance = jax.random.uniform(within_key, (rows,))
    by_run = jnp.lexsort((chance, ~own, run))  # runs behind each other, shuffled each
    places = jnp.arange(rows)
    mixed = jnp.append(jax.random.permutation(run_key, size), size)[run[by_run]]
    batch = jnp.where(places < batches * size, places % batches, batches)
    return order[by_run[jnp.lexsort((mixed, batch))]]
