"""Where Gauss-Newton on soft pieces starts: about the identity, with what the points suggest."""

import numpy as np

from brenier._types import RowWeights
from brenier.potentials.host._sinkhorn import entropic_offsets, median_square, sinkhorn_ladder
from brenier.potentials.host._soft_pieces import SoftPieces

# A full quadratic part is learned where it has no more parameters than this.
_QUADRATIC = 150
# Steps of Lloyd's, as SciPy takes.
_LLOYD = 10


def soft_maximum(
    u: np.ndarray,
    v: np.ndarray,
    size: int,
    random: np.random.Generator,
    u_weights: RowWeights = None,
    v_weights: RowWeights = None,
) -> SoftPieces:
    """The entropic potential of points (n, d) onto the centres of clusters of others (m, d)."""
    centres, labels = _clusters(v, size, random, v_weights)
    counts = np.bincount(labels, v_weights, minlength=size)
    weights = counts / counts.sum()
    epsilon = median_square(centres) / 8.0
    (g,) = sinkhorn_ladder(u, centres, weights, [epsilon], u_weights)
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


def _clusters(
    v: np.ndarray, size: int, random: np.random.Generator, weights: RowWeights
) -> tuple[np.ndarray, np.ndarray]:
    """The centres (k, d) of so many clusters of points (n, d), and the cluster of each."""
    if weights is None:
        from scipy.cluster.vq import kmeans2

        return kmeans2(v, size, minit="++", rng=random, missing="raise")
    from sklearn.cluster import KMeans

    fit = KMeans(size, n_init=1, max_iter=_LLOYD, random_state=int(random.integers(2**31)))
    labels = fit.fit_predict(v, sample_weight=weights)
    return fit.cluster_centers_, labels


def soft_hinges(
    u: np.ndarray,
    v: np.ndarray,
    size: int,
    random: np.random.Generator,
    u_weights: RowWeights = None,
) -> SoftPieces:
    """Soft hinges in random directions, at random points u (n, d); slopes as far as v (m, d)."""
    d, sharpness, share = u.shape[1], 2.0, 0.3
    directions = random.normal(size=(size, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # So that the mean Hessian of all hinges is about share·I.
    gain = share * d / (0.2 * size * sharpness**2)
    slopes = gain * sharpness * directions
    places = u[
        random.choice(len(u), size, p=None if u_weights is None else u_weights / u_weights.sum())
    ]
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
