"""Covariances that are safe to invert."""

import numpy as np

from brenier._types import RowWeights
from brenier.numerics import row_mean, row_variance, shrunk_moments

# The least eigenvalue of a correlation matrix: flat directions are not blown up past it.
_LEAST_CORRELATION = 1e-6


def shrunk_covariance(x: np.ndarray, weights: RowWeights = None) -> np.ndarray:
    """The covariance of points (n, d) with its correlations shrunk (OAS): never near singular.

    Chen, Wiesel, Eldar & Hero (2010).
    """
    spread = np.sqrt(row_variance(x, weights))
    return _lifted(shrunk_moments((x - row_mean(x, weights)) / spread, weights), spread)


def lifted_covariance(covariance: np.ndarray) -> np.ndarray:
    """A covariance (d, d) of very many points: not shrunk, only lifted off singular."""
    spread = np.sqrt(np.diag(covariance))
    return _lifted(covariance / np.outer(spread, spread), spread)


def _lifted(correlation: np.ndarray, spread: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(correlation)
    lifted = (vectors * np.maximum(values, _LEAST_CORRELATION)) @ vectors.T
    return lifted * np.outer(spread, spread)
