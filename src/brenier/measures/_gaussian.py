"""Gaussian measures and their mixtures."""

import math
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike

from brenier._checks import as_array, check_key
from brenier._types import Array, Float, Int, Key, Matrix, Point, Points, Scalar, Weights
from brenier.measures._base import AbstractMeasure
from brenier.numerics import over_points

# Weights in float32 sum to 1 within this.
_WEIGHT_SLACK = 1e-5


class Gaussian(AbstractMeasure):
    """N(mean, covariance), held by the Cholesky factor L of the covariance L Lᵀ.

    Not for a degenerate covariance: that measure has no density (take ``Empirical`` samples of it).

    Args:
        mean: (d,).
        covariance: (d, d), symmetric positive definite.

    Raises:
        ValueError: shapes that do not match, or a covariance that is not positive definite.

    >>> import jax.numpy as jnp
    >>> rho = Gaussian(jnp.zeros(2), jnp.diag(jnp.array([4.0, 1.0])))
    >>> rho.score(jnp.array([4.0, 1.0])).tolist()
    [-1.0, -1.0]
    """

    mean: Point
    factor: Matrix
    has_density: ClassVar[bool] = True

    def __init__(self, mean: ArrayLike, covariance: ArrayLike):
        self.mean = as_array("mean", mean, 1)
        (d,) = self.mean.shape
        self.factor = _cholesky("covariance", as_array("covariance", covariance, 2), (d, d))

    @classmethod
    def standard(cls, dimension: int) -> "Gaussian":
        """N(0, I)."""
        return cls(np.zeros(dimension), np.eye(dimension))

    @property
    def dimension(self) -> int:
        return self.mean.shape[-1]

    @property
    def covariance(self) -> Matrix:
        """L Lᵀ."""
        return self.factor @ self.factor.T

    def sample(self, key: Key, n: int) -> Points:
        check_key("key", key)
        return _drawn(key, n, self.mean, self.factor)

    def point_log_density(self, x: Point) -> Scalar:
        return _log_normal(x, self.mean, self.factor)


class GaussianMixture(AbstractMeasure):
    """Σ_k w_k N(m_k, S_k), with exact log-density and score.

    Args:
        weights: w, (k,), positive, with sum 1.
        means: (k, d).
        covariances: (k, d, d), symmetric positive definite.

    Raises:
        ValueError: shapes that do not match, weights not positive or whose sum is not 1, a
            covariance not positive definite.

    >>> import jax.numpy as jnp
    >>> rho = GaussianMixture(0.5 * jnp.ones(2), jnp.array([[-3.0], [3.0]]), jnp.ones((2, 1, 1)))
    >>> rho.score(jnp.zeros(1)).tolist()
    [0.0]
    """

    log_weights: Float[Array, " k"]
    means: Float[Array, "k d"]
    factors: Float[Array, "k d d"]
    has_density: ClassVar[bool] = True

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike):
        self.means = as_array("means", means, 2)
        k, d = self.means.shape
        positive = as_array("weights", weights, 1)
        if positive.shape != (k,):
            raise ValueError(f"weights: got shape {positive.shape}; wants ({k},), one per mean.")
        traced = isinstance(positive, jax.core.Tracer)
        if not traced and not (np.asarray(positive) > 0).all():
            raise ValueError("weights: got weights that are not positive; wants weights > 0.")
        total = float("nan") if traced else float(np.sum(np.asarray(positive, np.float64)))
        if abs(total - 1.0) > _WEIGHT_SLACK:
            raise ValueError(
                f"weights: got weights that sum to {total:.9g}; wants weights that "
                "sum to 1 (divide them by their sum)."
            )
        self.log_weights = jnp.log(positive) - jnp.log(jnp.sum(positive))
        matrices = as_array("covariances", covariances, 3)
        self.factors = _cholesky("covariances", matrices, (k, d, d))

    @property
    def dimension(self) -> int:
        return self.means.shape[-1]

    @property
    def weights(self) -> Weights:
        """w, with sum 1."""
        return jnp.exp(self.log_weights)

    @property
    def mean(self) -> Point:
        """Σ w_k m_k."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Matrix:
        """Σ w_k (S_k + m_k m_kᵀ) − mean meanᵀ."""
        centred = self.means - self.mean
        within = jnp.einsum("k,kij,klj->il", self.weights, self.factors, self.factors)
        return within + jnp.einsum("k,ki,kj->ij", self.weights, centred, centred)

    def sample(self, key: Key, n: int) -> Points:
        check_key("key", key)
        return _drawn_of_parts(key, n, self.log_weights, self.means, self.factors)

    def point_log_density(self, x: Point) -> Scalar:
        parts = jax.vmap(_log_normal, in_axes=(None, 0, 0))(x, self.means, self.factors)
        return jax.nn.logsumexp(self.log_weights + parts)


@partial(jax.jit, static_argnums=1)
def _drawn(key: Key, n: int, mean: Point, factor: Matrix) -> Points:
    return mean + jax.random.normal(key, (n, len(mean)), mean.dtype) @ factor.T


@partial(jax.jit, static_argnums=1)
def _drawn_of_parts(
    key: Key,
    n: int,
    log_weights: Float[Array, " k"],
    means: Float[Array, "k d"],
    factors: Float[Array, "k d d"],
) -> Points:
    which, noise = jax.random.split(key)
    component = jax.random.categorical(which, log_weights, shape=(n,))
    z = jax.random.normal(noise, (n, means.shape[1]), means.dtype)
    return means[component] + _products(factors, component, z)


def _products(factors: Float[Array, "k d d"], which: Int[Array, " n"], z: Points) -> Points:
    """L_which z for each row: of a block at once, since a factor a row is (n, d, d)."""
    rows = jnp.column_stack([which.astype(z.dtype), z])
    return over_points(
        lambda row: factors[row[0].astype(int)] @ row[1:], rows, floats=factors[0].size
    )


def _cholesky(name: str, matrices: Array, shape: tuple[int, ...]) -> Float[Array, "*k d d"]:
    """Lower Cholesky factors; a ``ValueError`` where a matrix is not SPD. Tracers are trusted."""
    if matrices.shape != shape:
        raise ValueError(f"{name}: got shape {matrices.shape}; wants {shape}.")
    if isinstance(matrices, jax.core.Tracer):
        return jnp.linalg.cholesky(matrices)
    values = np.asarray(matrices)
    skew = np.abs(values - np.swapaxes(values, -1, -2)).max()
    # Covariances come out of sums in another order: allow the rounding of float32.
    if skew > 1e-6 * np.abs(values).max():
        raise ValueError(
            f"{name}: got a matrix that is not symmetric (by {skew:.3g}); "
            "wants symmetric positive definite."
        )
    try:
        return jnp.asarray(np.linalg.cholesky(values))
    except np.linalg.LinAlgError:
        raise ValueError(
            f"{name}: got a matrix that is not positive definite; "
            "wants symmetric positive definite."
        ) from None


def _log_normal(x: Point, mean: Point, factor: Matrix) -> Scalar:
    # The inverse factor does not depend on x: vmap over x computes it once.
    whitening = solve_triangular(factor, jnp.eye(x.shape[-1], dtype=factor.dtype), lower=True)
    z = whitening @ (x - mean)
    log_volume = jnp.sum(jnp.log(jnp.diagonal(factor)))
    return -0.5 * (z @ z) - log_volume - 0.5 * x.shape[-1] * math.log(2.0 * math.pi)
