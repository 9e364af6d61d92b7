"""Velocities v(t, x), and the maps that their flows make."""

from brenier.velocities._base import AbstractVelocity
from brenier.velocities._dacorogna_moser import DacorognaMoserVelocity
from brenier.velocities._diffusion import (
    AbstractDiffusionVelocity,
    noise,
    posterior_mean,
    score,
)
from brenier.velocities._flow_map import FlowMap
from brenier.velocities._flow_matching import (
    MatchingVelocity,
    McCannVelocity,
    RescaledDiffusionVelocity,
)
from brenier.velocities._fokker_planck import FokkerPlanckVelocity
from brenier.velocities._matching_fit import NetworkVelocity, fit_velocity
from brenier.velocities._mixture import MixtureVelocity
from brenier.velocities._ratio import RatioVelocity

__all__ = [
    "AbstractDiffusionVelocity",
    "AbstractVelocity",
    "DacorognaMoserVelocity",
    "FlowMap",
    "FokkerPlanckVelocity",
    "MatchingVelocity",
    "McCannVelocity",
    "MixtureVelocity",
    "NetworkVelocity",
    "RatioVelocity",
    "RescaledDiffusionVelocity",
    "fit_velocity",
    "noise",
    "posterior_mean",
    "score",
]
