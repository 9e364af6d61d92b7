"""Velocities v(t, x), and the maps that their flows make."""

from brenier.velocities._atoms import AtomsDecoder, AtomsVelocity
from brenier.velocities._base import AbstractVelocity
from brenier.velocities._ddim import DDIM
from brenier.velocities._diffusion import (
    AbstractDiffusionVelocity,
    noise,
    posterior_mean,
    score,
)
from brenier.velocities._flow_map import FlowMap
from brenier.velocities._hyperbolic import HyperbolicClock
from brenier.velocities._image_model import (
    ImageModel,
    ImageVelocity,
    bits_per_dimension,
    dequantisation,
)
from brenier.velocities._likelihood import log_likelihood
from brenier.velocities._mixture import MixtureVelocity
from brenier.velocities._predictors import ExactNoise, NoiseVelocity, ScoreVelocity
from brenier.velocities._probability_flow import ProbabilityFlow
from brenier.velocities._schedule import (
    AbstractSchedule,
    ConstantSchedule,
    CosineSchedule,
    LinearSchedule,
    RateSchedule,
)
from brenier.velocities._unet import UNet

__all__ = [
    "DDIM",
    "AbstractDiffusionVelocity",
    "AbstractSchedule",
    "AbstractVelocity",
    "AtomsDecoder",
    "AtomsVelocity",
    "ConstantSchedule",
    "CosineSchedule",
    "ExactNoise",
    "FlowMap",
    "HyperbolicClock",
    "ImageModel",
    "ImageVelocity",
    "LinearSchedule",
    "MixtureVelocity",
    "NoiseVelocity",
    "ProbabilityFlow",
    "RateSchedule",
    "ScoreVelocity",
    "UNet",
    "bits_per_dimension",
    "dequantisation",
    "log_likelihood",
    "noise",
    "posterior_mean",
    "score",
]
