"""``fit``, ``transport`` and ``audit`` with ``--given``: a map for every condition."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.cli._cell_choice import Choice, conditions_of_cells, is_cells_file
from brenier.cli._cells import groups_of_cells
from brenier.cli._fit import Settings
from brenier.cli._given_rows import grouped_by, load_given
from brenier.cli._transport import mean_cost, transport_points
from brenier.io import (
    MAP_ENDINGS,
    Cells,
    Table,
    check_folder,
    check_output,
    read_labels,
    read_manifest,
    read_points,
    save,
    write_points,
)
from brenier.maps import ConditionalMap


@dataclasses.dataclass(frozen=True)
class _Group:
    """Points of a file, as the estimator takes them, and what condition each row is of.

    Args:
        points: a table, or cells.
        names: of its columns, where it has any.
        conditions: (n, q).
        rows: n.
    """

    points: Any
    names: Sequence[str] | None
    conditions: np.ndarray
    rows: int

    def grouped(self, map: ConditionalMap) -> dict[tuple[str | float, ...], np.ndarray]:
        """The rows of each condition."""
        return grouped_by(map, self.conditions)

    def rows_of(self, map: ConditionalMap) -> Any:
        """The points as rows: an array, or a sparse matrix where the maps are of components."""
        values = (
            self.points.in_memory().values
            if isinstance(self.points, Cells)
            else np.asarray(self.points)
        )
        if values.shape[1] != map.dimension:
            raise ValueError(
                f"--given: got dimension {values.shape[1]}; wants {map.dimension}, of the map."
            )
        return (
            values
            if map.basis is not None or isinstance(values, np.ndarray)
            else (values.toarray())
        )


def run_fit_given(
    source: str,
    target: str | None,
    out: str,
    settings: Settings,
    choice: Choice,
    given: Sequence[str],
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Fit a map for every condition, and save them in one file; the result, its rows for people."""
    from brenier.estimators import ConditionalMongeMap

    started = time.perf_counter()
    check_folder(out, MAP_ENDINGS)
    if settings.effort not in ("quick", "auto"):
        raise ValueError(f"--effort: got {settings.effort}; wants quick or auto beside --given.")
    x, y = _groups(source, target, choice, given)
    estimator = ConditionalMongeMap(
        effort=str(settings.effort),
        random_state=settings.seed,
        callback=lambda now: progress(now._replace(stage=f"fitting, {now.stage}")),
        components=choice.components,
    ).fit(x.points, y.points, x.conditions, y.conditions)
    map = dataclasses.replace(
        estimator.map_,
        covariates=dataclasses.replace(estimator.map_.covariates, names=tuple(given)),
    )
    parts = estimator.candidates_.to_list()
    about = {
        "given": list(given),
        "layer": choice.layer,
        "obsm": choice.obsm,
        "seed": settings.seed,
        "parts": [{k: v for k, v in part.items() if v == v} for part in parts],
    }
    save(out, map, names=x.names, about=about)
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "class": type(map).__name__,
        "dimension": map.dimension,
        "source_points": x.rows,
        "target_points": y.rows,
        "given": list(given),
        "conditions": [list(known) for known in map.known],
        "parts": parts,
        "seed": settings.seed,
        "seconds": seconds,
    }
    rows = {
        "source": f"{x.rows:,} points in dimension {map.dimension}",
        "target": f"{y.rows:,} points",
        "conditions": f"{len(map.known):,} of {', '.join(given)}",
        "made of": _made_of(parts, "weight"),
        "of other conditions": _made_of(parts, "weight_unseen"),
        "seconds": f"{seconds:.1f}",
        "map": out,
    }
    return result, rows


