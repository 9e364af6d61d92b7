"""The coordinates a one-shot generator works in, and the way back to the units of the data."""

import jax.numpy as jnp
import numpy as np

from brenier._types import RowWeights
from brenier.estimators.data import shrunk_covariance
from brenier.maps import AbstractMap, DebiasedMap, GradientMap
from brenier.measures import Gaussian, GaussianMixture
from brenier.numerics import Coordinates, cast_floats, row_mean, row_variance
from brenier.potentials import Preconditioned

SCALINGS = ("columns", "whitened", "none")


def scaled_coordinates(x: np.ndarray, scaling: str, weights: RowWeights = None) -> Coordinates:
    """Coordinates that encode data (n, d) as E(y − m)/s, in which the cost is ½‖·‖²; m the mean.

    E is symmetric and positive definite: the inverse deviations of the columns, the inverse root
    of the covariance, or the identity, beside which s is one spread for all columns. In
    ``Coordinates`` the data are the source, and what they are generated from, x' = s E x for latent
    x, the target: around 0, where no digits drown in m.
    """
    wide = x.astype(np.float64) - x[0]
    mean = x[0] + row_mean(wide, weights)
    spread, variances = 1.0, row_variance(wide, weights)
    if scaling == "none":
        matrix, spread = np.eye(x.shape[1]), float(np.sqrt(variances.mean()))
    elif scaling == "columns":
        matrix = np.diag(1.0 / np.sqrt(variances))
    else:
        values, vectors = np.linalg.eigh(shrunk_covariance(wide, weights))
        matrix = vectors @ (vectors / np.sqrt(values)).T
    centre = jnp.asarray(mean)
    return Coordinates(jnp.asarray(matrix), centre, jnp.zeros_like(centre), jnp.asarray(spread))


def source_in_units(
    law: Gaussian | GaussianMixture, coordinates: Coordinates, dtype: np.dtype
) -> Gaussian | GaussianMixture:
    """The law of x' = s E x, for x of ``law``."""
    e = float(coordinates.scale) * np.asarray(coordinates.matrix).T
    if isinstance(law, Gaussian):
        covariance = e @ np.asarray(law.covariance) @ e
        return Gaussian(
            jnp.asarray(e @ np.asarray(law.mean), dtype),
            jnp.asarray(symmetrised(covariance), dtype),
        )
    factors = e @ np.asarray(law.factors)
    covariances = factors @ np.swapaxes(factors, 1, 2)
    return GaussianMixture(
        jnp.asarray(law.weights, dtype),
        jnp.asarray(np.asarray(law.means) @ e, dtype),
        jnp.asarray(symmetrised(covariances), dtype),
    )


def map_in_units(map: AbstractMap, coordinates: Coordinates, dtype: np.dtype) -> AbstractMap:
    """x' ↦ m + s E⁻¹T(E⁻¹x'/s), of the same kind as T: a gradient where T is one."""
    entropic = map.entropic if isinstance(map, DebiasedMap) else map
    assert isinstance(entropic, GradientMap)
    back = cast_floats(coordinates.reversed(), dtype)
    moved = GradientMap(Preconditioned.in_coordinates(entropic.potential, back))
    if not isinstance(map, DebiasedMap):
        return moved
    # ∇ log of the law of x' is E⁻¹/s times that of x: the correction needs no more than s².
    assert isinstance(map.source, GaussianMixture)
    unit = jnp.asarray(coordinates.scale**2, map.epsilon.dtype)
    return DebiasedMap(moved, source_in_units(map.source, coordinates, dtype), unit * map.epsilon)


def symmetrised(matrices: np.ndarray) -> np.ndarray:
    """½(A + Aᵀ) of matrices (..., d, d) that are symmetric up to rounding."""
    return 0.5 * (matrices + np.swapaxes(matrices, -1, -2))
