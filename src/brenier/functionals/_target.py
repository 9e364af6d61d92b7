"""The target points of one evaluation of a functional."""

import jax

from brenier._types import Array, Float, Key
from brenier.functionals._kernels import uniform_weights
from brenier.measures import AbstractMeasure, Empirical


def draw_target(
    target: AbstractMeasure, size: int | None, particles: int, key: Key
) -> tuple[Float[Array, "m d"], Float[Array, " m"]]:
    """Points and weights that represent the target; the same key gives the same ones.

    Of an ``Empirical`` target, all atoms where ``size`` is None or at least their number; else
    ``size`` of them, without replacement where they have no weights and ``size`` is a good part of
    them. Of any other target ``size`` samples, or as many as there are particles where it is None.
    """
    if isinstance(target, Empirical):
        if size is None or size >= target.size:
            weights = target.weights
            return target.points, uniform_weights(target.points) if weights is None else weights
        # Without replacement the noise falls by 1 - size/atoms: not worth a permutation below 10 %.
        if target.weights is None and 10 * size >= target.size:
            points = jax.random.choice(key, target.points, (size,), replace=False)
            return points, uniform_weights(points)
    points = target.sample(key, particles if size is None else size)
    return points, uniform_weights(points)
