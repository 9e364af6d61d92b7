"""Evolutions of a map: constrained drift and its baselines, behind one driver."""

from typing import TYPE_CHECKING

from brenier._arithmetic import guard
from brenier._moved import absent
from brenier._progress import Progress
from brenier.flows._distillation import Distillation, distill
from brenier.flows._drift import ConstrainedDrift, EuclideanDescent
from brenier.flows._driver import CheckpointStore, advance, solve
from brenier.flows._euclidean_mirror import euclidean_mirror_flow
from brenier.flows._flow_matching import FlowMatching, MatchingLoss, fit_velocity
from brenier.flows._gaussian_flow import (
    flow_measure,
    gaussian_parabolic_flow,
    gaussian_sinkhorn_flow,
)
from brenier.flows._growth import Growth
from brenier.flows._held_out_dual import HeldOutDual
from brenier.flows._kl_newton import KLNewton
from brenier.flows._mckean_vlasov import mckean_vlasov, potential_path
from brenier.flows._method import AbstractMethod, batch_work, check_method, shared_work
from brenier.flows._mirror import MirrorFlow, mirror_velocity
from brenier.flows._oracles import AbstractOracle, FirstOrder, NaturalGradient
from brenier.flows._parabolic_method import ParabolicMongeAmpere
from brenier.flows._sample_sinkhorn_flow import sample_sinkhorn_flow
from brenier.flows._semi_dual import SemiDual
from brenier.flows._wasserstein_natural import WassersteinNatural
from brenier.flows.on_grids import (
    GridCoupling,
    annealed_sinkhorn,
    divergence_flow,
    exponential_rate,
    parabolic_flow,
    sinkhorn_flow,
)
from brenier.numerics import default_flow_epsilon

__all__ = [
    "AbstractMethod",
    "AbstractOracle",
    "CheckpointStore",
    "ConstrainedDrift",
    "Distillation",
    "EuclideanDescent",
    "FirstOrder",
    "FlowMatching",
    "GridCoupling",
    "Growth",
    "HeldOutDual",
    "KLNewton",
    "MatchingLoss",
    "MirrorFlow",
    "NaturalGradient",
    "ParabolicMongeAmpere",
    "Progress",
    "SemiDual",
    "WassersteinNatural",
    "advance",
    "annealed_sinkhorn",
    "batch_work",
    "check_method",
    "default_flow_epsilon",
    "distill",
    "divergence_flow",
    "euclidean_mirror_flow",
    "exponential_rate",
    "fit_velocity",
    "flow_measure",
    "gaussian_parabolic_flow",
    "gaussian_sinkhorn_flow",
    "mckean_vlasov",
    "mirror_velocity",
    "parabolic_flow",
    "potential_path",
    "sample_sinkhorn_flow",
    "shared_work",
    "sinkhorn_flow",
    "solve",
]

guard(globals())

if not TYPE_CHECKING:  # a type checker would take any name for one that there is
    __getattr__ = absent(__name__)
