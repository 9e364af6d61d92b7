"""Velocities v(t, x), and the maps that their flows make."""

from brenier.velocities._base import AbstractVelocity
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
from brenier.velocities._mixture import MixtureVelocity

__all__ = [
    "AbstractDiffusionVelocity",
    "AbstractVelocity",
    "FlowMap",
    "MatchingVelocity",
    "McCannVelocity",
    "MixtureVelocity",
    "RescaledDiffusionVelocity",
    "noise",
    "posterior_mean",
    "score",
]
