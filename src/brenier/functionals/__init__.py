"""Functionals on measures, with their Wasserstein gradients."""

from brenier.functionals._base import AbstractFunctional, Moving
from brenier.functionals._kl import KL, AbstractScore, ExactScore, SelfEntropicScore

__all__ = [
    "KL",
    "AbstractFunctional",
    "AbstractScore",
    "ExactScore",
    "Moving",
    "SelfEntropicScore",
]
