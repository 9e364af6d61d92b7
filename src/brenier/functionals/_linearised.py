"""Linearised optimal transport: a distance between measures through their maps."""

import jax.numpy as jnp

from brenier._checks import as_points
from brenier._types import Points, Scalar
from brenier.maps import AbstractMap
from brenier.numerics import float64_mean


def linearised_distance(first: AbstractMap, second: AbstractMap, points: Points) -> Scalar:
    """LOT_ν(μ₁, μ₂) = ‖T₁ − T₂‖_{L²(ν)}, T_i the Monge maps from ν to μ_i.

    At least W₂(μ₁, μ₂), and equal to it where T₂ ∘ T₁⁻¹ is a gradient (on the line, for Gaussians
    that commute). Along a mirror flow with the mirror ½W₂²(·, ν) its metric derivative is
    ‖v_t‖_{L²(ρ_t)} (4.9). Not for other maps than Monge maps: it is then larger.

    Args:
        first, second: T₁ and T₂.
        points: (n, d), drawn from ν (or a quadrature of equal weights).

    Raises:
        ValueError: dimensions that do not match.

    >>> from brenier.maps import AffineMap
    >>> T1, T2 = AffineMap.identity(1), AffineMap(3.0 * jnp.eye(1), jnp.zeros(1))
    >>> linearised_distance(T1, T2, jnp.array([[-1.0], [1.0]])).tolist()
    2.0

    Deb25, "Recall Linearized OT"; Theory (4.9).
    """
    if first.dimension != second.dimension:
        raise ValueError(
            f"second: got dimension {second.dimension}; wants {first.dimension}, that of the first."
        )
    x = as_points("points", points, first.dimension)
    return jnp.sqrt(float64_mean(jnp.sum((first(x) - second(x)) ** 2, axis=-1)))
