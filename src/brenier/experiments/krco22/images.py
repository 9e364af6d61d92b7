"""KRCO22, section 3.5: image encoders against optimal transport, and the images of one code.

    brenier reproduce krco22-images --data ../shared/data/mnist
    brenier reproduce krco22-images --data ../shared/data/afhq

MNIST (a folder with IDX files): two models a seed, of digits 0 to 4 and 5 to 9; held-out images are
encoded by DDIM, and audited. AFHQ (a folder a class): the closed-form encoder of all its images at
64 x 64, no network. Without data, scikit-learn's digits in the place of MNIST.

One seed by default. Models are trained and measured side by side, one a core; one of MNIST takes
some 25 minutes of it. A run that was stopped goes on where it was: models by their checkpoints,
what was measured of them, by the same code, from ``domains`` in its folder.

What is expected, and why: the assignment costs as much as the encoder (the paper: to machine
precision; a certified lower bound of 0 with it); pairs are nearer than random ones
at p < 0.01, and uncorrelated with codes shuffled between the models (a wrong schedule of the same
networks stands beside it, whatever it gives);
DDIM leads back to within half a grey level (1/16 of the digits' [-1, 1], against their 0.75 rms; on
MNIST, whose margins are constant, 100 steps leave 0.25);
samples are within four standard errors of held-out images in energy distance, which hardly tells a
Gaussian fitted to the training images from them either; their nearest neighbours tell them at most
half as well as that Gaussian's draws, and held-out images take fewer bits than under it; the
adaptive flow at tolerance 1e-6 leads back to 1e-3; DDIM, an Euler method, comes to order 1.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.certify import alignment
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.krco22._closed_form import audited, closed_form
from brenier.experiments.krco22._image_measures import accuracies, bits, largest_error, likeness
from brenier.images import (
    DDPM,
    ImageModel,
    TrainingSettings,
    UNetSettings,
    fit_images,
    image_model,
    mistimed,
)
from brenier.io import Checkpoint, ImageSet, read_images, write_whole
from brenier.numerics import in_blocks
from brenier.report import image_grid_figure, png_bytes

TIME = "half an hour a model"

_DOMAINS = {"low": range(5), "high": range(5, 10)}
# Encoded images of each domain, as in the paper; never trained on.
_VALIDATION = 500
_DDIM_STEPS, _SAMPLE_STEPS, _SAMPLES = 100, 50, 500
# Images per batch, encoded images that are decoded again, and held-out losses per training.
_BLOCK, _BACK, _CHECKS = 100, 100, 10


@dataclasses.dataclass(frozen=True)
class _Scale:
    """What is spent on images of one size."""

    steps: int
    width: int
    multipliers: tuple[int, ...]
    attention: tuple[int, ...]
    batch: int
    validation: int


_SCALES = {
    8: _Scale(400, 24, (1, 2), (), 64, 120),
    28: _Scale(3000, 16, (1, 2, 2), (7,), 32, _VALIDATION),
}


def main(run: Run) -> dict[str, Any]:
    """Every data set given: its numbers over seeds, with means and standard errors."""
    report: dict[str, Any] = {}
    places: list[Path | None] = [*run.data] if run.data else [None]
    for place in places:
        if place is not None and place.is_dir() and any(p.is_dir() for p in place.iterdir()):
            report[place.name] = closed_form(place, run.out, run.seed, run.progress)
            continue
        runs = _trained(place, run.out, range(run.seed, run.seed + run.seeds_or(1)), run.progress)
        report[_name(place)] = {"runs": runs, "seeds": len(runs), **_over_seeds(runs)}
    return report


def _trained(
    place: Path | None, out: Path, seeds: range, progress: ProgressCallback
) -> list[dict[str, Any]]:
    """Every seed: two models, their encoders, their samples, their pairs."""
    blocks = [(place, out, own, domain) for own in seeds for domain in _DOMAINS]
    done = 0

    def tick(now: int) -> None:
        nonlocal done
        done = now
        progress(Progress(done, len(blocks), f"{_name(place)}: models measured"))

    parts = map_blocks(
        _domain,
        blocks,
        tick,
        out / "domains",
        lambda message: progress(Progress(done, len(blocks), message)),
    )
    runs = []
    for own in seeds:
        found = {name: parts.pop(0) for name in _DOMAINS}
        samples, wrong = (
            {name: np.array(part.pop(kind), np.float32) for name, part in found.items()}
            for kind in ("samples", "mistimed")
        )
        low, high = (x.reshape(len(x), -1) for x in samples.values())
        pairs = alignment(low, high, {"wrong_schedule": wrong["high"]}, key=jax.random.key(own))
        runs.append({"seed": own, **found, "pairs": pairs})
        grid = [(name, np.clip(0.5 * x[:16] + 0.5, 0.0, 1.0)) for name, x in samples.items()]
        write_whole(_folder(place, out, own) / "pairs.png", png_bytes(image_grid_figure(grid)))
    return runs


def _domain(
    place: Path | None, out: Path, seed: int, name: str, tell: Callable[[str], None]
) -> dict[str, Any]:
    """One seed's model of one domain: its encoder, and its samples of codes that domains share."""
    images = _digits() if place is None else read_images(place)
    own = images.of_classes(list(_DOMAINS[name]))
    scale = _SCALES.get(own.pixels.shape[1])
    if scale is None:
        raise ValueError(
            f"--data: got images of height {own.pixels.shape[1]} in {own.file}; "
            f"wants one of {sorted(_SCALES)}."
        )

    def say(message: str) -> None:
        tell(f"{_name(place)}, seed {seed}, {name}: {message}")

    order = np.random.default_rng(seed).permutation(len(own.pixels))
    held, kept = order[: scale.validation], order[scale.validation :]
    # Both domains are trained on equally many images.
    kept = kept[: min(len(kept), _smallest(images) - scale.validation)]
    folder = _folder(place, out, seed)
    folder.mkdir(parents=True, exist_ok=True)
    model, stats = _fitted(
        own.pixels[kept], own.levels, scale, folder / f"{name}.checkpoint", seed, say
    )
    say("sampling")
    codes = _codes(model, _SAMPLES, seed)
    samples = _moved(model.ddim_decoder(_SAMPLE_STEPS), codes)
    wrong = _moved(mistimed(model).ddim_decoder(_SAMPLE_STEPS), codes)
    x, training = (model.points(own.pixels[rows]) for rows in (held, kept))
    return {
        **stats,
        **_measured(model, x, training, seed, say),
        **likeness(samples, x, training, seed),
        "samples": samples.reshape(-1, *model.shape).tolist(),
        "mistimed": wrong.tolist(),
    }


