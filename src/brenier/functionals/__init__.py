"""Functionals on measures, with their Wasserstein gradients."""

from brenier._arithmetic import guard
from brenier.functionals._base import AbstractFunctional, Moving
from brenier.functionals._energies import InteractionEnergy, PotentialEnergy
from brenier.functionals._kernels import AbstractKernel, Energy, GaussianKernel, LaplaceKernel
from brenier.functionals._kl import KL, AbstractScore, ExactScore, SelfEntropicScore
from brenier.functionals._linearised import linearised_distance
from brenier.functionals._mmd import MMD
from brenier.functionals._power_divergence import PowerDivergence
from brenier.functionals._sinkhorn import SinkhornDivergence

__all__ = [
    "KL",
    "MMD",
    "AbstractFunctional",
    "AbstractKernel",
    "AbstractScore",
    "Energy",
    "ExactScore",
    "GaussianKernel",
    "InteractionEnergy",
    "LaplaceKernel",
    "Moving",
    "PotentialEnergy",
    "PowerDivergence",
    "SelfEntropicScore",
    "SinkhornDivergence",
    "linearised_distance",
]

guard(globals())
