"""Convex potentials in NumPy: what is fitted and compared before any compiler has started."""

from brenier.estimators.host._conjugates import HostConjugates, host_conjugates
from brenier.estimators.host._gauss_newton import fit_soft_pieces
from brenier.estimators.host._log_sum_exp import HostLogSumExp
from brenier.estimators.host._mixture import HostMixture, stacking_weights
from brenier.estimators.host._potentials import (
    HostExpansion,
    HostPotential,
    HostQuadratic,
    gaussian_potential,
)
from brenier.estimators.host._separable import HostSeparable, fit_separable
from brenier.estimators.host._sinkhorn import entropic_offsets, median_square, sinkhorn_ladder
from brenier.estimators.host._soft_pieces import SoftPieces

__all__ = [
    "HostConjugates",
    "HostExpansion",
    "HostLogSumExp",
    "HostMixture",
    "HostPotential",
    "HostQuadratic",
    "HostSeparable",
    "SoftPieces",
    "entropic_offsets",
    "fit_separable",
    "fit_soft_pieces",
    "gaussian_potential",
    "host_conjugates",
    "median_square",
    "sinkhorn_ladder",
    "stacking_weights",
]
