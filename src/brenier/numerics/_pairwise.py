"""Statistics of the distances between the points of one or two clouds."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_points
from brenier._types import Array, Float, Points, RowWeights, Scalar, Weights
from brenier.numerics._checked_inputs import checked_inputs, known_weights
from brenier.numerics._devices import on_each_device, over_devices, sharing
from brenier.numerics._streaming import cut_tiles, pairs, shared_tiles, squared_distances
from brenier.numerics._weighting import row_count, rows_by_weight

# The side of a tile: large enough for several cores, small enough for their caches.
_TILE = 1024
# The median is over all pairs of at most this many points.
_MEDIAN_POINTS = 2048


@checked_inputs({"x_weights": "x", "y_weights": "y"})
@over_devices(pairs)
@jax.jit
def mean_distance(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"] | None = None,
    x_weights: Float[Array, " n"] | None = None,
    y_weights: Float[Array, " m"] | None = None,
) -> Scalar:
    """Σ_ij a_i b_j ‖x_i − y_j‖ / Σ_ij a_i b_j, streamed: the mean distance between two clouds.

    With ``y`` None, of x and itself, the zero diagonal included, at half the work. Pair arithmetic
    in the dtype of the input, sums in float64: float32 clouds cost half, for an error of about 1e-8
    of the distance. Not for differentiation: a distance has no gradient at 0.

    Args:
        x, y: clouds (n, d) and (m, d).
        x_weights, y_weights: a (n,) and b (m,), non-negative, divided by their sums; uniform where
            None.

    >>> import jax.numpy as jnp
    >>> float(mean_distance(jnp.array([[0.0], [4.0]])))
    2.0
    >>> float(mean_distance(jnp.array([[0.0], [4.0]]), jnp.array([[3.0]])))
    2.0
    """
    symmetric = y is None
    wide = jnp.promote_types(x.dtype, jnp.float64)
    centre = jnp.mean(x, axis=0)
    x = x - centre
    a, total = _weights(x, x_weights)
    other, b, other_total = (x, a, total) if y is None else (y - centre, *_weights(y, y_weights))
    x_tiles, a_tiles = shared_tiles(x, _TILE), shared_tiles(a.astype(wide), _TILE)
    cut = shared_tiles if symmetric else cut_tiles
    y_tiles, b_tiles = cut(other, _TILE), cut(b, _TILE)

    def part(distances, i, j):
        # Row sums: a sum over columns would walk the tile against its layout.
        return a_tiles[i] @ jnp.sum(distances * b_tiles[j], axis=1).astype(wide)

    def add_row(total, i):
        def add_tile(j, total):
            distances = jnp.sqrt(squared_distances(x_tiles[i], y_tiles[j]))
            return total + (2.0 if symmetric else 1.0) * part(distances, i, j)

        if not symmetric:
            return jax.lax.fori_loop(0, y_tiles.shape[0], add_tile, total), None
        # Past d = 8 rounding leaves the diagonal at |x|√u instead of 0.
        itself = jnp.sqrt(squared_distances(x_tiles[i], x_tiles[i]))
        itself = jnp.where(jnp.eye(itself.shape[0], dtype=bool), 0.0, itself)
        total = total + part(itself, i, i)
        return jax.lax.fori_loop(i + 1, x_tiles.shape[0], add_tile, total), None

    def add_rows(rows):
        return jax.lax.scan(add_row, jnp.zeros((), wide), rows)[0][None]

    # One after the other to each device: of two equal clouds the first rows take most.
    rows = jnp.arange(x_tiles.shape[0]).reshape(-1, sharing()).T.ravel()
    return jnp.sum(on_each_device(add_rows, rows)) / (total * other_total)


def energy_distance_squared(
    x: Float[Array, "n d"] | Float[np.ndarray, "n d"],
    y: Float[Array, "m d"] | Float[np.ndarray, "m d"],
    x_weights: Any = None,
    y_weights: Any = None,
) -> Scalar:
    """2E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ ≥ 0, the MMD² of the kernel −‖x − y‖, streamed.

    The V-statistic: all pairs, the zero diagonal included, so it is non-negative, zero for equal
    clouds only, and biased up by about (E‖X − X'‖/n + E‖Y − Y'‖/m). It is a difference of large
    numbers: absolute error about 1e-15 (float64) or 1e-8 (float32) of the mean distance; past d = 8
    a point in both clouds adds 1e-8 (3e-4) of its norm over n.

    With weights E‖X − Y‖ is Σ_ij a_i b_j ‖x_i − y_j‖ over Σ_ij a_i b_j, and so on: still the
    V-statistic, that of rows repeated as often as whole weights say. Its bias then has Kish's
    (Σa)²/Σa² in the place of n.
    Székely & Rizzo (2013); the quality measure of DLV26.

    Args:
        x, y: clouds (n, d) and (m, d).
        x_weights, y_weights: a (n,) and b (m,), non-negative, divided by their sums; uniform where
            None.

    Raises:
        ValueError: weights of another shape, negative, not finite, or all 0 (not of traced ones).

    >>> import jax.numpy as jnp
    >>> float(energy_distance_squared(jnp.array([[0.0]]), jnp.array([[3.0]])))
    6.0
    >>> two = jnp.array([[0.0], [3.0]])
    >>> float(energy_distance_squared(two, two[:1], jnp.array([1.0, 2.0])))  # 2·2 − 2·3·2/9
    2.666666666666667
    """
    return _energy_distance_squared(
        x, y, known_weights("x_weights", x_weights, x), known_weights("y_weights", y_weights, y)
    )


@over_devices(pairs)
@jax.jit
def _energy_distance_squared(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    x_weights: Float[Array, " n"] | None = None,
    y_weights: Float[Array, " m"] | None = None,
) -> Scalar:
    cross = mean_distance(x, y, x_weights, y_weights)
    within = mean_distance(x, None, x_weights) + mean_distance(y, None, y_weights)
    return 2.0 * cross - within


@partial(jax.jit, static_argnames=("max_points",))
def median_squared_distance(x: Points, *, max_points: int = _MEDIAN_POINTS) -> Scalar:
    """The median of ‖x_i − x_j‖² over the pairs i ≠ j, to a relative accuracy of 1e-3.

    Found by bisection on the count of pairs below a level, some 20 times faster than a sort. Of
    more than ``max_points`` points, only that many, evenly spaced along the array, are looked at.
    A single point has median 0.

    >>> import jax.numpy as jnp
    >>> round(float(median_squared_distance(jnp.array([[0.0], [1.0], [3.0]]))), 1)
    4.0
    """
    n = x.shape[0]
    if n > max_points:
        x = x[(jnp.arange(max_points) * n) // max_points]
        n = max_points
    x = jax.lax.stop_gradient(x - jnp.mean(x, axis=0))
    distances = squared_distances(x, x)
    mean = jnp.sum(distances) / max(n * (n - 1), 1)
    # Levels of a bisection need no more than float32, which also counts to 2048² exactly.
    ratios = (distances / jnp.where(mean > 0, mean, 1.0)).astype(jnp.float32)
    # The n zeros of the diagonal lie below the median too.
    wanted = n + (n * (n - 1) + 1) // 2

    def wide(bounds):
        return bounds[1] - bounds[0] > 1e-3 * bounds[1]

    def halve(bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        enough = jnp.sum((ratios <= middle).astype(jnp.float32)) >= wanted
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    # Markov: at most half of the pairs are beyond twice their mean.
    low, high = jax.lax.while_loop(wide, halve, (jnp.float32(0.0), jnp.float32(2.0)))
    # A level that no pair falls below is 0: most points coincide.
    return mean * (0.5 * (low + high)).astype(x.dtype)


def default_flow_epsilon(data: Any, weights: RowWeights = None) -> float:
    """The default smoothing, ε = ½ median‖y_i − y_j‖² n^{−1/2}; its factor is tuned on four modes.

    Made for low dimension, where neighbours come nearer as n grows; otherwise cross-validate. With
    ``weights`` (n,) each point stands for so many.

    >>> import numpy as np
    >>> round(default_flow_epsilon(np.array([[0.0], [1.0], [2.0], [3.0]])), 2)
    0.25
    """
    y = check_points("data", data, min_points=2)
    count = row_count(y, weights)
    if weights is not None:
        y = y[rows_by_weight(weights, _MEDIAN_POINTS)]
    median = float(median_squared_distance(jnp.asarray(y)))
    if not median > 0.0:  # most pairs coincide: the mean over all of them takes its place
        median = 2.0 * float(np.sum(np.var(y, axis=0, dtype=np.float64)))
    if not median > 0.0:
        raise ValueError(f"data: got {len(y)} points that all coincide; wants some that differ.")
    return float(0.5 * median / count**0.5)


def _weights(points: Points, weights: Weights | None) -> tuple[Weights, Scalar | float]:
    """The weights, and by what to divide the sum: 1/n itself would be rounded to the dtype."""
    if weights is None:
        return jnp.ones(points.shape[0], points.dtype), float(points.shape[0])
    # In parts of the largest: their products neither overflow nor vanish.
    shares = weights / jnp.max(weights)
    return shares, jnp.sum(shares, dtype=jnp.promote_types(shares.dtype, jnp.float64))
