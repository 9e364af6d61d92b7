"""Which of the maps that a fit went through is kept, by held-out points alone."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float
from brenier.functionals import Energy
from brenier.potentials import AbstractPotential

# Points a side that the images are compared on: all pairs of them for every look.
_COMPARED = 4096
# A look whose images are further off than the nearest ones by more errors is not kept.
_ERRORS = 1.0


class Look(NamedTuple):
    """A potential on the way of a fit, and its dual value on held-out points."""

    potential: AbstractPotential
    dual: float


class _Distances(NamedTuple):
    """Mean distances of each image to the target and to the images, and of each target to them."""

    to_target: Float[Array, "n"]
    to_images: Float[Array, "n"]
    from_target: Float[Array, "m"]

    def excess(self, other: "_Distances") -> tuple[float, float]:
        """By how much this squared energy distance is above the other's, and its standard error."""
        images = 2.0 * (self.to_target - other.to_target) - (self.to_images - other.to_images)
        sources = 2.0 * (self.to_target - other.to_target - self.to_images + other.to_images)
        targets = 2.0 * (self.from_target - other.from_target)
        variance = jnp.var(sources) / sources.size + jnp.var(targets) / targets.size
        return float(jnp.mean(images)), float(jnp.sqrt(variance))


def best_stop(
    looks: Sequence[Look], u: Float[Array, "n d"], v: Float[Array, "m d"]
) -> Look | None:
    """The look of the lowest dual among those whose images of u (n, d) are as near to v as any.

    The dual alone hardly sees that a map overshoots: J(φ) − J* holds the error of ∇φ divided by how
    sharply φ bends, which grows as few points are learned by heart. Squared energy distances see
    it; on the same points they are compared to within a standard error of the difference, that of
    their influence functions (Székely and Rizzo, 2013).

    None where no look has a finite dual.

    >>> from brenier.potentials import Quadratic
    >>> u, v = np.random.default_rng(0).normal(size=(2, 500, 2))
    >>> right, zero = Quadratic.identity(2), jnp.zeros(2)
    >>> too_long = Quadratic.from_matrix(1.5 * jnp.eye(2), zero)
    >>> looks = [Look(right, 1.0), Look(too_long, 0.9)]
    >>> best_stop(looks, jnp.asarray(u), jnp.asarray(v)) is looks[0]
    True
    """
    seen = [look for look in looks if np.isfinite(look.dual)]
    if not seen:
        return None
    u, v = u[:_COMPARED], v[:_COMPARED]
    distances = [_distances(look.potential, u, v) for look in seen]
    heights = [float(jnp.mean(2.0 * own.to_target - own.to_images)) for own in distances]
    nearest = distances[int(np.nanargmin(heights))]

    def is_as_near(own: _Distances) -> bool:
        excess, error = own.excess(nearest)
        return excess <= _ERRORS * error

    near = [look for look, own in zip(seen, distances, strict=True) if is_as_near(own)]
    return min(near, key=lambda look: look.dual)


@eqx.filter_jit
def _distances(
    potential: AbstractPotential, u: Float[Array, "n d"], v: Float[Array, "m d"]
) -> _Distances:
    images = potential.gradient(u)

    def mean_distance_to(points: Array, x: Array) -> Array:
        return -Energy().mean(x, points, jnp.full(len(points), 1.0 / len(points), points.dtype))

    return _Distances(
        mean_distance_to(v, images), mean_distance_to(images, images), mean_distance_to(images, v)
    )
