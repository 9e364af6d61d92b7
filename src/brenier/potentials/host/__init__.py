"""Convex potentials in NumPy: what is fitted and compared before any compiler has started."""

from brenier.potentials.host._compiled import CompiledPotential, between, compiled, on_host
from brenier.potentials.host._conjugates import HostConjugates, host_conjugates
from brenier.potentials.host._gauss_newton import fit_soft_pieces
from brenier.potentials.host._log_sum_exp import HostLogSumExp
from brenier.potentials.host._mixture import HostMixture, stacking_weights
from brenier.potentials.host._potentials import (
    HostExpansion,
    HostPotential,
    HostQuadratic,
    gaussian_potential,
    host_gaussian_matrix,
)
from brenier.potentials.host._separable import HostSeparable, fit_separable
from brenier.potentials.host._sinkhorn import entropic_offsets, median_square, sinkhorn_ladder
from brenier.potentials.host._soft_pieces import SoftPieces
from brenier.potentials.host._starts import soft_hinges, soft_maximum

__all__ = [
    "CompiledPotential",
    "HostConjugates",
    "HostExpansion",
    "HostLogSumExp",
    "HostMixture",
    "HostPotential",
    "HostQuadratic",
    "HostSeparable",
    "SoftPieces",
    "between",
    "compiled",
    "entropic_offsets",
    "fit_separable",
    "fit_soft_pieces",
    "gaussian_potential",
    "host_conjugates",
    "host_gaussian_matrix",
    "median_square",
    "on_host",
    "sinkhorn_ladder",
    "soft_hinges",
    "soft_maximum",
    "stacking_weights",
]
