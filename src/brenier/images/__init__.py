"""Image diffusion models: their networks, their encoders, and their training."""

from brenier._arithmetic import guard
from brenier.images._denoising import DDPM, HeldOutDenoising
from brenier.images._fit import TrainingSettings, fit_images
from brenier.images._host_network import HostNetwork
from brenier.images._likelihood import bits_per_dimension
from brenier.images._mistimed import mistimed
from brenier.images._model import ImageModel, ImageVelocity, image_model
from brenier.images._noise_levels import NoiseLevels
from brenier.images._precision import Precision
from brenier.images._sampling import Sampling, ScheduledDDIM
from brenier.images._settings import Timesteps, UNetSettings
from brenier.images._streamed import ImageRows, StreamedImages
from brenier.images._unet import NETWORK_PARTS, UNet
from brenier.images._unet2d import UNet2D
from brenier.images._unet2d_settings import UNet2DSettings

__all__ = [
    "DDPM",
    "NETWORK_PARTS",
    "HeldOutDenoising",
    "HostNetwork",
    "ImageModel",
    "ImageRows",
    "ImageVelocity",
    "NoiseLevels",
    "Precision",
    "Sampling",
    "ScheduledDDIM",
    "StreamedImages",
    "Timesteps",
    "TrainingSettings",
    "UNet",
    "UNet2D",
    "UNet2DSettings",
    "UNetSettings",
    "bits_per_dimension",
    "fit_images",
    "image_model",
    "mistimed",
]

guard(globals())
