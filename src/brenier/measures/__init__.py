"""What can be sampled and, where known, has a log-density and a score."""

from typing import TYPE_CHECKING

from brenier._arithmetic import guard
from brenier._moved import absent
from brenier.measures._base import AbstractMeasure, require_density
from brenier.measures._empirical import Empirical
from brenier.measures._fokker_planck import solve_fokker_planck
from brenier.measures._gaussian import Gaussian, GaussianMixture
from brenier.measures._gibbs import Gibbs
from brenier.measures._quasi import quasi_sample
from brenier.measures._standard import StandardNormal
from brenier.measures._tensor_train import TensorTrain
from brenier.measures._uniform import Uniform

__all__ = [
    "AbstractMeasure",
    "Empirical",
    "Gaussian",
    "GaussianMixture",
    "Gibbs",
    "StandardNormal",
    "TensorTrain",
    "Uniform",
    "quasi_sample",
    "require_density",
    "solve_fokker_planck",
]

guard(globals())

if not TYPE_CHECKING:  # a type checker would take any name for one that there is
    __getattr__ = absent(__name__)
