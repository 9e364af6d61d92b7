"""Image diffusion models: their networks, their encoders, and how they are trained."""

from brenier.images._ddpm import DDPM, HeldOutDenoising, denoising_loss, fit_images, image_model
from brenier.images._host_network import HostNetwork
from brenier.images._model import ImageModel, ImageVelocity, bits_per_dimension, dequantisation
from brenier.images._unet import NETWORK_PARTS, UNet, UNetSettings

__all__ = [
    "DDPM",
    "NETWORK_PARTS",
    "HeldOutDenoising",
    "HostNetwork",
    "ImageModel",
    "ImageVelocity",
    "UNet",
    "UNetSettings",
    "bits_per_dimension",
    "denoising_loss",
    "dequantisation",
    "fit_images",
    "image_model",
]
