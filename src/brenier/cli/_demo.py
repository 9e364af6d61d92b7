"""``brenier demo``: colour transfer between the two photos that scikit-learn ships."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._json import json_text
from brenier._progress import Progress, ProgressCallback
from brenier.cli._fit import Fit, Settings, fitted
from brenier.cli._transport import measure, measure_rows, transport_colours
from brenier.io import atomic_write, save
from brenier.report import Bar, bars_figure, palette_figure, picture_figure, png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of 273,280 pixels: a map of R^3 learns little from more.
_SAMPLE = 20_000
_FILES = ("demo.png", "palettes.png", "candidates.png", "map.brenier", "summary.json")


def run_demo(
    out: Path, settings: Settings, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, str], Fit]:
    """Fit on samples of pixels, transport every pixel both ways, draw; the result and its rows."""
    from sklearn.datasets import load_sample_image

    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    source, target = (load_sample_image(f"{name}.jpg") / 255.0 for name in ("china", "flower"))
    x, y = source.reshape(-1, 3), target.reshape(-1, 3)
    random = np.random.default_rng(settings.seed)
    sample_x, sample_y = (
        pixels[random.choice(len(pixels), _SAMPLE, replace=False)] for pixels in (x, y)
    )

    fit = fitted(sample_x, sample_y, settings, progress, files=("china.jpg", "flower.jpg"))
    map = fit.estimator.solution_.checked(throw=True).map
    forth = transport_colours(map, x, progress, "transporting every pixel")
    back = transport_colours(map.inverse(), y, progress, "and back")

    progress(Progress(0, 0, "measuring"))
    measured = measure(x, forth, y, settings.seed)
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
    files = [out / name for name in _FILES]
    picture_file, palette_file, candidates_file, map_file, summary_file = files
    _write(picture_file, png_bytes(pictures))
    _write(palette_file, png_bytes(palettes))
    _write(candidates_file, png_bytes(_candidates_figure(fit)))
    save(map_file, map, names=("red", "green", "blue"), about=fit.about())
    seconds = time.perf_counter() - started
    result = {
        **measured,
        "seconds": seconds,
        "seed": settings.seed,
        **fit.result(),
        "pixels": len(x) + len(y),
        "files": [str(path) for path in files],
    }
    _write(summary_file, json_text(result).encode() + b"\n")
    rows = {
        "pixels transported": f"{len(x):,} and {len(y):,} back",
        "kind of map": fit.candidates.sentence,
        **measure_rows(measured),
        "seconds": f"{seconds:.1f}",
        "written": "\n".join(str(path) for path in files),
    }
    return result, rows, fit


def _candidates_figure(fit: Fit) -> "Figure":
    table = fit.candidates
    bars = [Bar(row.name, row.summary, table.above(row), row.stderr) for row in table]
    return bars_figure(
        f"Kind of map: {table.sentence}",
        "J on held-out pixels, above the chosen one",
        bars,
        best=table.rows.index(table.chosen),
    )


def _write(path: Path, data: bytes) -> None:
    with atomic_write(path) as handle:
        handle.write(data)
