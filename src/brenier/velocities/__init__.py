"""Velocities v(t, x), and the maps that their flows make."""

from brenier.velocities._base import AbstractVelocity
from brenier.velocities._diffusion import (
    AbstractDiffusionVelocity,
    noise,
    posterior_mean,
    score,
)
from brenier.velocities._flow_map import FlowMap
from brenier.velocities._mixture import MixtureVelocity
from brenier.velocities._tensor_train import TensorTrainVelocity, train_encoder

__all__ = [
    "AbstractDiffusionVelocity",
    "AbstractVelocity",
    "FlowMap",
    "MixtureVelocity",
    "TensorTrainVelocity",
    "noise",
    "posterior_mean",
    "score",
    "train_encoder",
]
