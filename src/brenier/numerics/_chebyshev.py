"""Chebyshev grids: nodes, differentiation, integration, interpolation."""

import numpy as np
from scipy.linalg import expm

from brenier._types import Float


def chebyshev_nodes(count: int, lower: float, upper: float) -> Float[np.ndarray, " n"]:
    """The extrema of the Chebyshev polynomial of degree count − 1, increasing, on [lower, upper].

    >>> chebyshev_nodes(3, -1.0, 1.0).tolist()
    [-1.0, 0.0, 1.0]
    """
    # The sine is odd to the last digit, so that the nodes are symmetric.
    angles = np.arange(1 - count, count, 2) / (count - 1)
    return 0.5 * (lower + upper) + 0.5 * (upper - lower) * np.sin(0.5 * np.pi * angles)


def chebyshev_derivative(nodes: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
    """The matrix of ∂ at Chebyshev nodes (Trefethen 2000, chapter 6).

    >>> y = chebyshev_nodes(4, -1.0, 1.0)
    >>> (chebyshev_derivative(y) @ y).round(12).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    n = nodes.size
    signs = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    signs[[0, -1]] *= 2.0
    away = nodes[:, None] - nodes + np.eye(n)
    matrix = signs[:, None] / signs / away
    # The derivative of a constant is 0: this fixes the diagonal with the least rounding.
    return matrix - np.diag(matrix.sum(axis=1))


def chebyshev_weights(nodes: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Clenshaw-Curtis weights: exact for polynomials of degree n − 1.

    >>> round(float(chebyshev_weights(chebyshev_nodes(9, 0.0, 2.0)).sum()), 12)
    2.0
    """
    n = nodes.size - 1
    degrees = np.arange(0, n + 1, 2)
    moments = 2.0 / (1.0 - degrees**2)
    # The cosine transform of the moments, both ends halved.
    angles = np.pi * np.arange(n + 1) / n
    factors = np.where((degrees == 0) | (degrees == n), 0.5, 1.0)
    weights = 2.0 / n * np.cos(np.outer(angles, degrees)) @ (factors * moments)
    weights[[0, -1]] *= 0.5
    return 0.5 * (nodes[-1] - nodes[0]) * weights


def fejer_rule(
    count: int, start: float, stop: float
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Nodes and weights of Fejér's first rule, Σ w_k f(y_k) = ∫ f from ``start`` to ``stop``.

    Exact for polynomials of degree count − 1. The nodes are the roots of the Chebyshev polynomial
    of degree ``count``, in order from ``start`` to ``stop`` and without either: for integrands that
    cannot be evaluated at the ends (``chebyshev_weights`` is for nodes that include them).

    Args:
        count: number of nodes, at least 1.
        start, stop: the ends, in either order.

    Returns:
        Nodes (n,) and weights (n,), negative where ``stop`` is below ``start``.

    >>> nodes, weights = fejer_rule(4, 0.0, 2.0)
    >>> round(float(weights @ nodes**3), 12)
    4.0

    Fejér (1933); Waldvogel (2006).
    """
    angles = (np.arange(count) + 0.5) * np.pi / count
    orders = np.arange(1, count // 2 + 1)[:, None]
    sums = np.sum(np.cos(2.0 * orders * angles) / (4.0 * orders**2 - 1.0), axis=0)
    half = 0.5 * (stop - start)
    return start + half * (1.0 - np.cos(angles)), half * 2.0 / count * (1.0 - 2.0 * sums)


def chebyshev_rows(
    places: Float[np.ndarray, " p"], nodes: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "p n"]:
    """The matrix from values at Chebyshev nodes to values at other places, 0 beyond the nodes.

    >>> y = chebyshev_nodes(5, -1.0, 1.0)
    >>> round(float(chebyshev_rows(np.array([0.3]), y)[0] @ y**4), 12)
    0.0081

    The barycentric formula (Berrut & Trefethen 2004).
    """
    weights = np.where(np.arange(nodes.size) % 2 == 0, 1.0, -1.0)
    weights[[0, -1]] *= 0.5
    inside = (places >= nodes[0]) & (places <= nodes[-1])
    away = np.where(inside, places, nodes[0])[:, None] - nodes
    hit = away == 0.0
    parts = weights / np.where(hit, 1.0, away)
    rows = parts / parts.sum(axis=1, keepdims=True)
    rows = np.where(hit.any(axis=1, keepdims=True), hit, rows)
    return np.where(inside[:, None], rows, 0.0)


def heat_matrix(nodes: Float[np.ndarray, " n"], time: float) -> Float[np.ndarray, "n n"]:
    """The heat semigroup exp(time ∂²) at Chebyshev nodes, for functions that are 0 at both ends.

    >>> y = chebyshev_nodes(48, -8.0, 8.0)
    >>> later = heat_matrix(y, 0.5) @ np.exp(-0.5 * y**2)
    >>> bool(np.abs(later - np.exp(-0.25 * y**2) / np.sqrt(2.0)).max() < 1e-6)
    True
    """
    first = chebyshev_derivative(nodes)
    matrix = np.zeros_like(first)
    matrix[1:-1, 1:-1] = expm(time * (first @ first)[1:-1, 1:-1])
    return matrix
