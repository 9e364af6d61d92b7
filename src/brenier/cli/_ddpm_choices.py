"""What a user chooses in ``brenier ddpm``, beside ``TrainingSettings``; the defaults stand here."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from brenier.images import ImageModel, Precision, TrainingSettings, UNet
from brenier.io import ImageSet, check_file, image_blocks, load_model, open_images, read_images

# What a model that is trained further has already.
_OF_PARENTS = ("size", "colours", "levels", "conditional", "prediction", "schedule")
# What may be given anew, where the weights keep their shapes.
_OF_NETWORKS = ("width", "multipliers", "blocks", "attention", "heads", "dropout")
_OF_DIFFUSERS = ("dropout",)

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

    def read(self, model: ImageModel, limit: int | None = None) -> ImageSet[np.ndarray]:
        """The images, resized and converted to what ``model`` takes; of a folder no others.

        Raises:
            ValueError: as ``read_images``, and unknown classes.
        """
        if self.classes is None and self.label_file is None:
            return read_images(
                self.images,
                size=model.shape[:2],
                colours=_colours(model),
                levels=model.levels,
                strict=self.strict,
                limit=limit,
            )
        return self.open(model).spread(limit).held()

    def open(self, model: ImageModel | None = None) -> ImageSet:
        """The images, those of a large folder in their files.

        Raises:
            ValueError: as ``open_images``, and unknown colours or classes.
        """
        size = None if self.size is None else (self.size, self.size)
        colours: Literal["grey", "rgb"] | None = any_of("--colours", self.colours, "grey", "rgb")
        levels = self.levels
        if model is not None:
            size, colours, levels = model.shape[:2], _colours(model), model.levels
        found: ImageSet = open_images(
            self.images,
            labels=self.label_file,
            size=size,
            levels=levels,
            strict=self.strict,
            colours=colours,
        )
        if self.classes is not None:
            found = found.of_classes(integers("--classes", self.classes))
        return found

    def blocks(
        self, model: ImageModel, rows: int, limit: int | None
    ) -> tuple[int, Iterator[ImageSet]]:
        """The images for a model, some at a time, and how many there are at most."""
        return image_blocks(
            self.images,
            rows,
            size=model.shape[:2],
            colours=_colours(model),
            levels=model.levels,
            strict=self.strict,
            limit=limit,
        )


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
    controls: bool = True


@dataclasses.dataclass(frozen=True)
class LabelChoice:
    """Labels by number or, of a file of class names (line i names class i, from 0), by name.

    A line may give several names, divided by commas, as lists of ImageNet's classes do.
    """

    labels: str
    file: Path | None = None

    def named(self, classes: int) -> list[tuple[str, int]]:
        """A title and a number for each label, in the order asked for.

        Raises:
            ValueError: no labels, one that the model does not have or that no line or several
                name, or another number of names than of classes.
        """
        parts = [part.strip() for part in self.labels.split(",") if part.strip()]
        if not parts:
            raise ValueError(f"--labels: got {self.labels!r}; wants at least one label.")
        if self.file is None:
            return [(f"label {i}", i) for i in integers("--labels", self.labels)]
        lines = _lines(self.file)
        if len(lines) != classes:
            raise ValueError(
                f"{self.file}: got {len(lines)} lines; wants {classes}, a name for each class of "
                "the model."
            )
        names = [[name.strip() for name in line.split(",")] for line in lines]
        found = [(part, self._number(part, names)) for part in parts]
        return [(part if i >= classes or part in names[i] else names[i][0], i) for part, i in found]

    def _number(self, part: str, names: list[list[str]]) -> int:
        places = [i for i, own in enumerate(names) if part in own]
        if not places and part.isdecimal():
            return int(part)
        if len(places) != 1:
            some = ", ".join(map(str, places))
            raise ValueError(
                f"--labels: got {part!r}, which "
                + (f"names classes {some}" if places else "names no class")
                + f" of {self.file}; wants a name of one, or its number."
            )
        return places[0]


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
        network: Any = model.network
        known = _OF_NETWORKS if isinstance(network, UNet) else _OF_DIFFUSERS
        others = [f"--{name}" for name in _OF_NETWORKS if name in self.said - {*known}]
        if others:
            kind = type(network).__name__
            raise ValueError(
                f"{others[0]}: got a value beside --from a {kind}; wants none: of the network of "
                f"such a model only --{', --'.join(known)} may be another."
            )
        changes = {name: getattr(settings.network, name) for name in known if name in self.said}
        if not changes:
            return model
        changed = network.with_settings(dataclasses.replace(network.settings, **changes))
        return dataclasses.replace(model, network=changed)


def _colours(model: ImageModel) -> Literal["grey", "rgb"] | None:
    return "grey" if model.shape[2] == 1 else "rgb" if model.shape[2] == 3 else None


def _lines(path: Path) -> list[str]:
    """The lines of a text file of class names, without blank ones at its end."""
    check_file(path, "a text file of class names", f"--class-names {path}")
    try:
        return path.read_text("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"--class-names: got {path}, which is not UTF-8 ({error.reason}); wants text."
        ) from None


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
