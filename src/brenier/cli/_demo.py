"""``brenier demo``: colour transfer between the two photos that scikit-learn ships."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from brenier._json import json_text
from brenier._progress import Progress, ProgressCallback
from brenier.cli._fit import Settings, fitted
from brenier.cli._transport import measure, measure_rows, transport_colours
from brenier.io import atomic_write, check_output_folder, save
from brenier.report import palette_figure, picture_figure, png_bytes

# Of 273,280 pixels: a map of R^3 learns little from more.
_SAMPLE = 20_000
_FILES = ("demo.png", "palettes.png", "map.brenier", "summary.json")
# Steps of the network: the soft clusters of colours want one, and bend no more after these.
_STEPS = 600


def run_demo(
    out: Path, seed: int, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, str]]:
    """Fit on samples of pixels, transport every pixel both ways, draw; the result and its rows."""
    from sklearn.datasets import load_sample_image

    from brenier.flows import SemiDual

    started = time.perf_counter()
    check_output_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    source, target = (load_sample_image(f"{name}.jpg") / 255.0 for name in ("china", "flower"))
    x, y = source.reshape(-1, 3), target.reshape(-1, 3)
    random = np.random.default_rng(seed)
    sample_x, sample_y = (
        pixels[random.choice(len(pixels), _SAMPLE, replace=False)] for pixels in (x, y)
    )

    settings = Settings("auto", "keep", seed)
    files = ("china.jpg", "flower.jpg")
    method = SemiDual(steps=_STEPS)
    fit = fitted(sample_x, sample_y, settings, progress, files=files, method=method)
    map = fit.estimator.solution_.checked(throw=True).map
    forth = transport_colours(map, x, progress, "transporting every pixel")
    back = transport_colours(map.inverse(), y, progress, "and back")

    progress(Progress(0, 0, "measuring"))
    measured = measure(x, forth, y, seed)
    progress(Progress(0, 0, "drawing"))
    pictures = picture_figure(
        [
            ("Source", source),
            ("Target", target),
            ("Source, transported", forth.reshape(source.shape)),
            ("Target, transported back", back.reshape(target.shape)),
        ]
    )
    palettes = palette_figure(
        [
            ("Source", x),
            ("Source, transported", forth),
            ("Target", y),
            ("Target, transported back", back),
        ]
    )
    written = [out / name for name in _FILES]
    picture_file, palette_file, map_file, summary_file = written
    _write(picture_file, png_bytes(pictures))
    _write(palette_file, png_bytes(palettes))
    save(map_file, map, names=("red", "green", "blue"), about=fit.about())
    seconds = time.perf_counter() - started
    result = {
        **measured,
        "seconds": seconds,
        "seed": seed,
        **fit.result(),
        "pixels": len(x) + len(y),
        "files": [str(path) for path in written],
    }
    _write(summary_file, json_text(result).encode() + b"\n")
    rows = {
        "pixels transported": f"{len(x):,} and {len(y):,} back",
        "kind of map": fit.candidates.sentence,
        **measure_rows(measured),
        "seconds": f"{seconds:.1f}",
        "written": "\n".join(str(path) for path in written),
    }
    return result, rows


def _write(path: Path, data: bytes) -> None:
    with atomic_write(path) as handle:
        handle.write(data)
