"""Radial kernels, and their means over a weighted cloud, streamed over tiles."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_positive
from brenier._types import Array, Float, Points, Weights
from brenier.numerics import cut_tiles, over_devices, over_tiles, pairs, sharing, squared_distances

# Up to this many pairs (32 MiB) are held at once; more are taken tile by tile.
_PAIRS = 2**22
_TILE = 512


class AbstractKernel(eqx.Module):
    """A kernel k(x, y) = κ(‖x − y‖²), conditionally positive definite.

    A subclass gives the profile κ and its derivative κ', entry by entry; means of k and of ∇₁k over
    a weighted cloud follow, in tiles where the n x m matrix would be large.

    >>> x, y = jnp.zeros((1, 2)), jnp.array([[0.0, 4.0]])
    >>> Energy().mean_gradient(x, y, jnp.ones(1)).round(6).tolist()
    [[0.0, 1.0]]
    """

    @abc.abstractmethod
    def profile(self, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
        """κ(r²)."""

    @abc.abstractmethod
    def slope(self, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
        """κ'(r²), 0 at r = 0 where it is infinite (∇₁k(x, x) = 0 by symmetry)."""

    def mean(
        self, x: Float[Array, "n d"], y: Float[Array, "m d"], weights: Float[Array, " m"]
    ) -> Float[Array, " n"]:
        """Σ_j w_j k(x_i, y_j)."""
        return _mean(self, x, y, weights)

    def mean_gradient(
        self, x: Float[Array, "n d"], y: Float[Array, "m d"], weights: Float[Array, " m"]
    ) -> Float[Array, "n d"]:
        """Σ_j w_j ∇₁k(x_i, y_j) = 2 Σ_j w_j κ'(‖x_i − y_j‖²)(x_i − y_j)."""
        return _mean_gradient(self, x, y, weights)


class Energy(AbstractKernel):
    """k(x, y) = −‖x − y‖, whose MMD is the energy distance: no bandwidth, long range.

    Its gradient does not vanish, however far apart the clouds are. Székely and Rizzo (2013).

    >>> x, y = jnp.zeros((1, 2)), jnp.array([[3.0, 4.0]])
    >>> Energy().mean(x, y, jnp.ones(1)).tolist()
    [-5.0]
    """

    def profile(self, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
        return -jnp.sqrt(squared)

    def slope(self, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
        return _where_apart(squared, lambda r2: -0.5 * jax.lax.rsqrt(r2))


class GaussianKernel(AbstractKernel):
    """k(x, y) = exp(−‖x − y‖²/(2h²)), smooth. Not for clouds more than a few bandwidths h apart.

    Args:
        bandwidth: h > 0, a length.

    >>> x, y = jnp.zeros((1, 2)), jnp.array([[3.0, 4.0]])
    >>> bool(jnp.isclose(GaussianKernel(5.0).mean(x, y, jnp.ones(1))[0], jnp.exp(-0.5)))
    True
    """

    bandwidth: float = eqx.field(static=True)

    def __check_init__(self):
        check_positive("bandwidth", self.bandwidth)

    def profile(self, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
        return jnp.exp(-0.5 / self.bandwidth**2 * squared)

    def slope(self, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
        return -0.5 / self.bandwidth**2 * self.profile(squared)


class LaplaceKernel(AbstractKernel):
    """k(x, y) = exp(−‖x − y‖/h): heavier tails than the Gaussian, a kink at 0.

    Args:
        bandwidth: h > 0, a length.

    >>> x, y = jnp.zeros((1, 2)), jnp.array([[3.0, 4.0]])
    >>> bool(jnp.isclose(LaplaceKernel(5.0).mean(x, y, jnp.ones(1))[0], jnp.exp(-1.0)))
    True
    """

    bandwidth: float = eqx.field(static=True)

    def __check_init__(self):
        check_positive("bandwidth", self.bandwidth)

    def profile(self, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
        return jnp.exp(-jnp.sqrt(squared) / self.bandwidth)

    def slope(self, squared: Float[Array, "n m"]) -> Float[Array, "n m"]:
        def derivative(r2):
            r = jnp.sqrt(r2)
            return -0.5 / self.bandwidth * jnp.exp(-r / self.bandwidth) / r

        return _where_apart(squared, derivative)


def uniform_weights(points: Points) -> Weights:
    """1/n each."""
    return jnp.full(points.shape[0], 1.0 / points.shape[0], points.dtype)


def _pairs_of_kernel(kernel: AbstractKernel, x: Points, y: Points, weights: Weights) -> int:
    return pairs(x, y)


@over_devices(_pairs_of_kernel)
@eqx.filter_jit
def _mean(
    kernel: AbstractKernel,
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    weights: Float[Array, " m"],
) -> Float[Array, " n"]:
    return _sum_over_pairs(kernel.profile, x, y, weights[:, None])[:, 0]


@over_devices(_pairs_of_kernel)
@eqx.filter_jit
def _mean_gradient(
    kernel: AbstractKernel,
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    weights: Float[Array, " m"],
) -> Float[Array, "n d"]:
    centre = jnp.mean(x, axis=0)
    x, y = x - centre, y - centre
    values = jnp.concatenate([weights[:, None], weights[:, None] * y], axis=1)
    sums = _sum_over_pairs(kernel.slope, x, y, values)
    return 2.0 * (x * sums[:, :1] - sums[:, 1:])


def _where_apart(squared: Array, function: Callable[[Array], Array]) -> Array:
    """function(r²), and 0 where r² is 0."""
    apart = squared > 0
    return jnp.where(apart, function(jnp.where(apart, squared, 1.0)), 0.0)


def _sum_over_pairs(
    entry: Callable[[Array], Array],
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    values: Float[Array, "m k"],
) -> Float[Array, "n k"]:
    """Σ_j entry(‖x_i − y_j‖²) v_j, in memory O(n + m) plus a tile."""
    centre = jnp.mean(x, axis=0)
    x, y = x - centre, y - centre
    # Past d = 8 the square of a zero distance is a rounding error, whose root is not small: 0.
    largest = jnp.max(jnp.sum(x * x, axis=1)) + jnp.max(jnp.sum(y * y, axis=1))
    rounding = 8.0 * jnp.finfo(x.dtype).eps * largest

    def entries(x, y):
        squared = squared_distances(x, y)
        return entry(jnp.where(squared > rounding, squared, 0.0))

    if sharing() == 1 and pairs(x, y) <= _PAIRS:
        return entries(x, y) @ values
    dtype = jnp.result_type(x, y, values)
    columns = cut_tiles(y, _TILE), cut_tiles(values, _TILE)

    def row(x_tile):
        def add(total, column):
            y_tile, v_tile = column
            return total + entries(x_tile, y_tile) @ v_tile, None

        return jax.lax.scan(add, jnp.zeros((x_tile.shape[0], values.shape[1]), dtype), columns)[0]

    return over_tiles(row, x, _TILE)
