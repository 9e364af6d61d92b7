"""Transport problems with known answers, and the distance of a map from the known one."""

from typing import TYPE_CHECKING

from brenier._arithmetic import guard
from brenier._moved import absent
from brenier.numerics import cosine_similarity, l2_uvp
from brenier.problems._bank import BANK, problem
from brenier.problems._convex import (
    RadialPotential,
    SeparablePotential,
    radial,
    random_convex,
    separable,
)
from brenier.problems._figure2 import figure2
from brenier.problems._gaussian import AFFINE_DRIFT, affine, gaussian
from brenier.problems._networks import convex_networks
from brenier.problems._problem import Problem
from brenier.problems._random_densities import QuarticMixture, quartic_mixture, random_tensor_train

__all__ = [
    "AFFINE_DRIFT",
    "BANK",
    "Problem",
    "QuarticMixture",
    "RadialPotential",
    "SeparablePotential",
    "affine",
    "convex_networks",
    "cosine_similarity",
    "figure2",
    "gaussian",
    "l2_uvp",
    "problem",
    "quartic_mixture",
    "radial",
    "random_convex",
    "random_tensor_train",
    "separable",
]

guard(globals())

if not TYPE_CHECKING:  # a type checker would take any name for one that there is
    __getattr__ = absent(__name__)
