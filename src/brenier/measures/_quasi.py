"""Quasi-random points: a sample whose averages converge faster than 1/√n."""

import jax.numpy as jnp
import numpy as np
from scipy.stats import norm, qmc

from brenier._checks import check_at_least, check_key
from brenier._types import Key, Points
from brenier.measures._gaussian import Gaussian, GaussianMixture
from brenier.measures._uniform import Uniform
from brenier.numerics import host_seed


def quasi_sample(measure: Gaussian | GaussianMixture | Uniform, n: int, *, key: Key) -> Points:
    """About n points of a Gaussian, a Gaussian mixture or a box, by scrambled Sobol sequences.

    Component k of a mixture gets round(n w_k) points, at least 1. Averages of smooth functions then
    err by about n^{-3/2} in low dimension, where independent points err by n^{-1/2}: for particles
    that are drawn once and kept, as in a Newton method. Not where a standard error is wanted: the
    points are not independent.

    Args:
        measure: whose points.
        n: about how many.
        key: of the scrambling.

    Scrambled as in ``scipy.stats.qmc``, by linear matrices and a shift: Matoušek (1998).

    >>> import brenier, jax
    >>> rho = brenier.problems.figure2().source
    >>> points = quasi_sample(rho, 1000, key=jax.random.key(0))
    >>> bool(abs(points.mean(axis=0) - rho.mean).max() < 0.01)
    True
    """
    check_key("key", key)
    check_at_least("n", n, 1)
    if isinstance(measure, Uniform):
        cube = _cube_points(n, measure.dimension, np.random.SeedSequence(host_seed(key)))
        return measure.lower + (measure.upper - measure.lower) * cube
    if isinstance(measure, Gaussian):
        weights, means, factors = np.ones(1), measure.mean[None], measure.factor[None]
    else:
        weights, means, factors = np.asarray(measure.weights), measure.means, measure.factors
    counts = np.maximum(np.round(n * weights), 1).astype(int)
    seeds = np.random.SeedSequence(host_seed(key)).spawn(len(counts))
    clouds = [
        mean + norm.ppf(_cube_points(int(count), measure.dimension, stream)) @ factor.T
        for count, stream, mean, factor in zip(counts, seeds, means, factors, strict=True)
    ]
    return jnp.concatenate(clouds)


def _cube_points(n: int, dimension: int, stream: np.random.SeedSequence) -> np.ndarray:
    """n scrambled Sobol points of the unit cube, off its walls."""
    sobol = qmc.Sobol(dimension, rng=np.random.default_rng(stream))
    # The next power of two, cut: Sobol sequences are balanced only there.
    uniform = sobol.random_base2(max(int(n - 1).bit_length(), 1))[:n]
    return np.clip(uniform, 1e-12, 1.0 - 1e-12)