def run_transport_given(
    map_file: str,
    new: str,
    out: str,
    inverse: bool,
    given: Sequence[str],
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Move the points of a table, each by the map of its condition."""
    started = time.perf_counter()
    check_output(out)
    map, names = load_given(map_file, given)
    own = _of_table(new, given, names, map_file)
    table: Table = own.points
    check_output(out, table)
    moved = np.empty_like(table.values)
    for condition, rows in own.grouped(map).items():
        one = map.at(condition)
        one = one.inverse() if inverse else one
        moved[rows] = transport_points(one, table.values[rows], progress)
    write_points(out, moved, table)
    seconds, cost = time.perf_counter() - started, mean_cost(table.values, moved)
    result = {
        "file": out,
        "points": len(moved),
        "dimension": map.dimension,
        "inverse": inverse,
        "given": list(given),
        "cost": cost,
        "seconds": seconds,
    }
    rows_for_people = {
        "points": f"{len(moved):,} in dimension {map.dimension}",
        "direction": "target to source" if inverse else "source to target",
        "mean squared displacement": f"{cost:.6g}",
        "seconds": f"{seconds:.1f}",
        "file": out,
    }
    return result, rows_for_people


def run_audit_given(
    map_file: str | None,
    source: str | None,
    target: str | None,
    choice: Choice,
    given: Sequence[str],
    settings: Any,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """A certificate for each condition; all of them, and a row each for people."""
    from brenier.estimators.conditional import audit_conditions

    if map_file is None or source is None:
        raise ValueError("MAP SOURCE: got one of them missing; wants both beside --given.")
    started = time.perf_counter()
    progress(Progress(0, 0, "auditing"))
    map, names = load_given(map_file, given)
    about = read_manifest(map_file).get("about") or {}
    choice = dataclasses.replace(
        choice, layer=choice.layer or about.get("layer"), obsm=choice.obsm or about.get("obsm")
    )
    if target is None and choice.target is None:
        groups = [_group(source, choice.source, choice, given, names, map_file)]
    else:
        groups = list(_groups(source, target, choice, given, names, map_file))
    sides = [part for group in groups for part in (group.rows_of(map), group.grouped(map))]
    found = audit_conditions(
        map,
        *sides,
        key=jax.random.key(settings.seed),
        level=settings.level,
        budget=settings.budget,
        names=None if groups[0].names is None or map.basis is not None else list(groups[0].names),
    )
    result = {**found.to_dict(), "seconds": time.perf_counter() - started}
    rows = {name: "; ".join(words) for name, *words in found.rows()}
    return result, {**rows, "together": found.summary}


def _made_of(parts: Sequence[dict[str, Any]], key: str) -> str:
    used = [f"{part[key]:.0%} {part['name']}" for part in parts if part[key]]
    return " + ".join(used)


def _groups(
    source: str,
    target: str | None,
    choice: Choice,
    given: Sequence[str],
    names: Sequence[str] | None = None,
    wanted_by: str = "",
) -> tuple[_Group, _Group]:
    if is_cells_file(source):
        cells = groups_of_cells(source, target, choice)
        files = source, target or source
        choices = choice, dataclasses.replace(choice, source=choice.target)
        x, y = (
            _of_cells(own if names is None else own.aligned(names, wanted_by), file, one, given)
            for own, file, one in zip(cells, files, choices, strict=True)
        )
        return x, y
    if target is None:
        raise ValueError("TARGET: got no file; wants a file of target points.")
    x = _of_table(source, given, names, wanted_by)
    return x, _of_table(target, given, x.names, source)


def _group(
    path: str,
    value: str | None,
    choice: Choice,
    given: Sequence[str],
    names: Sequence[str] | None,
    wanted_by: str,
) -> _Group:
    if is_cells_file(path):
        own = dataclasses.replace(choice, target=value)
        cells, _ = groups_of_cells(path, path, own)
        cells = cells if names is None else cells.aligned(names, wanted_by)
        return _of_cells(cells, path, choice, given)
    return _of_table(path, given, names, wanted_by)


def _of_cells(cells: Any, path: str, choice: Choice, given: Sequence[str]) -> _Group:
    conditions = conditions_of_cells(path, choice, given)
    return _Group(cells, cells.names, conditions, len(conditions))


def _of_table(
    path: str, given: Sequence[str], names: Sequence[str] | None, wanted_by: str
) -> _Group:
    labels, others = read_labels(path, given)
    table = read_points(Path(path), others if names is None else names)
    table = table.aligned(names, wanted_by)
    conditions = np.array([label.tolist() for label in labels], dtype=object).T
    return _Group(table, table.names, conditions, len(conditions))
