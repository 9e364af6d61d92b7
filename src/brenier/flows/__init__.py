"""Evolutions of a map: constrained drift and its baselines, behind one driver."""

from brenier.flows._ddpm import (
    DDPM,
    HeldOutDenoising,
    denoising_loss,
    fit_images,
    image_model,
)
from brenier.flows._drift import ConstrainedDrift, EuclideanDescent
from brenier.flows._driver import CheckpointStore, Progress, advance, default_metric, solve
from brenier.flows._kl_newton import KLNewton
from brenier.flows._method import AbstractMethod
from brenier.flows._oracles import AbstractOracle, FirstOrder, NaturalGradient
from brenier.flows._semi_dual import HeldOutDual, SemiDual
from brenier.flows._wasserstein_natural import WassersteinNatural

__all__ = [
    "DDPM",
    "AbstractMethod",
    "AbstractOracle",
    "CheckpointStore",
    "ConstrainedDrift",
    "EuclideanDescent",
    "FirstOrder",
    "HeldOutDenoising",
    "HeldOutDual",
    "KLNewton",
    "NaturalGradient",
    "Progress",
    "SemiDual",
    "WassersteinNatural",
    "advance",
    "default_metric",
    "denoising_loss",
    "fit_images",
    "image_model",
    "solve",
]
