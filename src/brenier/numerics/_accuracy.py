"""How far a map is from the known one (Theory (5.9))."""

import jax.numpy as jnp

from brenier._types import Points, Scalar, Weights
from brenier.numerics._means import float64_mean, total_variance


def l2_uvp(transported: Points, truth: Points, weights: Weights | None = None) -> Scalar:
    """100 · E‖T − T*‖² / Var(ν), the per cent of unexplained variance.

    0 is exact, 100 no better than sending all points to the target's mean. Summed in float64.

    Args:
        transported: T(x_i), (n, d).
        truth: T*(x_i), (n, d), at the same x_i: also a sample of the target, whose variance it
            gives.
        weights: of the x_i (n,), non-negative, divided by their sum; uniform where None.

    >>> truth = jnp.array([[0.0], [2.0]])
    >>> float(l2_uvp(truth + 0.5, truth))
    25.0
    """
    error = float64_mean(jnp.sum((transported - truth) ** 2, axis=1), weights)
    return 100.0 * error / total_variance(truth, weights)


def cosine_similarity(
    source: Points, transported: Points, truth: Points, weights: Weights | None = None
) -> Scalar:
    """E⟨T − X, T* − X⟩ / (‖T − id‖ ‖T* − id‖), 1 where the displacements are parallel.

    Args:
        source: x_i, (n, d).
        transported: T(x_i), (n, d).
        truth: T*(x_i), (n, d).
        weights: of the x_i (n,), non-negative, divided by their sum; uniform where None.

    >>> x = jnp.zeros((1, 2))
    >>> float(cosine_similarity(x, jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 2.0]])))
    0.0
    """
    moved, wanted = transported - source, truth - source
    product, *squares = (
        float64_mean(jnp.sum(a * b, axis=1), weights)
        for a, b in ((moved, wanted), (moved, moved), (wanted, wanted))
    )
    return product / jnp.sqrt(squares[0] * squares[1])
