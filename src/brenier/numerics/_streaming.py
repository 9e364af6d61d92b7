"""Soft reductions over all pairs of two clouds, tile by tile: memory O(n + m) plus one tile."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from brenier._checks import check_at_least
from brenier._types import Array, Float, Scalar
from brenier.numerics._devices import on_each_device, sharing

# Coordinates up to here are differenced one by one: exact for near points, and fused by XLA.
_DIRECT_DIMENSION = 8
# The side of a tile whose scores stay in a core's cache between product, maximum and sum.
TILE = 512


def pairs(x: Any, y: Any = None, *args: Any, **kwargs: Any) -> int:
    """The work, as ``over_devices`` counts it, of all pairs of one or two clouds.

    >>> pairs(jnp.ones((3, 2)), jnp.ones((5, 2)))
    15
    """
    return x.shape[0] * (x if y is None else y).shape[0]


@jax.jit
def squared_distances(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """‖x_i − y_j‖² as one matrix, for what fits in memory; never negative.

    Past d = 8 it is ‖x‖² + ‖y‖² − 2⟨x, y⟩: centre the clouds, or near points lose digits.

    >>> import jax.numpy as jnp
    >>> squared_distances(jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0], [1.0, 0.0]])).tolist()
    [[25.0, 1.0]]
    """
    if x.shape[1] <= _DIRECT_DIMENSION:
        total = jnp.square(x[:, None, 0] - y[None, :, 0])
        for k in range(1, x.shape[1]):
            total = total + jnp.square(x[:, None, k] - y[None, :, k])
        return total
    squares = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(y * y, axis=1)[None, :]
    return jnp.maximum(squares - 2.0 * (x @ y.T), 0.0)


def log_sum_exp(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    offsets: Float[Array, " m"],
    epsilon: Scalar,
    *,
    tile: int = TILE,
) -> Float[Array, " n"]:
    """log Σ_j exp(h_j + ⟨x_i, y_j⟩/ε) for each i, streamed."""
    return soft_reduce(x, y, offsets, jnp.zeros((y.shape[0], 0), y.dtype), epsilon, tile=tile)[0]


def shifted_log_sum_exp(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    shifts: Float[Array, " n"],
    offsets: Float[Array, " m"],
    epsilon: Scalar,
    *,
    tile: int = TILE,
) -> Float[Array, " n"]:
    """log Σ_j exp(s_i + h_j + ⟨x_i, y_j⟩/ε), streamed: half the work of ``log_sum_exp``.

    The shifts should bring each sum near 1. Where one is far off, the result is finite, large and
    of the right sign, which suffices for an iteration that corrects its shifts.
    """
    dtype = x.dtype
    ceiling, tiny = 0.5 * jnp.log(jnp.finfo(dtype).max), jnp.finfo(dtype).tiny
    columns = cut_tiles(y, 2 * tile), cut_tiles(offsets, 2 * tile, fill=-jnp.inf)

    def sum_row(row):
        x_tile, s_tile = row

        def add(total, column):
            y_tile, h_tile = column
            scores = x_tile @ y_tile.T + s_tile[:, None] + h_tile
            return total + jnp.sum(jnp.exp(jnp.minimum(scores, ceiling)), axis=1), None

        return jax.lax.scan(add, jnp.zeros(x_tile.shape[0], dtype), columns)[0]

    return jnp.log(jnp.maximum(over_tiles(sum_row, (x / epsilon, shifts), tile), tiny))


def soft_reduce(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    offsets: Float[Array, " m"],
    values: Float[Array, "m k"],
    epsilon: Scalar,
    *,
    tile: int = TILE,
) -> tuple[Float[Array, " n"], Float[Array, "n k"]]:
    """L_i = log Σ_j exp(s_ij) and Σ_j exp(s_ij − L_i) v_j, s_ij = h_j + ⟨x_i, y_j⟩/ε, streamed.

    Centre x and y first: rounding errors of the scores grow as |x||y|/ε.

    >>> import jax.numpy as jnp
    >>> one = jnp.ones((1, 1))
    >>> logs, means = soft_reduce(one, one, jnp.zeros(1), 5.0 * one, jnp.asarray(1.0))
    >>> logs.tolist(), means.tolist()
    ([1.0], [[5.0]])
    """
    k, least = values.shape[1], jnp.finfo(x.dtype).min
    columns = cut_tiles(y, tile), cut_tiles(offsets, tile, fill=-jnp.inf), cut_tiles(values, tile)

    def reduce_row(x_tile):
        def add(carry, column):
            top, total, mean = carry
            y_tile, h_tile, v_tile = column
            scores = x_tile @ y_tile.T + h_tile
            # No slope of its own: what is summed is the same by any constant.
            new_top = jax.lax.stop_gradient(jnp.maximum(top, jnp.max(scores, axis=1)))
            rescale = jnp.exp(top - new_top)
            kernel = jnp.exp(scores - new_top[:, None])
            total = total * rescale + jnp.sum(kernel, axis=1)
            return (new_top, total, mean * rescale[:, None] + kernel @ v_tile), None

        side = x_tile.shape[0]
        start = (jnp.full(side, least), jnp.zeros(side, x.dtype), jnp.zeros((side, k), x.dtype))
        (top, total, mean), _ = jax.lax.scan(add, start, columns)
        return top + jnp.log(total), mean / total[:, None]

    return over_tiles(reduce_row, x / epsilon, tile)


def over_tiles(function: Callable[[Any], Any], rows: Any, tile: int) -> Any:
    """function of the rows, tile after tile; each device that shares the program takes its own.

    Args:
        function: of a tile, (side, ...) to (side, ...), each row by itself.
        rows: (n, ...), or a tree of such arrays.
        tile: the largest side.

    >>> over_tiles(lambda x: 2.0 * x, jnp.arange(3.0), 2).tolist()
    [0.0, 2.0, 4.0]
    """
    n = jax.tree.leaves(rows)[0].shape[0]
    tiles = jax.tree.map(lambda leaf: shared_tiles(leaf, tile), rows)
    found = on_each_device(partial(jax.lax.map, function), tiles)
    return jax.tree.map(lambda a: a.reshape(math.prod(a.shape[:2]), *a.shape[2:])[:n], found)


def shared_tiles(array: Array, tile: int) -> Array:
    """``cut_tiles``, as many for each of the devices that share the program."""
    return cut_tiles(array, tile, multiple=sharing())


def cut_tiles(array: Array, tile: int, fill: float = 0.0, *, multiple: int = 1) -> Array:
    """(n, ...) padded with ``fill`` and cut to (tiles, side, ...), side at most ``tile``.

    Args:
        array: (n, ...).
        tile: the largest side.
        fill: what the last tiles are filled up with.
        multiple: of which the number of tiles is one.

    >>> import jax.numpy as jnp
    >>> cut_tiles(jnp.arange(3.0), 2).tolist()
    [[0.0, 1.0], [2.0, 0.0]]
    """
    n = array.shape[0]
    count = multiple * -(-n // (multiple * check_at_least("block", tile, 1)))
    side = -(-n // count)
    padding = [(0, count * side - n)] + [(0, 0)] * (array.ndim - 1)
    padded = jnp.pad(array, padding, constant_values=fill)
    return padded.reshape(count, side, *array.shape[1:])
