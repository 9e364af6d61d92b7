"""``brenier fit``, ``transport`` and ``audit`` on single cells: AnnData in ``.h5ad`` files."""

import dataclasses
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._version import __version__
from brenier.cli._cell_choice import (
    Choice,
    is_cells_file,
    obs_columns,
    rows_of_choice,
    weights_of_cells,
)
from brenier.cli._fit import (
    Fit,
    Settings,
    fitted,
    left_out_rows,
    reported,
    weights_rows,
    weights_told,
)
from brenier.cli._given_rows import grouped_by, load_given, told_columns
from brenier.cli._transport import load_map, mean_cost, measure, measure_rows, transport_points
from brenier.io import (
    MAP_ENDINGS,
    Cells,
    cells_of,
    check_cells_output,
    check_folder,
    check_name,
    read_cells,
    read_manifest,
    write_cells,
)
from brenier.maps import AbstractMap, ConditionalMap, SubspaceMap

_INTO = "transported"
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
) -> tuple[dict[str, Any], dict[str, str], Fit]:
    """Fit a map between two groups of cells; the result, its rows for people, and the fit.

    A page is written to ``report`` where one is given, of components where it was learned there.
    ``weights`` are columns of ``obs``.
    """
    started = time.perf_counter()
    check_folder(out, MAP_ENDINGS)
    x, y = groups_of_cells(source, target, choice)
    masses = weights_of_cells(source, target, choice, weights)
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
    inner, (u, v) = _seen(map, x, y)
    progress(Progress(0, 0, "measuring"))
    kept_u, kept_v = fit.kept(u, v)
    moved, given = transport_points(inner, kept_u, progress), fit.kept_weights(masses)
    measured = measure(kept_u, moved, kept_v, settings.seed, given)
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
        **fit.result(),
        **measured,
        "seconds": seconds,
    }
    where = f" in {inner.dimension} principal components" * (inner is not map)
    rows = {
        "source": f"{len(u):,} cells of {x.label}, {map.dimension:,} columns",
        "target": f"{len(v):,} cells of {y.label}",
        **weights_rows(weights, fit.estimator.n_effective_),
        **left_out_rows(files, fit.left_out),
        "kind of map": fit.candidates.sentence,
        **{f"{name}{where}": value for name, value in measure_rows(measured).items()},
        "seconds": f"{seconds:.1f}",
        "map": out,
    }
    if report is not None:
        names = x.names if inner is map else [f"component {i}" for i in range(inner.dimension)]
        seen = (kept_u, kept_v)
        reported(report, fit, settings, seen, names, result, rows, progress, weights=given)
    return result, rows, fit


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
    choice = _as_fitted(map_file, choice)
    into = choice.into
    if into is None:
        into = _INTO if choice.obsm is None else f"{choice.obsm}_{_INTO}"
    check_name("--into", into)
    choice.check_condition()
    cells = read_cells(new)
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
    rows = rows_of_choice(cells, new, choice.condition, choice.source)
    points = cells_of(cells, new, choice.layer, choice.obsm, rows).aligned(names, map_file)
    if points.values.shape[1] != map.dimension:
        raise ValueError(
            f"{new}: got dimension {points.values.shape[1]}; wants dimension "
            f"{map.dimension}, that of {map_file}."
        )
    if isinstance(map, ConditionalMap):
        obs = cells.obs if rows is None else cells.obs.iloc[rows]
        told = told_columns(given, obs_columns(obs, new, given, "--given"))
        moved, cost = _moved_given(map, points, grouped_by(map, told), inverse, progress)
    else:
        moved, cost = _moved(map.inverse() if inverse else map, points, progress)
    kept = cells if rows is None else cells[rows]
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
        "inverse": inverse,
        "from": choice.obsm or choice.layer or "X",
        "file": new,
        "condition": choice.condition or "",
        "value": choice.source or "",
    }
    kept.uns["brenier"] = {**earlier, into: provenance}
    write_cells(out, kept)
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "cells": len(moved),
        "dimension": map.dimension,
        "into": into,
        "left_out": cells.n_vars - kept.n_vars,
        "inverse": inverse,
        "cost": cost,
        "seconds": seconds,
    }
    rows_for_people = {
        "cells": f"{len(moved):,} of {cells.n_obs:,}, {map.dimension:,} columns",
        "direction": "target to source" if inverse else "source to target",
        "mean squared displacement": f"{cost:.6g}",
        "into": f"{kind}[{into!r}]",
        "genes left out": f"{cells.n_vars - kept.n_vars:,}, which the map does not know",
        "seconds": f"{seconds:.1f}",
        "file": out,
    }
    return result, rows_for_people


def audited_cells(
    map_file: str, source: str, target: str | None, choice: Choice
) -> tuple[AbstractMap, list[np.ndarray]]:
    """The map and the clouds that an audit looks at: in components where it was learned there."""
    map, names = load_map(map_file)
    choice = _as_fitted(map_file, choice)
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
    return [_array(group.in_memory().values) for group in groups], groups[0].names


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


def _as_fitted(map_file: str, choice: Choice) -> Choice:
    """The layer or embedding that the map was fitted on, where none is asked for."""
    about = read_manifest(map_file).get("about") or {}
    if choice.layer is not None or choice.obsm is not None:
        return choice
    return dataclasses.replace(choice, layer=about.get("layer"), obsm=about.get("obsm"))


def _seen(map: AbstractMap, *groups: Cells) -> tuple[AbstractMap, list[np.ndarray]]:
    if isinstance(map, SubspaceMap):
        parts = [[map.coordinates(block) for block in group.blocks()] for group in groups]
        return map.map, [np.concatenate(part) for part in parts]
    return map, [_array(group.in_memory().values) for group in groups]


def _moved(map: AbstractMap, points: Cells, progress: ProgressCallback) -> tuple[np.ndarray, float]:
    if not isinstance(map, SubspaceMap):
        x = _array(points.values)
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
    for condition, rows in grouped.items():
        one = map.at(condition)
        part = dataclasses.replace(points, values=points.values[rows])
        moved[rows], cost = _moved(one.inverse() if inverse else one, part, progress)
        total += cost * len(rows)
    return moved, total / len(moved)


def _array(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.toarray()
