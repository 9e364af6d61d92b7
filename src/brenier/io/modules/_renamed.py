"""Classes that files may name by what they were called before."""

from types import MappingProxyType

_OF_IMAGES = (
    "Attention",
    "Convolution",
    "Dense",
    "GroupNorm",
    "ImageModel",
    "ImageVelocity",
    "ResidualBlock",
    "UNet",
    "UNetSettings",
    "UNetStep",
)

# The name in a file, and the name of today. Add a line wherever a saved class moves; a class that
# goes leaves none, and files of it then say which brenier wrote them.
RENAMED_CLASSES = MappingProxyType(
    {
        "brenier.exact.GridPotential": "brenier.grids.GridPotential",
        **{f"brenier.velocities.{name}": f"brenier.images.{name}" for name in _OF_IMAGES},
    }
)
