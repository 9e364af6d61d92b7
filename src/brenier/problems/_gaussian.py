"""Gaussian to Gaussian: the Monge map is affine."""

import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_positive
from brenier.maps import AffineMap
from brenier.measures import Gaussian
from brenier.numerics import inverse_sqrtm_spd
from brenier.problems._problem import Problem

AFFINE_DRIFT: tuple[tuple[float, float, float, float], ...] = (
    (0.5, 0.89501311, -0.24632328, 1.51082131),
    (1.0, 0.83969022, -0.32523057, 1.65276665),
    (2.0, 0.80780377, -0.36429332, 1.71853707),
    (4.0, 0.80262762, -0.37028677, 1.72834454),
    (float("inf"), 0.80253030, -0.37039860, 1.72852679),
)
"""t, then A11, A12, A22 of the drift (1.1) started at A(0) = I in ``affine``. Theory (1.12)."""


def affine() -> Problem:
    """N(0, S) to N(0, I), S = [[2, .6], [.6, .5]]: T*(x) = S^{-1/2} x.

    ``AFFINE_DRIFT`` holds the constrained drift of KL(·|N(0, I)) through affine maps: the solution
    of dA/dt = −P, P symmetric, P S + S P = G S + S Gᵀ, G = A − A⁻¹S⁻¹.

    >>> problem = affine()
    >>> problem.map.matrix.round(8).tolist()
    [[0.8025303, -0.3703986], [-0.3703986, 1.72852679]]
    """
    covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
    matrix = inverse_sqrtm_spd(jnp.asarray(covariance))
    return Problem(
        "affine",
        Gaussian(np.zeros(2), covariance),
        Gaussian.standard(2),
        AffineMap(matrix, np.zeros(2)),
        "DLV26, section 3.3, in closed form",
    )


def gaussian(dimension: int, *, condition: float = 10.0, seed: int = 0) -> Problem:
    """N(0, S) to N(b, A S A): T*(x) = A x + b, with A and S random and symmetric.

    Args:
        dimension: d.
        condition: the condition number of both S and A, each in a random basis of its own.
        seed: of the bases and of b.

    >>> gaussian(3).dimension
    3
    """
    check_at_least("dimension", dimension, 1)
    check_positive("condition", condition)
    rng = np.random.default_rng(seed)
    covariance, matrix = (_spd(rng, dimension, condition) for _ in range(2))
    offset = rng.normal(size=dimension)
    return Problem(
        f"gaussian-{dimension}",
        Gaussian(np.zeros(dimension), covariance),
        Gaussian(offset, matrix @ covariance @ matrix),
        AffineMap(matrix, offset),
        "closed form: a symmetric positive definite matrix is the gradient of a convex function",
    )


def _spd(rng: np.random.Generator, dimension: int, condition: float) -> np.ndarray:
    """Eigenvalues from 1/√condition to √condition, evenly in the logarithm, in a random basis."""
    basis = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    half = 0.5 * np.log(condition)
    return (basis * np.exp(np.linspace(-half, half, dimension))) @ basis.T
