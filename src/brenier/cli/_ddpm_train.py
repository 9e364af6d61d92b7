"""``brenier ddpm train``."""

import dataclasses
import time
from pathlib import Path
from typing import Any, Literal, cast

import jax
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.cli._console import StoppedError
from brenier.images import ImageModel
from brenier.io import (
    Checkpoint,
    ImageSet,
    atomic_write,
    check_model_folder,
    read_images,
    save_model,
)
from brenier.report import image_grid_figure, png_bytes

# Images of the grid that is drawn as training goes: rows, columns, and their DDIM steps.
_GRID, _GRID_STEPS = (2, 12), 25
# The share of the images that training does not see.
_HELD_OUT = 0.1


@dataclasses.dataclass(frozen=True)
class ImageChoice:
    """Which images a command takes; ``levels`` None and no size: as a model wants them."""

    images: Path
    label_file: Path | None
    classes: str | None
    size: int | None
    colours: str | None
    levels: int | None
    strict: bool

    def read(self, model: ImageModel | None = None, limit: int | None = None) -> ImageSet:
        """The images, resized and converted to what ``model`` takes.

        Raises:
            ValueError: as ``read_images``, and options that mean nothing.
        """
        if self.colours not in (None, "grey", "rgb"):
            raise ValueError(f"--colours: got {self.colours!r}; wants grey or rgb.")
        size = None if self.size is None else (self.size, self.size)
        colours: str | None = self.colours
        levels = 256 if self.levels is None else self.levels
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
class Training:
    """What a user may set about training; lists as in the command line."""

    steps: int = 2000
    batch: int = 64
    rate: float = 2e-3
    weight_decay: float = 0.0
    width: int = 32
    multipliers: str = "1,2"
    blocks: int = 1
    attention: str = ""
    heads: int = 1
    dropout: float = 0.0
    prediction: str = "v"
    schedule: str = "cosine"
    checks: int = 20
    seed: int = 0
    conditional: bool = False


def run_train(
    choice: ImageChoice, out: Path, settings: Training, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, str]]:
    """Train on the images and write the model folder; the result, and its rows for people."""
    check_model_folder(out)
    progress(Progress(0, 0, "reading images"))
    return train_on(choice.read(), out, settings, progress)


