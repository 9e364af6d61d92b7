"""Velocities v(t, x), and their flow maps."""

from typing import TYPE_CHECKING

from brenier._arithmetic import guard
from brenier._moved import absent
from brenier.velocities._atoms import AtomsDecoder, AtomsVelocity
from brenier.velocities._base import AbstractVelocity
from brenier.velocities._bdia import BDIA
from brenier.velocities._dacorogna_moser import DacorognaMoserVelocity
from brenier.velocities._ddim import DDIM
from brenier.velocities._diffusion import AbstractDiffusionVelocity, noise, posterior_mean, score
from brenier.velocities._flow_map import Endpoints, FlowMap, integration_floats
from brenier.velocities._flow_matching import (
    MatchingVelocity,
    McCannVelocity,
    RescaledDiffusionVelocity,
)
from brenier.velocities._fokker_planck import FokkerPlanckVelocity
from brenier.velocities._hyperbolic import HyperbolicClock
from brenier.velocities._likelihood import log_likelihood
from brenier.velocities._mixture import MixtureVelocity
from brenier.velocities._network import NetworkVelocity
from brenier.velocities._predictors import ExactNoise, NoiseVelocity, ScoreVelocity
from brenier.velocities._probability_flow import ProbabilityFlow
from brenier.velocities._ratio import RatioVelocity
from brenier.velocities._schedule import (
    AbstractSchedule,
    ConstantSchedule,
    CosineSchedule,
    LinearSchedule,
    RateSchedule,
)
from brenier.velocities._table import TableSchedule
from brenier.velocities._tensor_train import TensorTrainVelocity, tensor_train_encoder

__all__ = [
    "BDIA",
    "DDIM",
    "AbstractDiffusionVelocity",
    "AbstractSchedule",
    "AbstractVelocity",
    "AtomsDecoder",
    "AtomsVelocity",
    "ConstantSchedule",
    "CosineSchedule",
    "DacorognaMoserVelocity",
    "Endpoints",
    "ExactNoise",
    "FlowMap",
    "FokkerPlanckVelocity",
    "HyperbolicClock",
    "LinearSchedule",
    "MatchingVelocity",
    "McCannVelocity",
    "MixtureVelocity",
    "NetworkVelocity",
    "NoiseVelocity",
    "ProbabilityFlow",
    "RateSchedule",
    "RatioVelocity",
    "RescaledDiffusionVelocity",
    "ScoreVelocity",
    "TableSchedule",
    "TensorTrainVelocity",
    "integration_floats",
    "log_likelihood",
    "noise",
    "posterior_mean",
    "score",
    "tensor_train_encoder",
]

guard(globals())

if not TYPE_CHECKING:  # a type checker would take any name for one that there is
    __getattr__ = absent(__name__)
