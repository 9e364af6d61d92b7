"""What can be sampled and, where known, has a log-density and a score."""

from brenier.measures._base import AbstractMeasure, require_density
from brenier.measures._empirical import DiracMixture, Empirical
from brenier.measures._gaussian import Gaussian, GaussianMixture
from brenier.measures._gibbs import Gibbs

__all__ = [
    "AbstractMeasure",
    "DiracMixture",
    "Empirical",
    "Gaussian",
    "GaussianMixture",
    "Gibbs",
    "require_density",
]
