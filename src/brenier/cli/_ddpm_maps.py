"""``brenier ddpm encode | decode | pair | labels``."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from brenier._checks import check_points
from brenier._extras import check_installed
from brenier._progress import ProgressCallback
from brenier.cli._ddpm_choices import LabelChoice, MapChoice
from brenier.cli._ddpm_controls import LEAST, alignments, controlled
from brenier.cli._transport import transport_points
from brenier.images import ImageModel
from brenier.io import atomic_write, check_folder, load_model, read_points
from brenier.report import image_grid_figure, png_bytes

# Images encoded at a time, on each accelerator: enough for all cores, few enough for the progress
# bar to move; and of large images, few enough for the activations of a network (a gigabyte for each
# image of 256 x 256, where it is as wide as ADM's).
_BLOCK = 64
_PIXELS, _PIXELS_ELSEWHERE = 2**16, 2**19
# The least tolerance that float32 can keep.
_SINGLE = 1e-4
# Columns of a grid whose rows wrap, and the most rows, or columns, that a picture can show.
_COLUMNS, _MOST = 12, 100


def run_decode(
    folder: Path,
    codes: Path | None,
    out: Path,
    n: int,
    maps: MapChoice,
    label: int | None,
    seed: int,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the images of codes; the result, and its rows for people."""
    started = time.perf_counter()
    check_array_file(out, ".png")
    model = load_model(folder).with_label(label)
    if codes is None:
        z = random_codes(model, n, seed)
    else:
        held = read_points(codes).values
        paired = maps.sampler == "bdia" and held.shape[-1] == 2 * model.dimension
        z = check_points(str(codes), held, dimension=model.dimension * (2 if paired else 1))
    if out.suffix == ".png":
        _check_count("-n" if codes is None else str(codes), len(z), _COLUMNS * _MOST)
    images = model.images(decoded(model, z, maps, progress))
    if out.suffix == ".png":
        columns = min(_COLUMNS, len(images))
        # The last row is filled up with white images.
        missing = np.ones((-len(images) % columns, *model.shape), images.dtype)
        rows_of = np.concatenate([images, missing]).reshape(-1, columns, *model.shape)
        write_grid(out, [("", row) for row in rows_of])
    else:
        with atomic_write(out) as handle:
            np.save(handle, images, allow_pickle=False)
    seconds = time.perf_counter() - started
    result = {
        "file": str(out),
        "images": len(images),
        "method": maps.name(model),
        "precision": maps.precision,
        "seed": seed,
        "seconds": seconds,
    }
    rows = {
        "images": f"{len(images):,}",
        "method": maps.name(model),
        "seconds": f"{seconds:.1f}",
        "file": str(out),
    }
    return result, rows


