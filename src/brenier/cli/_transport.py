"""``brenier transport``, and what other commands share with it."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from brenier._checks import check_points
from brenier._progress import Progress, ProgressCallback
from brenier.io import Picture, check_output, load, read_manifest, read_points, write_points
from brenier.maps import AbstractMap, Covariates
from brenier.numerics import energy_distance_squared, in_blocks

# Points moved at a time: enough to keep the cores busy, few enough for the bar to move.
_BLOCK = 2**14
# Colours that are counted: all of 8 bits in three channels.
_MOST_COLOURS = 2**24
# Pixels that are looked at at a time: between two blocks Ctrl-C is heard.
_COUNTED = 2**20
# Points that energy distances look at: their bias, 2 E‖x − x'‖/n, is then 1e-4 of the scale.
_MEASURED = 10_000


def run_transport(
    map_file: str,
    new: str,
    out: str,
    inverse: bool,
    columns: Sequence[str] | None,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Move the points of a file by a saved map; the result, and its rows for people."""
    started = time.perf_counter()
    check_output(out)
    map, names = load_map(map_file, new)
    progress(Progress(0, 0, "reading"))
    table = read_points(new, columns).aligned(names, map_file)
    check_points(new, table.values, dimension=map.dimension)
    check_output(out, table)
    way = map.inverse() if inverse else map
    moved = transport_table(way, table.values, table.picture, progress)
    progress(Progress(0, 0, "writing"))
    write_points(out, moved, table)
    return transported(out, table.values, moved, inverse, started)


def transported(
    out: str, points: np.ndarray, moved: np.ndarray, inverse: bool, started: float
) -> tuple[dict[str, Any], dict[str, str]]:
    """What is told of points (n, d) and their images in a file: the result, its rows for people."""
    count, dimension = moved.shape
    seconds = time.perf_counter() - started
    cost = mean_cost(points, moved)
    result = {
        "file": out,
        "points": count,
        "dimension": dimension,
        "inverse": inverse,
        "cost": cost,
        "seconds": seconds,
    }
    rows = {
        "points": f"{count:,} in dimension {dimension}",
        "direction": "target to source" if inverse else "source to target",
        "mean squared displacement": f"{cost:.6g}",
        "seconds": f"{seconds:.1f}",
        "file": out,
    }
    return result, rows


def load_map(map_file: str, points: str | None = None) -> tuple[AbstractMap, Sequence[str] | None]:
    """The map in a file, and the names of its coordinates; ``points`` is what it is to move.

    Raises:
        ValueError: the file holds no map, or maps of conditions, or the one of points does.
    """
    try:
        return load(map_file, "map"), read_manifest(map_file)["names"]
    except ValueError:
        covariates = _covariates(map_file)
        if covariates is None and (points is None or not _holds_map(points)):
            raise
    if covariates is not None:
        given = ",".join(covariates.own_names or ["COLUMN"])
        raise ValueError(
            f"{map_file}: got a map of every {given}; wants --given {given} beside it, which "
            "transport and audit take, or a map of no conditions."
        )
    raise ValueError(
        f"{points}: got a map where points stand, and {map_file} where the map stands; wants the "
        "map first."
    )


def _covariates(file: str) -> Covariates | None:
    """What the maps in a file are of; None where it holds no maps of conditions."""
    try:
        return load(file, "conditional map").covariates
    except (ValueError, OSError):
        return None


def _holds_map(file: str) -> bool:
    try:
        read_manifest(file)
    except (ValueError, OSError):
        return False
    return True


def transport_points(
    map: AbstractMap,
    points: np.ndarray,
    progress: ProgressCallback,
    label: str = "transporting",
    *,
    most: int = _BLOCK,
) -> np.ndarray:
    """The map at every point, in the dtype of the points; one compilation whatever their number.

    ``most`` points are moved at a time.

    Raises:
        FloatingPointError: a value is NaN or infinite.
    """
    rows = min(most, len(points))
    moved = in_blocks(map, points, rows, progress=progress, stage=label)
    moved = moved.astype(points.dtype, copy=False)
    bad = int((~np.isfinite(moved)).any(axis=1).sum())
    if bad:
        raise FloatingPointError(
            f"the map gave NaN or infinite values at {bad:,} of {len(points):,} points; they may "
            "lie far outside of what it was fitted on."
        )
    return moved


