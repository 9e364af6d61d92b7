"""The half-shift that takes back what entropy takes away between Gaussians."""

import numpy as np

from brenier._types import Float

# Of the largest squared scale: below, a direction of the data is flat.
_LEAST_VARIANCE = 1e-12


def half_shift_covariance(
    source: Float[np.ndarray, "d d"], target: Float[np.ndarray, "d d"], epsilon: float
) -> Float[np.ndarray, "d d"]:
    """C_ε = (ε/2)(A − A_ε)⁻¹ = C + O(ε): the gradient of (ε/4)⟨x, C_ε⁻¹x⟩ undoes the bias of A_ε.

    Between Gaussians of covariances C and S, with K² = C^{1/2}SC^{1/2}, the Monge matrix is A =
    C^{-1/2}KC^{-1/2} and Sinkhorn's is A_ε = C^{-1/2}((K² + ε²/4)^{1/2} − ε/2)C^{-1/2}. Where ε is
    beyond a variance A − A_ε stays below A, while (ε/2)C⁻¹ does not.

    >>> float(half_shift_covariance(np.eye(1), np.eye(1), 1e-6)[0, 0].round(5))
    1.0

    Theory (4.6), (4.7).
    """
    values, vectors = np.linalg.eigh(source.astype(np.float64))
    root = (vectors * np.sqrt(values)) @ vectors.T
    squares, axes = np.linalg.eigh(root @ target @ root)
    # Off 0, where nothing is to be undone.
    k = np.sqrt(np.maximum(squares, _LEAST_VARIANCE * squares.max()))
    # (ε/2)/(k + ε/2 − √(k² + ε²/4)) without cancellation.
    inflated = 0.5 * (k + 0.5 * epsilon + np.sqrt(k**2 + 0.25 * epsilon**2)) / k
    half = root @ axes
    covariance = (half * inflated) @ half.T
    return 0.5 * (covariance + covariance.T)