def run_pair(
    folders: Sequence[Path],
    out: Path,
    n: int,
    maps: MapChoice,
    label: int | None,
    seed: int,
    controls: bool,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Draw the same codes decoded by several models (KRCO22, Figure 4).

    Those that have classes are conditioned on the label.
    """
    if len(folders) < 2:
        raise ValueError(f"MODELS: got {len(folders)}; wants two model folders or more.")
    check_array_file(out, ".png", only=True)
    _check_count("-n", n, _MOST)
    models = [load_model(folder) for folder in folders]
    if label is not None and not any(model.classes for model in models):
        raise ValueError(f"--label: got {label}; wants none: no model has classes.")
    models = [model.with_label(label) if model.classes else model for model in models]
    for folder, model in zip(folders, models, strict=True):
        if model.shape != models[0].shape:
            raise ValueError(
                f"{folder}: got images of shape {model.shape}; wants "
                f"{models[0].shape}, those of {folders[0]}."
            )
    names = [folder.name for folder in folders]
    named = list(zip(names, models, strict=True))
    return _drawn(out, named, random_codes(models[0], n, seed), maps, seed, controls, progress)


def run_labels(
    folder: Path,
    out: Path,
    choice: LabelChoice,
    n: int,
    maps: MapChoice,
    seed: int,
    controls: bool,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Draw the same codes decoded under several labels (KRCO22, Figure 5)."""
    check_array_file(out, ".png", only=True)
    _check_count("-n", n, _MOST)
    model = load_model(folder)
    wanted = [(name, model.with_label(label)) for name, label in choice.named(model.classes)]
    _check_count("--labels", len(wanted), _MOST)
    return _drawn(out, wanted, random_codes(model, n, seed), maps, seed, controls, progress)


def encoded(
    model: ImageModel,
    x: np.ndarray,
    maps: MapChoice,
    progress: ProgressCallback,
    stage: str = "encoding",
) -> np.ndarray:
    """Codes of points, in the precision that the choice of the map needs."""
    model = maps.model(model)
    if maps.sampler == "bdia":
        pairs = model.bdia_encoder(maps.steps)
        x = np.asarray(pairs.paired(x))
        return transport_points(pairs, x, progress, stage, most=block_rows(model))
    if maps.steps:
        return transport_points(
            model.ddim_encoder(maps.steps), x, progress, stage, most=block_rows(model)
        )
    flow = model.encoder(tolerance=maps.tolerance)
    return transport_points(flow, _precise(x, maps), progress, stage, most=block_rows(model))


def decoded(
    model: ImageModel,
    codes: np.ndarray,
    maps: MapChoice,
    progress: ProgressCallback,
    stage: str = "decoding",
) -> np.ndarray:
    """Points of codes, as ``encoded``; of pairs of them where it made pairs."""
    model = maps.model(model)
    if maps.sampler == "bdia":
        pairs = model.bdia_encoder(maps.steps).inverse()
        if codes.shape[1] == model.dimension:
            codes = np.asarray(pairs.paired(codes))
        return transport_points(pairs, codes, progress, stage, most=block_rows(model))[
            :, : model.dimension
        ]
    if maps.steps:
        z = codes.astype(np.float32)
        return transport_points(
            model.ddim_decoder(maps.steps), z, progress, stage, most=block_rows(model)
        )
    flow = model.encoder(tolerance=maps.tolerance).inverse()
    return transport_points(flow, _precise(codes, maps), progress, stage, most=block_rows(model))


def block_rows(model: ImageModel) -> int:
    """Images of a model that are encoded, or decoded, in one block."""
    on_cpu = jax.default_backend() == "cpu"
    pixels = _PIXELS if on_cpu else _PIXELS_ELSEWHERE
    rows = min(_BLOCK, max(1, pixels // (model.shape[0] * model.shape[1])))
    return rows * (1 if on_cpu else jax.local_device_count())


def round_trip(x: np.ndarray, back: np.ndarray) -> float:
    """The largest ‖D(E(x)) − x‖ / ‖x‖ over images."""
    return float(np.max(np.linalg.norm(back - x, axis=1) / np.linalg.norm(x, axis=1)))


def random_codes(model: ImageModel, n: int, seed: int) -> np.ndarray:
    """n codes from N(0, I), the same for every model of one dimension."""
    drawn = jax.random.normal(jax.random.key(seed), (n, model.dimension), np.float32)
    return np.asarray(drawn)


def check_array_file(path: Path, *others: str, only: bool = False) -> None:
    """Raise, before any work, where no array can be written: .npy, or one of the other endings.

    With ``only``, .npy is not among them.

    Raises:
        ValueError: another ending, or a folder that does not exist.
    """
    endings = others if only else (".npy", *others)
    if path.suffix not in endings:
        raise ValueError(f"{path}: got the ending {path.suffix!r}; wants {' or '.join(endings)}.")
    if path.suffix == ".png":
        check_installed(str(path), "matplotlib")
    check_folder(path)


def _check_count(name: str, n: int, most: int) -> None:
    """Raise, before any work, for more images than a picture can show."""
    if n > most:
        raise ValueError(
            f"{name}: got {n} images; wants at most {most} in a picture (decode to "
            ".npy takes any number)."
        )


def write_grid(path: Path, rows: Sequence[tuple[str, np.ndarray]]) -> None:
    """Rows of images as one picture."""
    with atomic_write(path) as handle:
        handle.write(png_bytes(image_grid_figure(rows)))


def _drawn(
    out: Path,
    named: Sequence[tuple[str, ImageModel]],
    codes: np.ndarray,
    maps: MapChoice,
    seed: int,
    controls: bool,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Draw the codes decoded by every model, a row each, and compare rows with their controls."""
    started = time.perf_counter()
    points = [(name, decoded(model, codes, maps, progress, name)) for name, model in named]
    wrong: list[np.ndarray | None] = [None] * len(named)
    if controls and len(codes) >= LEAST:
        # Of every two the second is controlled, so the first of all never is.
        for i, (name, model) in enumerate(named[1:], 1):
            wrong[i] = controlled(decoded, model, codes, maps, progress, name)
    found, said = alignments(points, wrong, seed)
    pictures = [
        (name, model.images(own)) for (name, own), (_, model) in zip(points, named, strict=True)
    ]
    write_grid(out, pictures)
    seconds = time.perf_counter() - started
    names, method = [name for name, _ in named], maps.name(named[0][1])
    result = {
        "file": str(out),
        "rows": names,
        "codes": len(codes),
        "method": method,
        "alignment": found,
        "seed": seed,
        "seconds": seconds,
    }
    return result, {
        "rows": ", ".join(names),
        "columns": f"{len(codes)} codes",
        "method": method,
        **said,
        "seconds": f"{seconds:.1f}",
        "file": str(out),
    }


def _precise(x: np.ndarray, maps: MapChoice) -> np.ndarray:
    return x.astype(np.float32 if maps.tolerance >= _SINGLE else np.float64)
