"""``brenier ddpm train``."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from brenier._extras import is_installed
from brenier._progress import Progress, ProgressCallback
from brenier.cli._ddpm_choices import ImageChoice, ParentChoice
from brenier.cli._stopping import StoppedError
from brenier.images import ImageModel, TrainingSettings, UNet, fit_images, image_model
from brenier.io import (
    Checkpoint,
    ImageSet,
    atomic_write,
    check_model_folder,
    read_model_config,
    save_model,
)
from brenier.report import image_grid_figure, png_bytes

# The grid of samples that is drawn during training: rows and columns, and DDIM steps.
_GRID, _GRID_STEPS = (2, 12), 25


def run_train(
    choice: ImageChoice,
    out: Path,
    settings: TrainingSettings,
    progress: ProgressCallback,
    *,
    seed: int,
    conditional: bool,
    parent: ParentChoice | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Train on the images and write the model folder; the result, and its rows for people."""
    check_model_folder(out)
    progress(Progress(0, 0, "reading images"))
    model = None
    if parent is not None:
        parent.check()
        model = parent.model(settings)
        conditional = model.classes > 0
    images = choice.open(model)
    if not conditional:
        images = dataclasses.replace(images, labels=None)
    elif images.labels is None:
        why = "--conditional" if model is None else f"--from a model of {model.classes} classes"
        raise ValueError(
            f"{images.file}: got images without labels beside {why}; "
            "wants a label for each (--label-file, or a folder a class)."
        )
    about = None if parent is None else _of_parent(parent.folder)
    return train_on(images, out, settings, progress, seed=seed, parent=model, ancestry=about)


def _of_parent(folder: Path) -> dict[str, Any]:
    """Which model a training goes on from, for the configuration of the new one."""
    config = read_model_config(folder)
    return {"folder": folder.name, "sha256": config.get("sha256")}


def train_on(
    images: ImageSet,
    out: Path,
    settings: TrainingSettings,
    progress: ProgressCallback,
    *,
    seed: int,
    parent: ImageModel | None = None,
    ancestry: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """``run_train`` of images, class-conditional where they have labels.

    ``parent`` is a model to go on from, and ``ancestry`` what is told of it in the new one's
    configuration.
    """
    started = time.perf_counter()
    labels, count = images.labels, images.pixels.shape[0]
    key = jax.random.key(seed)
    height, width, channels = images.pixels.shape[1:]
    network = None
    if parent is None:
        network = _new_network(images, settings, key)
    elif labels is not None and labels.max() >= parent.classes:
        raise ValueError(
            f"{images.file}: got labels up to {labels.max()}; wants those of the model, "
            f"0 to {parent.classes - 1}."
        )
    _check_batch(count, settings)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(out / "training.checkpoint", every=1)
    drawable = channels in (1, 3) and is_installed("matplotlib")

    def told(now: Progress) -> None:
        progress(now._replace(stage="training"))
        if drawable and now.map is not None:
            draw_samples(image_model(now.map), out / "samples.png", seed)

    progress(Progress(0, settings.method.steps, "compiling"))
    solution = fit_images(
        images.pixels,
        labels,
        key=key,
        settings=settings,
        network=network,
        parent=parent,
        levels=images.levels,
        callback=told,
        checkpoint=checkpoint,
        throw=False,
    )
    model = image_model(solution.map)
    if parent is not None:  # what encoders leave out of its scheduler stays in the file
        model = dataclasses.replace(model, sampling=parent.sampling)
    stats = solution.stats
    about = {
        "images": images.file,
        "count": count,
        "seed": seed,
        "steps": stats["steps"],
        "batch": settings.method.batch,
        "precision": settings.method.precision,
        "held_out_loss": stats["best_metric"],
        "result": solution.result.name,
        "notes": list(images.notes),
    }
    if ancestry is not None:
        about["parent"] = ancestry
    if solution.result.name == "interrupted":
        saved = (out / "training.checkpoint").exists()
        raise StoppedError("The same command goes on from the last check." if saved else "")
    save_model(out, model, about)
    solution.checked(throw=True)  # after saving: the best model seen is worth keeping
    checkpoint.remove()
    if drawable:
        draw_samples(model, out / "samples.png", seed)
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
        "class_names": images.class_names,
        "skipped": [list(item) for item in images.skipped],
        "seconds": seconds,
    }
    rows = {
        "images": f"{count:,} of {height} x {width} x {channels} from {images.file}",
        **image_rows(images),
        "held-out loss": f"{stats['history'][0]:.4g} before, {stats['best_metric']:.4g} after",
        "parameters": f"{result['parameters']:,}",
        "seconds": f"{seconds:.1f}",
        "model": str(out),
    }
    return result, rows


def _new_network(images: ImageSet, settings: TrainingSettings, key: jax.Array) -> UNet:
    """Made here, and not by ``fit_images``, to refuse bad settings before a folder is made."""
    labels, count = images.labels, images.pixels.shape[0]
    if labels is not None and labels.max() >= count:
        raise ValueError(
            f"{images.file}: got labels up to {labels.max()} for {count} "
            "images; wants classes that count up from 0 (--conditional)."
        )
    height, width, channels = images.pixels.shape[1:]
    architecture = dataclasses.replace(
        settings.network,
        shape=(height, width, channels),
        classes=0 if labels is None else int(labels.max()) + 1,
    )
    return UNet.random(jax.random.fold_in(key, 1), architecture)


def _check_batch(count: int, settings: TrainingSettings) -> None:
    """What ``fit_images`` would refuse, before a folder is made and by the name of the option."""
    kept, batch = count - settings.count_held_out(count), settings.method.batch
    if kept < batch:
        raise ValueError(
            f"IMAGES: got {count}, of which {kept} to train on, fewer than a batch "
            f"of {batch}; wants more, or a smaller --batch."
        )


def image_rows(images: ImageSet) -> dict[str, str]:
    """Classes, what was changed and which files were skipped, for people; each where there is."""
    rows = {"classes": ", ".join(images.class_names)} if images.class_names else {}
    if images.notes:
        rows["changed"] = "; ".join(images.notes)
    if images.skipped:
        some = "; ".join(f"{file}: {reason}" for file, reason in images.skipped[:3])
        rows["skipped"] = f"{len(images.skipped)} files ({some})"
    return rows


def draw_samples(model: ImageModel, path: Path, seed: int) -> None:
    """Write a grid of samples, of the same codes for the same seed."""
    rows, columns = _GRID
    if not model.unlabelled:
        model = model.with_label(0)
    codes = jax.random.normal(jax.random.key(seed), (rows * columns, model.dimension), np.float32)
    images = model.images(model.ddim_decoder(_GRID_STEPS)(codes))
    grid = [("", images[i * columns : (i + 1) * columns]) for i in range(rows)]
    with atomic_write(path) as handle:
        handle.write(png_bytes(image_grid_figure(grid)))
