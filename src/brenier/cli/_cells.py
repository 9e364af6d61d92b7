"""``brenier fit``, ``transport`` and ``audit`` on single cells: AnnData in ``.h5ad`` files."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.cli._cell_choice import Choice, is_cells_file, rows_of_choice, weights_of_cells
from brenier.cli._fit import Fit, Settings, fitted, left_out_rows, reported
from brenier.cli._growth import (
    NO_FILES,
    GrowthFiles,
    growth_rows,
    growth_told,
    weights_rows,
    weights_told,
)
from brenier.cli._transport import load_map, measure, measure_rows, transport_points
from brenier.io import MAP_ENDINGS, Cells, cells_of, check_folder, read_cells, read_manifest
from brenier.maps import AbstractMap, SubspaceMap

# Bytes of a file past which its cells are read block after block.
_IN_MEMORY = 2**30


def run_fit_cells(
    source: str,
    target: str | None,
    out: str,
    settings: Settings,
    choice: Choice,
    progress: ProgressCallback,
    report: str | None = None,
    weights: tuple[str | None, str | None] = (None, None),
    *,
    growth: GrowthFiles = NO_FILES,
) -> tuple[dict[str, Any], dict[str, str], Fit]:
    """Fit a map between two groups of cells; the result, its rows for people, and the fit.

    A page is written to ``report`` where one is given, of components where it was learned there.
    ``weights`` are columns of ``obs``; ``growth`` says where the growth goes.
    """
    started = time.perf_counter()
    check_folder(out, MAP_ENDINGS)
    x, y = groups_of_cells(source, target, choice)
    masses = weights_of_cells(source, target, choice, weights)
    growth.check_free((source, target or source))
    files, components = (x.label, y.label), choice.components
    fit = fitted(
        x, y, settings, progress, files=files, components=components, out=out, weights=masses
    )
    solution = fit.estimator.solution_
    map = solution.map
    about = {
        "source": {"file": source, "value": choice.source},
        "target": {"file": target or source, "value": choice.target},
        "condition": choice.condition,
        "layer": choice.layer,
        "obsm": choice.obsm,
        "seed": settings.seed,
        **fit.about(),
    }
    fit.save(out, names=x.names, about=about)
    solution.checked(throw=True)  # after saving: the best map seen is worth keeping
    growth.write_cells(fit, (source, target or source), choice)
    inner, (u, v) = _seen(map, x, y)
    progress(Progress(0, 0, "measuring"))
    kept_u, kept_v = fit.kept(u, v)
    moved, given = transport_points(inner, kept_u, progress), fit.kept_weights(masses)
    grown = fit.kept_weights(fit.grown_weights(masses))
    measured = measure(kept_u, moved, kept_v, settings.seed, grown)
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "class": type(map).__name__,
        "dimension": map.dimension,
        "components": inner.dimension,
        "source_cells": len(u),
        "target_cells": len(v),
        "layer": choice.layer,
        "obsm": choice.obsm,
        "seed": settings.seed,
        "result": solution.result.name,
        **weights_told(weights, fit.estimator.n_effective_),
        **growth_told(fit),
        **fit.result(),
        **measured,
        "seconds": seconds,
    }
    where = f" in {inner.dimension} principal components" * (inner is not map)
    rows = {
        "source": f"{len(u):,} cells of {x.label}, {map.dimension:,} columns",
        "target": f"{len(v):,} cells of {y.label}",
        **weights_rows(weights, fit.estimator.n_effective_),
        **growth_rows(fit),
        **left_out_rows(files, fit.left_out),
        "kind of map": fit.candidates.sentence,
        **{f"{name}{where}": value for name, value in measure_rows(measured).items()},
        "seconds": f"{seconds:.1f}",
        "map": out,
        **growth.told(),
    }
    if report is not None:
        names = x.names if inner is map else [f"component {i}" for i in range(inner.dimension)]
        seen = (kept_u, kept_v)
        reported(report, fit, settings, seen, names, result, rows, progress, weights=given)
    return result, rows, fit


def audited_cells(
    map_file: str, source: str, target: str | None, choice: Choice
) -> tuple[AbstractMap, list[np.ndarray]]:
    """The map and the clouds that an audit looks at: in components where it was learned there."""
    map, names = load_map(map_file)
    choice = as_fitted(map_file, choice)
    groups = [part.aligned(names, map_file) for part in _audited(source, target, choice)]
    for part in groups:
        if part.values.shape[1] != map.dimension:
            raise ValueError(
                f"{part.label}: got dimension {part.values.shape[1]}; wants dimension "
                f"{map.dimension}, that of {map_file}."
            )
    inner, clouds = _seen(map, *groups)
    return inner, clouds


def clouds_of_cells(
    source: str, target: str | None, choice: Choice
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The clouds that an audit of anyone's map looks at, and the names of their columns."""
    groups = _audited(source, target, choice)
    return [rows_of_cells(group.in_memory().values) for group in groups], groups[0].names


def _audited(source: str, target: str | None, choice: Choice) -> tuple[Cells, ...]:
    """Source cells, and target cells where they are asked for."""
    if target is None and choice.target is None:
        return (group_of_cells(source, choice),)
    return groups_of_cells(source, target, choice)


def groups_of_cells(source: str, target: str | None, choice: Choice) -> tuple[Cells, Cells]:
    """Source and target cells: two values of a column of one file, or of two files."""
    choice.check_condition()
    if target is None and (
        choice.condition is None or choice.source is None or choice.target is None
    ):
        raise ValueError(
            f"{source}: got one file of cells and {choice.given() or 'no options'}; "
            "wants --condition COLUMN --source VALUE --target VALUE, or two files."
        )
    if target is not None and not is_cells_file(target):
        raise ValueError(f"{target}: got a table beside the cells of {source}; wants .h5ad.")
    x = group_of_cells(source, choice)
    y = group_of_cells(target or source, dataclasses.replace(choice, source=choice.target))
    return x, y.aligned(x.names, x.label)


def group_of_cells(path: str, choice: Choice) -> Cells:
    """The source cells of a choice."""
    value = choice.source
    cells = read_cells(path, backed=Path(path).is_file() and os.path.getsize(path) > _IN_MEMORY)
    rows = rows_of_choice(cells, path, choice.condition, value)
    label = path if value is None else f"{path} ({choice.condition} {value})"
    return cells_of(cells, label, choice.layer, choice.obsm, rows)


def as_fitted(map_file: str, choice: Choice) -> Choice:
    """The layer or embedding that the map was fitted on, where none is asked for."""
    about = read_manifest(map_file).get("about") or {}
    if choice.layer is not None or choice.obsm is not None:
        return choice
    return dataclasses.replace(choice, layer=about.get("layer"), obsm=about.get("obsm"))


def _seen(map: AbstractMap, *groups: Cells) -> tuple[AbstractMap, list[np.ndarray]]:
    if isinstance(map, SubspaceMap):
        parts = [[map.coordinates(block) for block in group.blocks()] for group in groups]
        return map.map, [np.concatenate(part) for part in parts]
    return map, [rows_of_cells(group.in_memory().values) for group in groups]


def rows_of_cells(values: Any) -> np.ndarray:
    """Cells in memory as rows of an array."""
    return values if isinstance(values, np.ndarray) else values.toarray()
