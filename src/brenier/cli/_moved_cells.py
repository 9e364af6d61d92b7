"""``brenier transport`` and ``follow`` on single cells: what moves goes beside what was there."""

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._version import __version__
from brenier.cli._cell_choice import Choice, obs_columns, rows_of_choice
from brenier.cli._cells import as_fitted, rows_of_cells
from brenier.cli._given_rows import grouped_by, load_given, told_columns
from brenier.cli._transport import load_map, mean_cost, transport_points
from brenier.io import (
    Cells,
    cells_of,
    check_cells_output,
    check_name,
    obs_column,
    read_cells,
    read_manifest,
    write_cells,
)
from brenier.maps import AbstractMap, ConditionalMap, SubspaceMap

_INTO = "transported"

# From cells, and the obs of the same cells, to their images and the mean cost.
Mover: TypeAlias = Callable[[Cells, Any], tuple[np.ndarray, float]]


def run_transport_cells(
    map_file: str,
    new: str,
    out: str,
    inverse: bool,
    choice: Choice,
    progress: ProgressCallback,
    given: Sequence[str] = (),
) -> tuple[dict[str, Any], dict[str, str]]:
    """Move cells by a saved map into a new layer or embedding of a copy of their file.

    Where columns of obs are ``given``, each cell by the map of its condition.
    """
    started = time.perf_counter()
    check_cells_output(out)
    map, names = load_given(map_file, given) if given else load_map(map_file)
    choice = as_fitted(map_file, choice)
    choice.check_condition()
    cells = read_cells(new)
    rows = rows_of_choice(cells, new, choice.condition, choice.source)

    def mover(points: Cells, obs: Any) -> tuple[np.ndarray, float]:
        if not isinstance(map, ConditionalMap):
            return _moved(map.inverse() if inverse else map, points, progress)
        told = told_columns(given, obs_columns(obs, new, given, "--given"))
        return _moved_given(map, points, grouped_by(map, told, len(obs)), inverse, progress)

    about = {"inverse": inverse, "condition": choice.condition or "", "value": choice.source or ""}
    wanted = (map_file, names, map.dimension)
    result, said = _written(cells, new, rows, out, choice, wanted, mover, about)
    seconds = time.perf_counter() - started
    result |= {"inverse": inverse, "seconds": seconds}
    said |= {
        "direction": "target to source" if inverse else "source to target",
        "seconds": f"{seconds:.1f}",
        "file": out,
    }
    return result, said


