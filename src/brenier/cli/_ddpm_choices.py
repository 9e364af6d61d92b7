"""What a user chooses in ``brenier ddpm``, beside ``TrainingSettings``; the defaults stand here."""

import dataclasses
from pathlib import Path
from typing import Literal, TypeVar, cast

import numpy as np

from brenier.images import ImageModel, Precision, TrainingSettings, UNet
from brenier.io import ImageSet, load_model, read_images

# What a model that is trained further has already.
_OF_PARENTS = ("size", "colours", "levels", "conditional", "prediction", "schedule")
# What may be given anew, where the weights keep their shapes.
_OF_NETWORKS = ("width", "multipliers", "blocks", "attention", "heads", "dropout")

Known = TypeVar("Known", bound=str)


@dataclasses.dataclass(frozen=True)
class ImageChoice:
    """Which images a command takes; for a given model they get its size, colours and levels."""

    images: Path
    label_file: Path | None = None
    classes: str | None = None
    size: int | None = None
    colours: str | None = None
    levels: int = ImageModel.levels
    strict: bool = False

    def read(self, model: ImageModel | None = None, limit: int | None = None) -> ImageSet:
        """The images, resized and converted to what ``model`` takes.

        Raises:
            ValueError: as ``read_images``, and unknown colours or classes.
        """
        if self.colours not in (None, "grey", "rgb"):
            raise ValueError(f"--colours: got {self.colours!r}; wants grey or rgb.")
        size = None if self.size is None else (self.size, self.size)
        colours, levels = self.colours, self.levels
        if model is not None:
            height, width, channels = model.shape
            size, levels = (height, width), model.levels
            colours = {1: "grey", 3: "rgb"}.get(channels)
        found = read_images(
            self.images,
            labels=self.label_file,
            size=size,
            levels=levels,
            strict=self.strict,
            colours=cast(Literal["grey", "rgb"] | None, colours),
        )
        if self.classes is not None:
            found = found.of_classes(integers("--classes", self.classes))
        if limit is not None and limit < len(found.pixels):
            # Spread over the set, which is often sorted by class.
            rows = np.linspace(0, len(found.pixels) - 1, limit).astype(int)
            labels = None if found.labels is None else found.labels[rows]
            found = dataclasses.replace(found, pixels=found.pixels[rows], labels=labels)
        return found


@dataclasses.dataclass(frozen=True)
class MapChoice:
    """How codes and images are computed: in ``steps`` DDIM steps, or for 0 by the adaptive flow.

    ``precision`` is that of the network's products. Of the samplers in steps, "bdia" is exactly
    invertible: its codes are pairs (n, 2d).

    Raises:
        ValueError: BDIA without its number of steps.
    """

    steps: int = 0
    tolerance: float = 1e-6
    precision: Precision = "highest"
    sampler: Literal["ddim", "bdia"] = "ddim"

    def __post_init__(self):
        if self.sampler == "bdia" and self.steps < 2:
            raise ValueError(f"--sampler: got bdia with --steps {self.steps}; wants 2 or more.")

    def model(self, model: ImageModel) -> ImageModel:
        """The model, in the precision that is asked for."""
        return model.with_precision(self.precision)

    def name(self, model: ImageModel) -> str:
        """The method and its accuracy, for people."""
        said = f"{self.steps} {self.sampler.upper()} steps"
        if not self.steps:
            # A coarse network has its least.
            reached = self.model(model).encoder(tolerance=self.tolerance).tolerance
            said = f"flow at tolerance {reached:g}"
        return said if self.precision == "highest" else f"{said}, products in {self.precision}"


@dataclasses.dataclass(frozen=True)
class AuditChoice:
    """How an encoder is audited: on how many images, with what confidence, and what beside."""

    maps: MapChoice = MapChoice(steps=100)
    limit: int | None = 500
    level: float = 0.95
    budget: float = 20.0
    bits: int = 0
    jacobians: int = 0
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class ParentChoice:
    """The model that a training goes on from, and the options that its command names."""

    folder: Path
    said: frozenset[str]

    def check(self) -> None:
        """Raise a ``ValueError`` where an option is the parent's to say."""
        options = [f"--{name.replace('_', '-')}" for name in _OF_PARENTS if name in self.said]
        if options:
            raise ValueError(
                f"{options[0]}: got a value beside --from; wants none: a model that is trained "
                "further keeps its own."
            )

    def model(self, settings: TrainingSettings) -> ImageModel:
        """The model, with the settings of its network that the command names.

        Raises:
            ValueError: options that the weights cannot have.
        """
        model = load_model(self.folder)
        if not isinstance(model.network, UNet):
            kind = type(model.network).__name__
            raise ValueError(
                f"{self.folder}: got a {kind}, which is not trained here; wants a UNet."
            )
        changes = {
            name: getattr(settings.network, name) for name in _OF_NETWORKS if name in self.said
        }
        if not changes:
            return model
        network = model.network.with_settings(
            dataclasses.replace(model.network.settings, **changes)
        )
        return dataclasses.replace(model, network=network)


def one_of(name: str, text: str, *known: Known) -> Known:
    """``text``, which is one of ``known``.

    Raises:
        ValueError: it is not.

    >>> one_of("--schedule", "linear", "cosine", "linear")
    'linear'
    """
    for value in known:
        if value == text:
            return value
    raise ValueError(f"{name}: got {text!r}; wants {' or '.join(known)}.")


def any_of(name: str, text: str | None, *known: Known) -> Known | None:
    """``one_of`` where something is said."""
    return None if text is None else one_of(name, text, *known)


def integers(name: str, text: str) -> tuple[int, ...]:
    """``1,2,4`` as integers.

    Raises:
        ValueError: anything else.

    >>> integers("--classes", "3,5")
    (3, 5)
    """
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(f"{name}: got {text!r}; wants integers, as in 1,2,4.") from None
