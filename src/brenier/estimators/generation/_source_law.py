"""The law of the latent points of a one-shot generator, fitted to the data."""

import warnings

import numpy as np

from brenier._types import RowWeights
from brenier.estimators.data import shrunk_covariance
from brenier.estimators.generation._scaling import symmetrised
from brenier.measures import Gaussian, GaussianMixture
from brenier.numerics import row_mean, row_variance, rows_by_weight

SOURCES = ("isotropic", "covariance", "mixture")
# Components tried for a mixture, and points that each should have (or twice as many as d).
_MOST_COMPONENTS, _POINTS_EACH = 8, 20
# Part of the mean variance that is added to each component's, so that none collapses on a point.
_RIDGE = 1e-3
# A mixture is fitted to rows as often as their weights say, in all at most so many.
_MOST_WRITTEN = 2**16


def fitted_source(
    name: str,
    z: np.ndarray,
    components: int | None,
    weights: RowWeights = None,
    *,
    random_state: int,
) -> Gaussian | GaussianMixture:
    """The source of this name, fitted to data (n, d) in standard coordinates.

    "isotropic" has one variance, "covariance" a shrunk covariance; a "mixture" has so many
    components, by BIC where None, and is a Gaussian where that is one.
    """
    wide = z.astype(np.float64)
    d = z.shape[1]
    centre = row_mean(wide, weights)
    if name == "isotropic":
        return Gaussian(centre, row_variance(wide, weights).mean() * np.eye(d))
    if name == "covariance":
        return Gaussian(centre, shrunk_covariance(wide, weights))
    if weights is not None:
        wide = wide[rows_by_weight(weights, _MOST_WRITTEN)]
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture as FittedMixture

    most = int(np.clip(len(wide) // max(_POINTS_EACH, 2 * d), 1, _MOST_COMPONENTS))
    counts = range(1, most + 1) if components is None else [components]
    fits = []
    with warnings.catch_warnings():
        # A source need not be the likeliest: any mixture near the data will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for count in counts:
            ridge = _RIDGE * float(wide.var(axis=0).mean())
            fit = FittedMixture(count, reg_covar=ridge, random_state=random_state).fit(wide)
            fits.append((fit.bic(wide), count, fit))
    best = min(fits, key=lambda item: item[:2])[2]
    covariances = symmetrised(best.covariances_)
    if len(best.weights_) == 1:
        return Gaussian(best.means_[0], covariances[0])
    return GaussianMixture(best.weights_ / best.weights_.sum(), best.means_, covariances)