def _fitted(
    pixels: np.ndarray,
    levels: int,
    scale: _Scale,
    path: Path,
    seed: int,
    say: Callable[[str], None],
) -> tuple[ImageModel, dict[str, Any]]:
    settings = TrainingSettings(
        method=DDPM(steps=scale.steps, batch=scale.batch),
        network=UNetSettings(
            width=scale.width, multipliers=scale.multipliers, attention=scale.attention
        ),
        checks=_CHECKS,
    )

    def told(now: Progress) -> None:
        say(f"step {now.step} of {now.steps}, held-out loss {now.metric:.4f}")

    solution = fit_images(
        pixels,
        key=jax.random.key(seed),
        settings=settings,
        levels=levels,
        callback=told,
        checkpoint=Checkpoint(path, every=1),
    )
    return image_model(solution.map), {
        "images": len(pixels),
        "held_out_loss": solution.stats["best_metric"],
        "training_seconds": solution.stats["seconds"],
    }


def _measured(
    model: ImageModel, x: np.ndarray, kept: np.ndarray, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """The encoder on held-out images x, beside the training images kept."""
    say("encoding")
    codes = _moved(model.ddim_encoder(_DDIM_STEPS), x)
    back = _moved(model.ddim_decoder(_DDIM_STEPS), codes[:_BACK])
    say("auditing")
    found = audited(x.astype(np.float64), codes.astype(np.float64), seed)
    say("adaptive flow and likelihoods")
    return {
        **found,
        "round_trip_error": largest_error(back, x[:_BACK]),
        **accuracies(model, x),
        **bits(model, x, kept, seed),
    }


def _over_seeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard error over seeds of the numbers that matter."""
    picks: dict[str, Callable[[dict[str, Any]], float]] = {}
    # The pairs, and their controls.
    for kind, prefix in (
        ("paired", ""),
        ("shuffled", "shuffled_"),
        ("wrong_schedule", "wrong_schedule_"),
    ):
        for key in ("correlation", "p_value"):
            picks[prefix + key] = _picker("pairs", kind, key)
        picks[f"{prefix}paired_over_random"] = functools.partial(_nearer, kind)
    for name in _DOMAINS:
        for key in (
            "energy_distance",
            "energy_distance_training",
            "energy_distance_gaussian",
            "energy_in_errors",
            "nearest",
            "nearest_training",
            "nearest_gaussian",
            "nearest_over_gaussian",
            "relative_lower",
            "relative_upper",
            "round_trip_error",
            "flow_round_trip_error",
            "ddim_order",
            "bits",
            "bits_gaussian",
            "bits_saved",
        ):
            picks[f"{name}_{key}"] = _picker(name, key)
        for key in ("relative_error", "points_moved"):
            picks[f"{name}_{key}"] = _picker(name, "assignment", key)
    table = {key: np.array([pick(run) for run in runs], float) for key, pick in picks.items()}
    return {
        "mean": {key: float(values.mean()) for key, values in table.items()},
        "stderr": {
            key: float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
            for key, values in table.items()
        },
    }


def _nearer(kind: str, run: dict[str, Any]) -> float:
    return run["pairs"][kind]["paired"] / run["pairs"][kind]["random"]


def _picker(*path: str) -> Callable[[dict[str, Any]], float]:
    return lambda run: functools.reduce(lambda tree, key: tree[key], path, cast(Any, run))


def _moved(map: Any, x: np.ndarray) -> np.ndarray:
    """The map of many points, some at a time; of one shape of block."""
    return in_blocks(map, x, _BLOCK)


def _codes(model: ImageModel, n: int, seed: int) -> np.ndarray:
    drawn = jax.random.normal(jax.random.key(seed), (n, model.dimension), jnp.float32)
    return np.asarray(drawn)


def _smallest(images: ImageSet) -> int:
    """Images of the smaller domain."""
    return min(len(images.of_classes(list(classes)).pixels) for classes in _DOMAINS.values())


def _name(place: Path | None) -> str:
    return "digits" if place is None else place.name


def _folder(place: Path | None, out: Path, seed: int) -> Path:
    return out / f"{_name(place)}-{seed}"


def _digits() -> ImageSet:
    from sklearn.datasets import load_digits

    bundle = load_digits()
    pixels = (bundle.images / 16.0)[..., None].astype(np.float32)
    return ImageSet(pixels, bundle.target.astype(np.int32), "digits", 17)


if __name__ == "__main__":
    command(__spec__.name)
