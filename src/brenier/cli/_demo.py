"""``brenier demo``: colour transfer between the two photos that scikit-learn ships."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from brenier._extras import check_installed
from brenier._json import json_text
from brenier._progress import Progress, ProgressCallback
from brenier.cli._fit import Settings, fitted
from brenier.cli._transport import measure, measure_rows, transport_colours
from brenier.io import check_output_folder, save, write_whole
from brenier.report import palette_figure, picture_figure, png_bytes

# Of 273,280 pixels: a map of R^3 learns little from more.
_SAMPLE = 20_000
_FILES = ("demo.png", "palettes.png", "map.brenier", "summary.json")
# Steps of the network: the soft clusters of colours want one, and bend no more after these.
_STEPS = 600
# Pixels across a window in which colours move alike: five blocks of a JPEG; and the variance of a
# colour in it that is an edge.
_WINDOW, _EDGE = 41, 0.01


def run_demo(
    out: Path, seed: int, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, str]]:
    """Fit on samples of pixels, transport every pixel both ways, draw; the result and its rows."""
    from sklearn.datasets import load_sample_image

    from brenier.flows import SemiDual

    started = time.perf_counter()
    check_installed("demo", "matplotlib")
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
            ("Source, transported", _painted(source, forth)),
            ("Target, transported back", _painted(target, back)),
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
    write_whole(picture_file, png_bytes(pictures))
    write_whole(palette_file, png_bytes(palettes))
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
    write_whole(summary_file, json_text(result).encode() + b"\n")
    rows = {
        "pixels transported": f"{len(x):,} and {len(y):,} back",
        "kind of map": fit.candidates.sentence,
        **measure_rows(measured),
        "seconds": f"{seconds:.1f}",
        "written": "\n".join(str(path) for path in written),
    }
    return result, rows


def _painted(picture: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The picture with its pixels moved, where neighbours of like colour move alike.

    A map that spreads a pale sky over many colours shows the blocks that its JPEG is made of, and
    one that sends a flower to the palest colours takes its shades. So what each pixel moves by is
    smoothed within edges of the picture, and the picture keeps its own detail (Rabin, Delon &
    Gousseau 2011).
    """
    shift = moved.reshape(picture.shape) - picture
    return picture + _within_edges(shift, picture)


def _within_edges(values: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """The guided filter: in every window values (h, w, c) are affine in the guide (h, w, 3).

    He, Sun & Tang (2013), eqs. 19 and 20.
    """
    from scipy.ndimage import uniform_filter

    def mean(z: np.ndarray) -> np.ndarray:
        return uniform_filter(z, (_WINDOW, _WINDOW) + (0,) * (z.ndim - 2), mode="reflect")

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (
            mean(a[..., :, None] * b[..., None, :]) - mean(a)[..., :, None] * mean(b)[..., None, :]
        )

    slope = np.linalg.solve(product(guide, guide) + _EDGE * np.eye(3), product(guide, values))
    offset = mean(values) - np.einsum("hwi,hwij->hwj", mean(guide), slope)
    return np.einsum("hwi,hwij->hwj", guide, mean(slope)) + mean(offset)