def transport_table(
    map: AbstractMap, values: np.ndarray, picture: Picture | None, progress: ProgressCallback
) -> np.ndarray:
    """``transport_points``, or ``transport_colours`` of a picture, of a table's rows."""
    if picture is None:
        return transport_points(map, values, progress)
    return transport_colours(map, values, progress, levels=picture.levels)


def transport_colours(
    map: AbstractMap,
    colours: np.ndarray,
    progress: ProgressCallback,
    label: str = "transporting",
    *,
    levels: int = 255,
) -> np.ndarray:
    """``transport_points`` for pixels, of which many share a colour: each colour is moved once.

    Colours are multiples of 1/levels; where these are too many to count, pixels are moved.
    """
    channels = colours.shape[1]
    count = (levels + 1) ** channels
    if levels == 1 or count > _MOST_COLOURS:
        return transport_points(map, colours, progress, label)
    units = levels * (levels + 1.0) ** np.arange(channels)
    codes = np.empty(len(colours), np.int32)
    pixel = np.full(count, -1)  # one of each colour
    blocks = [slice(at, at + _COUNTED) for at in range(0, len(colours), _COUNTED)]
    for rows in blocks:
        codes[rows] = np.rint(colours[rows] @ units)
        pixel[codes[rows]] = np.arange(rows.start, rows.start + len(codes[rows]))
    there = np.flatnonzero(pixel >= 0)
    found = transport_points(map, colours[pixel[there]], progress, label)
    place = np.empty(count, np.int32)
    place[there] = np.arange(len(there))
    moved = np.empty((len(colours), found.shape[1]), found.dtype)
    for rows in blocks:
        # Indexing is four times as slow, and any other mode copies.
        np.take(found, place[codes[rows]], axis=0, out=moved[rows], mode="clip")
    return moved


def mean_cost(points: np.ndarray, moved: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The transport cost: mean ‖T(x) − x‖², in blocks of rows; of weights (n,) with sum 1."""
    total = 0.0
    for start in range(0, len(points), _BLOCK):
        rows = slice(start, start + _BLOCK)
        squares = (moved[rows] - points[rows]) ** 2
        if weights is None:
            total += float(np.sum(squares, dtype=np.float64))
        else:
            total += float(weights[rows] @ np.sum(squares, axis=1, dtype=np.float64))
    return total / len(points) if weights is None else total


def measure(
    source: np.ndarray,
    moved: np.ndarray,
    target: np.ndarray,
    seed: int,
    weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> dict[str, float]:
    """Squared energy distance to the target before and after, on random points, and the cost."""
    random, (a, b) = np.random.default_rng(seed), weights
    rows = random.choice(len(source), min(len(source), _MEASURED), replace=False)
    others = random.choice(len(target), min(len(target), _MEASURED), replace=False)
    masses = [
        None if own is None else own[some] / own[some].sum()
        for own, some in ((a, rows), (b, others))
    ]
    y = target[others]
    before, after = (
        float(energy_distance_squared(cloud[rows], y, *masses)) for cloud in (source, moved)
    )
    return {
        "energy_distance_before": before,
        "energy_distance_after": after,
        "cost": mean_cost(source, moved, a),
    }


def measure_rows(measured: dict[str, float]) -> dict[str, str]:
    """The rows of ``measure`` for people."""
    before, after = measured["energy_distance_before"], measured["energy_distance_after"]
    part = before / max(after, 1e-300)
    return {
        "energy distance before, all rows": f"{before:.3g}",
        "energy distance after, all rows": f"{after:.3g}  (1/{part:,.0f} of it)",
        "transport cost, mean ‖T(x) − x‖²": f"{measured['cost']:.4g}",
    }
