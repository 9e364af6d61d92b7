"""Public names that moved or went, and what to say to those who ask for them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

# The old name, and where it is now; one that went says what to take in its place.
MOVED: Mapping[str, str] = MappingProxyType(
    {
        "brenier.certify.Pushforward": "brenier.certify.TargetTests",
        "brenier.exact.AbstractGrid": "brenier.grids.AbstractGrid",
        "brenier.exact.Box": "brenier.grids.Box",
        "brenier.exact.GridPotential": "brenier.grids.GridPotential",
        "brenier.exact.Torus": "brenier.grids.Torus",
        "brenier.flows.DDPM": "brenier.images.DDPM",
        "brenier.flows.HeldOutDenoising": "brenier.images.HeldOutDenoising",
        "brenier.flows.denoising_loss": "brenier.images.denoising_loss",
        "brenier.flows.distil": "brenier.flows.distill",
        "brenier.flows.fit_images": "brenier.images.fit_images",
        "brenier.flows.image_model": "brenier.images.image_model",
        "brenier.measures.DiracMixture": "brenier.measures.Empirical",
        "brenier.problems.random_train": "brenier.problems.random_tensor_train",
        "brenier.report.certificate_page": "brenier.certify.certificate_page",
        "brenier.velocities.HostNetwork": "brenier.images.HostNetwork",
        "brenier.velocities.ImageModel": "brenier.images.ImageModel",
        "brenier.velocities.ImageVelocity": "brenier.images.ImageVelocity",
        "brenier.velocities.UNet": "brenier.images.UNet",
        "brenier.velocities.bits_per_dimension": "brenier.images.bits_per_dimension",
        "brenier.velocities.dequantisation": "brenier.images.dequantisation",
        "brenier.velocities.train_encoder": "brenier.velocities.tensor_train_encoder",
    }
)


def absent(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module: where a name that moved is now.

    An ``ImportError``, as scikit-learn raises for what it removed: Python replaces the words of an
    ``AttributeError`` by its own in ``from brenier.exact import Box``.

    >>> from brenier.exact import Box
    Traceback (most recent call last):
        ...
    ImportError: brenier.exact.Box is now brenier.grids.Box.
    """

    def refused(name: str) -> NoReturn:
        place = MOVED.get(f"{module}.{name}")
        if place is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise ImportError(f"{module}.{name} is now {place}.")

    return refused