def run_follow_cells(
    series_file: str,
    new: str,
    out: str,
    times: tuple[float, float],
    column: str | None,
    choice: Choice,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Move cells of one time to another along a saved series, into a new layer of a copy.

    Where a ``column`` of obs holds the time, those whose it is; all cells where None.
    """
    from brenier.estimators import TimeSeries

    started = time.perf_counter()
    check_cells_output(out)
    series = TimeSeries.load(series_file)
    cells = read_cells(new)
    rows = None if column is None else _of_time(cells, new, column, times[0])
    progress(Progress(0, 0, "transporting"))

    def mover(points: Cells, obs: Any) -> tuple[np.ndarray, float]:
        x = rows_of_cells(points.values)
        moved = series.transform(x, *times)
        return moved, mean_cost(x, moved)

    about = {"from_time": times[0], "to_time": times[1]}
    names = read_manifest(series_file)["names"]
    wanted = (series_file, names, series.n_features_in_)
    result, said = _written(cells, new, rows, out, choice, wanted, mover, about)
    seconds = time.perf_counter() - started
    result |= {"from": times[0], "to": times[1], "seconds": seconds}
    said |= {"time": f"{times[0]:g} to {times[1]:g}", "seconds": f"{seconds:.1f}", "file": out}
    return result, said


def _written(
    cells: Any,
    new: str,
    rows: np.ndarray | None,
    out: str,
    choice: Choice,
    wanted: tuple[str, Sequence[str] | None, int],
    mover: Mover,
    about: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write a copy of those rows with their images beside them; what is told of it.

    Args:
        cells: what the file ``new`` holds.
        new: see there.
        rows: that are moved; all where None.
        out: the file to write.
        choice: of the layer, or embedding, and of where the result goes.
        wanted: the file of what moves, its columns and its dimension.
        mover: see there.
        about: what ``uns`` says of it, beside the files.
    """
    map_file, names, dimension = wanted
    into = choice.into
    if into is None:
        into = _INTO if choice.obsm is None else f"{choice.obsm}_{_INTO}"
    check_name("--into", into)
    import pandas as pd  # which anndata has brought

    earlier = cells.uns.get("brenier", {})
    if not isinstance(earlier, dict):
        raise ValueError(
            f"{new}: got {type(earlier).__name__} as uns['brenier'], where brenier notes what it "
            "did; wants a dict, or another name for it."
        )
    kind = "layers" if choice.obsm is None else "obsm"
    if into in getattr(cells, kind):
        raise ValueError(
            f"{new}: got {kind}[{into!r}] already, which the result would replace; wants another "
            "name (--into)."
        )
    points = cells_of(cells, new, choice.layer, choice.obsm, rows).aligned(names, map_file)
    if points.values.shape[1] != dimension:
        raise ValueError(
            f"{new}: got dimension {points.values.shape[1]}; wants dimension "
            f"{dimension}, that of {map_file}."
        )
    kept = cells if rows is None else cells[rows]
    moved, cost = mover(points, kept.obs)
    kept = (
        kept
        if choice.obsm is not None or points.names == tuple(cells.var_names)
        else kept[:, list(points.names)]
    ).copy()
    is_named = choice.obsm is not None and not points.is_unnamed
    getattr(kept, kind)[into] = (
        pd.DataFrame(moved, kept.obs_names, list(points.names)) if is_named else moved
    )
    provenance = {
        "map": map_file,
        "map_sha256": hashlib.sha256(Path(map_file).read_bytes()).hexdigest(),
        "brenier_version": __version__,
        "from": choice.obsm or choice.layer or "X",
        "file": new,
        **about,
    }
    kept.uns["brenier"] = {**earlier, into: provenance}
    write_cells(out, kept)
    left_out = cells.n_vars - kept.n_vars
    result = {
        "file": out,
        "cells": len(moved),
        "dimension": dimension,
        "into": into,
        "left_out": left_out,
        "cost": cost,
    }
    said = {
        "cells": f"{len(moved):,} of {cells.n_obs:,}, {dimension:,} columns",
        "mean squared displacement": f"{cost:.6g}",
        "into": f"{kind}[{into!r}]",
        "genes left out": f"{left_out:,}, which the map does not know",
    }
    return result, said


def _of_time(cells: Any, path: str, column: str, time: float) -> np.ndarray:
    """The rows of cells of one time."""
    held = obs_column(cells, path, column)
    try:
        rows = np.flatnonzero(held.astype(np.float64) == time)
    except (TypeError, ValueError):
        raise ValueError(
            f"--times: got {column!r}, a column of obs in {path} that holds no numbers; wants the "
            "time of each cell."
        ) from None
    if not rows.size:
        raise ValueError(f"{path}: got no cell whose {column!r} is {time:g}; wants some (--from).")
    return rows


def _moved(map: AbstractMap, points: Cells, progress: ProgressCallback) -> tuple[np.ndarray, float]:
    if not isinstance(map, SubspaceMap):
        x = rows_of_cells(points.values)
        moved = transport_points(map, x, progress)
        return moved, mean_cost(x, moved)
    u = map.coordinates(points.values)
    moved_u = transport_points(map.map, u, progress)
    # Across the components every point moves by the same shift.
    cost = mean_cost(u, moved_u) + float(np.sum(np.square(map.shift)))
    return map.of_rows(points.values, moved_u), cost


def _moved_given(
    map: ConditionalMap,
    points: Cells,
    grouped: Mapping[tuple[str | float, ...], np.ndarray],
    inverse: bool,
    progress: ProgressCallback,
) -> tuple[np.ndarray, float]:
    """Each cell by the map of its condition; the images, and the mean cost."""
    moved, total = np.empty(points.values.shape, points.values.dtype), 0.0
    for one, rows in zip(map.each(grouped), grouped.values(), strict=True):
        part = dataclasses.replace(points, values=points.values[rows])
        moved[rows], cost = _moved(one.inverse() if inverse else one, part, progress)
        total += cost * len(rows)
    return moved, total / len(moved)
