"""Sums of convex functions of single coordinates: their gradients are monotone maps."""

import jax.numpy as jnp

from brenier._types import Array, Float, Matrix, Point, Scalar
from brenier.potentials._base import AbstractPotential


class Separable(AbstractPotential):
    """φ(x) = Σ_i f_i((Bx)_i), f_i' piecewise linear and increasing: ∇φ(x) = Bᵀ f'(Bx).

    The Monge map between laws of independent coordinates Bx and B⁻ᵀy moves each one by its own
    monotone map. Not for maps in which coordinates act on one another.

    Args:
        axes: B, (d, d), invertible.
        knots: t, (d, k), increasing along each row.
        images: f_i'(t), (d, k), increasing along each row.
        ends: the slopes of f_i' below the first knot and above the last, (d, 2), positive.

    >>> import jax.numpy as jnp
    >>> one = jnp.ones((1, 2))
    >>> phi = Separable(jnp.eye(1), jnp.array([[0.0, 1.0]]), jnp.array([[0.0, 3.0]]), one)
    >>> [float(phi.gradient(jnp.array([x]))[0]) for x in (-1.0, 0.5, 2.0)]
    [-1.0, 1.5, 4.0]
    """

    axes: Matrix
    knots: Float[Array, "d k"]
    images: Float[Array, "d k"]
    ends: Float[Array, "d 2"]

    @property
    def dimension(self) -> int:
        return self.axes.shape[-1]

    def value(self, x: Point) -> Scalar:
        z = self.axes @ x
        widths = jnp.diff(self.knots, axis=1)
        areas = 0.5 * (self.images[:, 1:] + self.images[:, :-1]) * widths
        starts = jnp.pad(jnp.cumsum(areas, axis=1), ((0, 0), (1, 0)))
        piece = jnp.sum(self.knots <= z[:, None], axis=1)
        left = jnp.maximum(piece - 1, 0)
        own = jnp.arange(self.dimension)
        step = z - self.knots[own, left]
        slope = self.slopes[own, piece]
        return jnp.sum(starts[own, left] + self.images[own, left] * step + 0.5 * slope * step**2)

    @property
    def slopes(self) -> Float[Array, "d pieces"]:
        """f_i'' on each of the pieces that the knots cut the line into."""
        inner = jnp.diff(self.images, axis=1) / jnp.diff(self.knots, axis=1)
        return jnp.concatenate([self.ends[:, :1], inner, self.ends[:, 1:]], axis=1)

    def strong_convexity(self) -> Scalar:
        smallest = jnp.linalg.svd(self.axes, compute_uv=False)[-1]
        return jnp.min(self.slopes) * smallest**2

    def conjugate_point(self, y: Point) -> Point:
        """∇φ*(y), by the inverse of each monotone map."""
        w = jnp.linalg.solve(self.axes.T, y)
        piece = jnp.sum(self.images <= w[:, None], axis=1)
        left, own = jnp.maximum(piece - 1, 0), jnp.arange(self.dimension)
        step = (w - self.images[own, left]) / self.slopes[own, piece]
        return jnp.linalg.solve(self.axes, self.knots[own, left] + step)
