"""``brenier ddpm demo``: two models of scikit-learn's digits, paired by their codes and audited."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from brenier._extras import check_installed
from brenier._json import json_text
from brenier._progress import Progress, ProgressCallback
from brenier.cli._ddpm_audit import audit_model
from brenier.cli._ddpm_choices import AuditChoice, MapChoice
from brenier.cli._ddpm_controls import aligned, alignment_rows, controlled
from brenier.cli._ddpm_maps import decoded, random_codes, write_grid
from brenier.cli._ddpm_train import draw_samples, train_on
from brenier.images import DDPM, TrainingSettings, UNetSettings
from brenier.io import ImageSet, atomic_write, check_output_folder, load_model

_DOMAINS = {"digits-0-4": range(5), "digits-5-9": range(5, 10)}
# Images of each domain that are encoded and audited, and not trained on.
_VALIDATION = 120
# The same number for both models, so that the second needs no compilation.
_TRAINED = 750
_STEPS = 850
_AUDIT = AuditChoice(budget=2.0, bits=4)
# Pairs to draw, pairs to compare, and how they are decoded.
_COLUMNS, _PAIRS, _MAPS = 16, 128, MapChoice(steps=50)


def run_ddpm_demo(
    out: Path, seed: int, steps: int | None, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, str]]:
    """Train both models, pair, draw and audit; the result, and its rows for people."""
    started = time.perf_counter()
    check_installed("demo", "matplotlib")
    check_output_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    settings = TrainingSettings(
        method=DDPM(steps=steps or _STEPS), network=UNetSettings(width=24), checks=10
    )
    result: dict[str, Any] = {}
    rows: dict[str, str] = {}
    models = []
    for name, classes in _DOMAINS.items():
        images = digits(classes)
        kept, held = _split(images, seed)

        def told(now: Progress, name: str = name) -> None:
            progress(now._replace(stage=f"{name}: {now.stage}"))

        trained, _ = train_on(kept, out / name, settings, told, seed=seed)
        model = load_model(out / name)
        draw_samples(model, out / f"{name}-samples.png", seed)
        audited, own = audit_model(model, held, out / f"{name}-audit.html", _AUDIT, told)
        models.append((name, model))
        result[name] = {"training": trained, "audit": audited}
        for key in (
            "  relative difference",
            "  relative to W₂²",
            "bits per dimension",
            "round trip, relative error",
        ):
            rows[f"{name}: {key.strip()}"] = own[key]
    codes = random_codes(models[0][1], max(_PAIRS, _COLUMNS), seed)
    points = [decoded(model, codes, _MAPS, progress, "pairing") for _, model in models]
    grid = [
        (name, model.images(own[:_COLUMNS]))
        for (name, model), own in zip(models, points, strict=True)
    ]
    write_grid(out / "pairs.png", grid)
    wrong = controlled(decoded, models[1][1], codes, _MAPS, progress, "pairing")
    result["pairs"] = aligned(points[0], points[1], wrong, seed)
    seconds = time.perf_counter() - started
    result |= {"seed": seed, "seconds": seconds, "folder": str(out)}
    with atomic_write(out / "summary.json") as handle:
        handle.write(json_text(result).encode() + b"\n")
    rows |= alignment_rows("images of one code", result["pairs"])
    rows |= {"seconds": f"{seconds:.1f}", "written": str(out)}
    return result, rows


def digits(classes: range) -> ImageSet:
    """scikit-learn's 8 x 8 digits of these classes, of 17 grey levels."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    pixels = (bundle.images / 16.0)[..., None].astype(np.float32)
    return ImageSet(pixels, bundle.target.astype(np.int32), "scikit-learn's digits", 17).of_classes(
        list(classes)
    )


def _split(images: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """Images to train on, and others to audit on."""
    order = np.random.default_rng(seed).permutation(len(images.pixels))
    parts = order[_VALIDATION:][:_TRAINED], order[:_VALIDATION]
    first, second = (
        ImageSet(images.pixels[rows], None, images.file, images.levels) for rows in parts
    )
    return first, second
