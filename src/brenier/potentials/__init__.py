"""Convex functions: their gradients are Monge maps."""

from brenier._arithmetic import guard
from brenier.potentials._base import AbstractPotential
from brenier.potentials._conditional import (
    AbstractConditionalPotential,
    Blended,
    ConditionalGaussian,
    ConditionalMixture,
    Unconditional,
)
from brenier.potentials._entropic_grid import EntropicGridPotential
from brenier.potentials._expansion import Expansion, conjugate_points, expansion, point_gradient
from brenier.potentials._icnn import ICNN
from brenier.potentials._max_affine import LogSumExp, MaxAffine, SoftMaximum
from brenier.potentials._mixture import Mixture
from brenier.potentials._partial_icnn import PartialICNN
from brenier.potentials._preconditioned import Preconditioned
from brenier.potentials._quadratic import Quadratic
from brenier.potentials._semi_dual import SemiDualFit, minimise_semi_dual
from brenier.potentials._separable import Separable

__all__ = [
    "ICNN",
    "AbstractConditionalPotential",
    "AbstractPotential",
    "Blended",
    "ConditionalGaussian",
    "ConditionalMixture",
    "EntropicGridPotential",
    "Expansion",
    "LogSumExp",
    "MaxAffine",
    "Mixture",
    "PartialICNN",
    "Preconditioned",
    "Quadratic",
    "SemiDualFit",
    "Separable",
    "SoftMaximum",
    "Unconditional",
    "conjugate_points",
    "expansion",
    "minimise_semi_dual",
    "point_gradient",
]

guard(globals())
