"""Public names that moved or went, and what to say to those who ask for them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

# The old name, and the name of today.
MOVED: Mapping[str, str] = MappingProxyType(
    {
        "brenier.certify.Pushforward": "brenier.certify.TargetTests",
        "brenier.exact.AbstractGrid": "brenier.grids.AbstractGrid",
        "brenier.exact.Box": "brenier.grids.Box",
        "brenier.exact.GridPotential": "brenier.grids.GridPotential",
        "brenier.exact.Torus": "brenier.grids.Torus",
        "brenier.flows.DDPM": "brenier.images.DDPM",
        "brenier.flows.HeldOutDenoising": "brenier.images.HeldOutDenoising",
        "brenier.flows.distil": "brenier.flows.distill",
        "brenier.flows.fit_images": "brenier.images.fit_images",
        "brenier.flows.image_model": "brenier.images.image_model",
        "brenier.measures.DiracMixture": "brenier.measures.Empirical",
        "brenier.problems.random_train": "brenier.problems.random_tensor_train",
        "brenier.report.certificate_page": "brenier.certify.page.certificate_page",
        "brenier.velocities.HostNetwork": "brenier.images.HostNetwork",
        "brenier.velocities.ImageModel": "brenier.images.ImageModel",
        "brenier.velocities.ImageVelocity": "brenier.images.ImageVelocity",
        "brenier.velocities.UNet": "brenier.images.UNet",
        "brenier.velocities.bits_per_dimension": "brenier.images.bits_per_dimension",
        "brenier.velocities.fit_velocity": "brenier.flows.fit_velocity",
        "brenier.velocities.train_encoder": "brenier.velocities.tensor_train_encoder",
    }
)

# What went, and what to take in its place.
GONE: Mapping[str, str] = MappingProxyType(
    {
        "brenier.flows.default_metric": "solve takes that metric where none is given",
        "brenier.flows.denoising_loss": "brenier.images.HeldOutDenoising measures that loss",
        "brenier.velocities.dequantisation": "brenier.images.bits_per_dimension adds that noise",
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
        asked = f"{module}.{name}"
        if asked in MOVED:
            raise ImportError(f"{asked} is now {MOVED[asked]}.")
        if asked in GONE:
            raise ImportError(f"{asked} is gone: {GONE[asked]}.")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return refused
