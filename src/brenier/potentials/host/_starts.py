"""Where Gauss-Newton on soft pieces starts: about the identity, with what the points suggest."""

import numpy as np

from brenier.potentials.host._sinkhorn import entropic_offsets, median_square, sinkhorn_ladder
from brenier.potentials.host._soft_pieces import SoftPieces

# A full quadratic part is learned where it has no more parameters than this.
_QUADRATIC = 150


def soft_maximum(
    u: np.ndarray, v: np.ndarray, size: int, random: np.random.Generator
) -> SoftPieces:
    """The entropic potential of points (n, d) onto the centres of clusters of others (m, d)."""
    from scipy.cluster.vq import kmeans2

    centres, labels = kmeans2(v, size, minit="++", rng=random, missing="raise")
    counts = np.bincount(labels, minlength=size)
    weights = counts / counts.sum()
    epsilon = median_square(centres) / 8.0
    (g,) = sinkhorn_ladder(u, centres, weights, [epsilon])
    offsets = entropic_offsets(centres, weights, g, epsilon)
    share = 0.7
    factor, log_modulus = _square_part(v.shape[1], 1.0 - share)
    return SoftPieces(
        share * centres[None],
        share * offsets[None],
        np.log([share * epsilon]),
        factor,
        np.zeros(v.shape[1]),
        log_modulus,
        False,
        np.abs(v).max(axis=0),
    )


def soft_hinges(u: np.ndarray, v: np.ndarray, size: int, random: np.random.Generator) -> SoftPieces:
    """Soft hinges in random directions, at random points u (n, d); slopes as far as v (m, d)."""
    d, sharpness, share = u.shape[1], 2.0, 0.3
    directions = random.normal(size=(size, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # So that the mean Hessian of all hinges is about share·I.
    gain = share * d / (0.2 * size * sharpness**2)
    slopes = gain * sharpness * directions
    places = u[random.choice(len(u), size)]
    factor, log_modulus = _square_part(d, 1.0 - share)
    return SoftPieces(
        slopes[:, None],
        -0.7 * np.sum(slopes * places, axis=1)[:, None],
        np.full(size, np.log(gain)),
        factor,
        -0.5 * slopes.sum(axis=0),
        log_modulus,
        True,
        2.0 * np.abs(v).max(axis=0),
    )


def _square_part(d: int, modulus: float) -> tuple[np.ndarray, np.ndarray]:
    """F and log m with FᵀF + mI = modulus·I: two thirds in F where it is not too large."""
    if d * d > _QUADRATIC:
        return np.zeros((0, d)), np.array([np.log(modulus)])
    return np.sqrt(2.0 * modulus / 3.0) * np.eye(d), np.array([np.log(modulus / 3.0)])
