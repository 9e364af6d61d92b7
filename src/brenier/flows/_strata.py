"""Batches that are spread over a cloud: the noise of their means is what cells of it leave."""

import jax
import jax.numpy as jnp

from brenier._types import Array, Bool, Float, Int, Key, Points, Weights

# Halvings that order a cloud, at most: as many cells as a batch has source points.
_HALVINGS = 12


@jax.jit
def cell_order(points: Points) -> Int[Array, " n"]:
    """The rows of a cloud (n, d) in an order in which neighbours in it lie in one small cell.

    Cells are halved at the median of their widest coordinate, as of a k-d tree.

    >>> cell_order(jnp.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.5], [0.0, 0.0]])).tolist()
    [3, 1, 2, 0]
    """
    rows = len(points)
    halvings = min(_HALVINGS, (rows - 1).bit_length())
    share = jnp.arange(rows) / rows

    def halve(level: Int[Array, ""], order: Int[Array, " n"]) -> Int[Array, " n"]:
        cell = jnp.floor(share * 2.0**level).astype(order.dtype)
        own = points[order]

        def sums(terms: Float[Array, "_ _"]) -> Float[Array, "_ _"]:
            # One shape for all levels, so that it is one program.
            return jax.ops.segment_sum(terms, cell, 2**halvings, indices_are_sorted=True)

        size = jnp.maximum(sums(jnp.ones((rows, 1), own.dtype)), 1)
        widest = jnp.argmax(sums((own - (sums(own) / size)[cell]) ** 2), axis=1)
        along = jnp.take_along_axis(own, widest[cell][:, None], axis=1)[:, 0]
        return order[jnp.lexsort((along, cell))]

    return jax.lax.fori_loop(0, halvings, halve, jnp.arange(rows))


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
        places = jnp.searchsorted(sums, share * sums[-1], side="right")  # no row of no weight
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
    turn = jax.random.randint(turn_key, (), 0, rows)
    turned = (jnp.cumsum(own) + turn) % jnp.maximum(count, 1)
    run = jnp.where(own & (turned < batches * size), turned // batches, size)
    chance = jax.random.uniform(within_key, (rows,))
    by_run = jnp.lexsort((chance, ~own, run))  # runs behind each other, shuffled each
    places = jnp.arange(rows)
    mixed = jnp.append(jax.random.permutation(run_key, size), size)[run[by_run]]
    batch = jnp.where(places < batches * size, places % batches, batches)
    return order[by_run[jnp.lexsort((mixed, batch))]]
