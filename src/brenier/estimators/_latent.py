"""The coordinates and the sources of a one-shot generator."""

import warnings
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as FittedMixture

from brenier.estimators._clouds import shrunk_covariance
from brenier.maps import AbstractMap, DebiasedMap, GradientMap
from brenier.measures import Gaussian, GaussianMixture
from brenier.potentials import Preconditioned

SOURCES = ("isotropic", "covariance", "mixture")
SCALINGS = ("columns", "whitened", "none")
# Components tried for a mixture, and points that each should have (or twice as many as d).
_MOST_COMPONENTS, _POINTS_EACH = 8, 20
# Of each variance: what is added to a component's, so that none collapses on a point.
_RIDGE = 1e-3


@dataclass(frozen=True)
class Coordinates:
    """z = E(y − m), in which the cost is ½‖x − z‖²; E is symmetric and positive definite.

    The source is taken to x' = m + E x, so that the map x' ↦ m + E⁻¹T(E⁻¹(x' − m)) is a gradient
    where T is one.
    """

    matrix: np.ndarray
    mean: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, scaling: str) -> "Coordinates":
        """Of data (n, d): each column by its deviation, all of them by the covariance, or none."""
        wide = x.astype(np.float64)
        mean = wide.mean(axis=0)
        if scaling == "none":
            matrix = np.eye(x.shape[1])
        elif scaling == "columns":
            matrix = np.diag(1.0 / wide.std(axis=0))
        else:
            values, vectors = np.linalg.eigh(shrunk_covariance(wide))
            matrix = (vectors / np.sqrt(values)) @ vectors.T
        return cls(matrix, mean)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """z of data y, in their dtype."""
        return ((x - self.mean) @ self.matrix).astype(x.dtype)

    def source(
        self, law: Gaussian | GaussianMixture, dtype: np.dtype
    ) -> Gaussian | GaussianMixture:
        """The law of x' = m + E x."""
        e = self.matrix
        if isinstance(law, Gaussian):
            covariance = e @ np.asarray(law.covariance) @ e
            return Gaussian(
                jnp.asarray(self.mean + e @ np.asarray(law.mean), dtype),
                jnp.asarray(_symmetric(covariance), dtype),
            )
        factors = e @ np.asarray(law.factors)
        covariances = factors @ np.swapaxes(factors, 1, 2)
        return GaussianMixture(
            jnp.asarray(law.weights, dtype),
            jnp.asarray(self.mean + np.asarray(law.means) @ e, dtype),
            jnp.asarray(_symmetric(covariances), dtype),
        )

    def map(self, map: AbstractMap, dtype: np.dtype) -> AbstractMap:
        """x' ↦ m + E⁻¹T(E⁻¹(x' − m)), of the same kind as T."""
        inverse = jnp.asarray(np.linalg.inv(self.matrix), dtype)
        mean = jnp.asarray(self.mean, dtype)
        entropic = map.entropic if isinstance(map, DebiasedMap) else map
        assert isinstance(entropic, GradientMap)
        moved = GradientMap(
            Preconditioned(entropic.potential, inverse, mean, mean, jnp.ones((), dtype))
        )
        if not isinstance(map, DebiasedMap):
            return moved
        # ∇ log of the law of x' is E⁻¹ times that of x: the correction needs no more.
        assert isinstance(map.source, GaussianMixture)
        return DebiasedMap(moved, self.source(map.source, dtype), map.epsilon)


def fitted_source(
    name: str, z: np.ndarray, components: int | None, seed: int
) -> Gaussian | GaussianMixture:
    """The source fitted to centred data: one variance, a covariance, or a mixture (by BIC)."""
    wide = z.astype(np.float64)
    d = z.shape[1]
    centre = wide.mean(axis=0)
    if name == "isotropic":
        return Gaussian(centre, wide.var(axis=0).mean() * np.eye(d))
    if name == "covariance":
        return Gaussian(centre, shrunk_covariance(wide))
    most = int(np.clip(len(z) // max(_POINTS_EACH, 2 * d), 1, _MOST_COMPONENTS))
    counts = range(1, most + 1) if components is None else [components]
    fits = []
    with warnings.catch_warnings():
        # A source need not be the likeliest: any mixture near the data will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for count in counts:
            fit = FittedMixture(
                count, reg_covar=_RIDGE * float(wide.var(axis=0).mean()), random_state=seed
            ).fit(wide)
            fits.append((fit.bic(wide), count, fit))
    best = min(fits, key=lambda item: item[:2])[2]
    covariances = _symmetric(best.covariances_)
    if len(best.weights_) == 1:
        return Gaussian(best.means_[0], covariances[0])
    return GaussianMixture(best.weights_ / best.weights_.sum(), best.means_, covariances)


def _symmetric(matrices: np.ndarray) -> np.ndarray:
    return 0.5 * (matrices + np.swapaxes(matrices, -1, -2))