def train_on(
    images: ImageSet, out: Path, settings: Training, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, str]]:
    """``run_train`` of images in memory."""
    from brenier.images import DDPM, UNet, fit_images, image_model

    started = time.perf_counter()
    labels = None
    if settings.conditional:
        if images.labels is None:
            raise ValueError(
                f"{images.file}: got images without labels beside --conditional; "
                "wants a label for each (--label-file, or a folder a class)."
            )
        labels = images.labels
        if labels.max() >= len(labels):
            raise ValueError(
                f"{images.file}: got labels up to {labels.max()} for {len(labels)} "
                "images; wants classes that count up from 0 (--conditional)."
            )
    for name, value, known in (
        ("--prediction", settings.prediction, ("v", "epsilon")),
        ("--schedule", settings.schedule, ("cosine", "linear")),
    ):
        if value not in known:
            raise ValueError(f"{name}: got {value!r}; wants {' or '.join(known)}.")
    key = jax.random.key(settings.seed)
    height, width, channels = images.pixels.shape[1:]
    network = UNet.random(
        jax.random.fold_in(key, 1),
        (height, width, channels),
        width=settings.width,
        multipliers=integers("--multipliers", settings.multipliers),
        blocks=settings.blocks,
        attention=integers("--attention", settings.attention),
        heads=settings.heads,
        dropout=settings.dropout,
        classes=0 if labels is None else int(labels.max()) + 1,
    )
    method = DDPM(
        steps=settings.steps,
        batch=settings.batch,
        rate=settings.rate,
        weight_decay=settings.weight_decay,
    )
    _check_batch(len(images.pixels), settings.batch)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(out / "training.checkpoint", every=1)
    drawn = channels in (1, 3)

    def told(now: Progress) -> None:
        progress(now._replace(stage=f"training, held-out loss {now.metric:.4f}"))
        if drawn and now.map is not None:
            draw_samples(image_model(now.map), out / "samples.png", settings.seed)

    progress(Progress(0, settings.steps, "compiling"))
    solution = fit_images(
        images.pixels,
        labels,
        key=key,
        method=method,
        network=network,
        prediction=cast(Literal["epsilon", "v"], settings.prediction),
        schedule=cast(Literal["cosine", "linear"], settings.schedule),
        levels=images.levels,
        held_out=_HELD_OUT,
        blocks=settings.checks,
        callback=told,
        checkpoint=checkpoint,
        throw=False,
    )
    model = image_model(solution.map)
    stats = solution.stats
    about = {
        "images": images.file,
        "count": len(images.pixels),
        "seed": settings.seed,
        "steps": stats["steps"],
        "batch": settings.batch,
        "held_out_loss": stats["best_metric"],
        "result": solution.result.name,
        "notes": list(images.notes),
    }
    if solution.result.name == "interrupted":
        saved = (out / "training.checkpoint").exists()
        raise StoppedError("The same command goes on from the last check." if saved else "")
    save_model(out, model, about)
    solution.checked(throw=True)  # after saving: the best model seen is worth keeping
    checkpoint.remove()
    if drawn:
        draw_samples(model, out / "samples.png", settings.seed)
    seconds = time.perf_counter() - started
    result = {
        "folder": str(out),
        **about,
        "history": stats["history"],
        "shape": list(model.shape),
        "classes": model.classes,
        "parameters": sum(
            leaf.size for leaf in jax.tree.leaves(model.network) if isinstance(leaf, jax.Array)
        ),
        "skipped": [list(item) for item in images.skipped],
        "seconds": seconds,
    }
    rows = {
        "images": f"{len(images.pixels):,} of {height} x {width} x {channels} from {images.file}",
        **image_rows(images),
        "held-out loss": f"{stats['history'][0]:.4g} before, {stats['best_metric']:.4g} after",
        "parameters": f"{result['parameters']:,}",
        "seconds": f"{seconds:.1f}",
        "model": str(out),
    }
    return result, rows


def _check_batch(images: int, batch: int) -> None:
    """Before a folder is made: as ``fit_images`` will see it."""
    kept = images - max(1, int(_HELD_OUT * images))
    if kept < batch:
        raise ValueError(
            f"IMAGES: got {images}, of which {kept} to train on, fewer than a batch "
            f"of {batch}; wants more, or a smaller --batch."
        )


def image_rows(images: ImageSet) -> dict[str, str]:
    """What was changed and skipped, for people; nothing where nothing was."""
    rows = {"changed": "; ".join(images.notes)} if images.notes else {}
    if images.skipped:
        some = "; ".join(f"{file}: {reason}" for file, reason in images.skipped[:3])
        rows["skipped"] = f"{len(images.skipped)} files ({some})"
    return rows


def draw_samples(model: ImageModel, path: Path, seed: int) -> None:
    """A grid of samples, the same codes every time."""
    rows, columns = _GRID
    codes = jax.random.normal(jax.random.key(seed), (rows * columns, model.dimension), np.float32)
    images = model.images(model.ddim_decoder(_GRID_STEPS)(codes))
    grid = [("", images[i * columns : (i + 1) * columns]) for i in range(rows)]
    with atomic_write(path) as handle:
        handle.write(png_bytes(image_grid_figure(grid)))


def integers(name: str, text: str) -> list[int]:
    """``1,2,4`` as a list.

    Raises:
        ValueError: anything else.

    >>> integers("--classes", "3,5")
    [3, 5]
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"{name}: got {text!r}; wants integers, as in 1,2,4.") from None
