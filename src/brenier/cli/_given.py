"""``fit``, ``transport`` and ``audit`` with ``--given``: a map for every condition."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._row_checks import check_row_weights
from brenier._types import RowWeights
from brenier.cli._cell_choice import Choice, conditions_of_cells, is_cells_file, weights_of_cells
from brenier.cli._cells import group_of_cells, groups_of_cells
from brenier.cli._fit import Settings, checkpoint_of, kept_where
from brenier.cli._given_rows import grouped_by, load_given, told_columns
from brenier.cli._growth import weights_rows, weights_told
from brenier.cli._stopping import saying_when_stopped
from brenier.cli._transport import transport_points, transported
from brenier.cli._warned import said_of
from brenier.io import (
    MAP_ENDINGS,
    Cells,
    Table,
    check_folder,
    check_output,
    read_conditions,
    read_manifest,
    read_weighted_points,
    save,
    write_points,
)
from brenier.maps import ConditionalMap

if TYPE_CHECKING:
    from brenier.estimators.conditional import Column, Told


@dataclasses.dataclass(frozen=True)
class _Group:
    """Points of a file, as the estimator takes them, and what condition each row is of.

    Args:
        points: a table, or cells.
        names: of its columns, where it has any.
        columns: what is given, (n,) each, with the names that the file has for them.
        weights: of the rows, (n,).
    """

    points: Any
    names: Sequence[str] | None
    columns: Sequence["Column"]
    weights: RowWeights = None

    @property
    def rows(self) -> int:
        """n."""
        return len(self.columns[0].values)

    def told(self, map: ConditionalMap) -> "Told":
        """What an audit looks at."""
        from brenier.estimators.conditional import Told

        return Told.of(self._values(map), grouped_by(map, self.columns, self.rows), self.weights)

    def _values(self, map: ConditionalMap) -> Any:
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
        if map.basis is not None or isinstance(values, np.ndarray):
            return values
        return values.toarray()


def run_fit_given(
    source: str,
    target: str | None,
    out: str,
    settings: Settings,
    choice: Choice,
    given: Sequence[str],
    weights: tuple[str | None, str | None],
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Fit a map for every condition, and save them in one file.

    ``weights`` are columns of the files. The result, its rows for people, and warnings.
    """
    from brenier.estimators import ConditionalMongeMap
    from brenier.estimators.candidates import discard_record

    started = time.perf_counter()
    check_folder(out, MAP_ENDINGS)
    x, y = _groups(source, target, choice, given, weights)
    estimator = ConditionalMongeMap(
        effort=settings.effort,
        outliers=settings.outliers,
        random_state=settings.seed,
        callback=lambda now: progress(now._replace(stage=f"fitting, {now.stage}")),
        components=choice.components,
        checkpoint=checkpoint_of(out, settings.resume),
    )
    kept = saying_when_stopped(lambda: kept_where(estimator.checkpoint))
    with said_of(source, target or source) as said, kept:
        estimator.fit(x.points, y.points, x.columns, y.columns, x.weights, y.weights)
    map = estimator.map_
    names = map.covariates.names
    parts = estimator.candidates_.to_list()
    about = {
        "given": list(names),
        "layer": choice.layer,
        "obsm": choice.obsm,
        "seed": settings.seed,
        "parts": [{k: v for k, v in part.items() if v == v} for part in parts],
    }
    save(out, map, names=x.names, about=about)
    if estimator.checkpoint is not None:
        discard_record(estimator.checkpoint)
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "class": type(map).__name__,
        "dimension": map.dimension,
        "source_points": x.rows,
        "target_points": y.rows,
        "given": list(names),
        "conditions": [list(known) for known in map.known],
        "parts": parts,
        "seed": settings.seed,
        **weights_told(weights, estimator.n_effective_),
        "warnings": said,
        "seconds": seconds,
    }
    rows = {
        "source": f"{x.rows:,} points in dimension {map.dimension}",
        "target": f"{y.rows:,} points",
        **weights_rows(weights, estimator.n_effective_),
        "conditions": f"{len(map.known):,} of {', '.join(names)}",
        "made of": _made_of(parts, "weight"),
        "of other conditions": _made_of(parts, "weight_unseen"),
        "seconds": f"{seconds:.1f}",
        "map": out,
    }
    return result, rows, said


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
    own = _of_table(new, given, names, map_file, None)
    table: Table = own.points
    check_output(out, table)
    moved = np.empty_like(table.values)
    grouped = grouped_by(map, own.columns, own.rows)
    for one, rows in zip(map.each(grouped), grouped.values(), strict=True):
        one = one.inverse() if inverse else one
        moved[rows] = transport_points(one, table.values[rows], progress)
    write_points(out, moved, table)
    result, rows_for_people = transported(out, table.values, moved, inverse, started)
    return {**result, "given": list(given)}, rows_for_people


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
        groups = [_group(source, choice, given, settings.weights[0], names, map_file)]
    else:
        groups = list(_groups(source, target, choice, given, settings.weights, names, map_file))
    found = audit_conditions(
        map,
        *(group.told(map) for group in groups),
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
    weights: tuple[str | None, str | None],
    names: Sequence[str] | None = None,
    wanted_by: str = "",
) -> tuple[_Group, _Group]:
    if is_cells_file(source):
        cells = groups_of_cells(source, target, choice)
        masses = weights_of_cells(source, target, choice, weights)
        files = source, target or source
        choices = choice, dataclasses.replace(choice, source=choice.target)
        x, y = (
            _of_cells(own if names is None else own.aligned(names, wanted_by), *told, given)
            for own, told in zip(cells, zip(files, choices, masses, strict=True), strict=True)
        )
        return x, y
    if target is None:
        raise ValueError("TARGET: got no file; wants a file of target points.")
    x = _of_table(source, given, names, wanted_by, weights[0])
    return x, _of_table(target, given, x.names, source, weights[1], "--target-weights")


def _group(
    path: str,
    choice: Choice,
    given: Sequence[str],
    weights: str | None,
    names: Sequence[str] | None,
    wanted_by: str,
) -> _Group:
    if is_cells_file(path):
        cells = group_of_cells(path, choice)
        masses, _ = weights_of_cells(path, None, choice, (weights, None))
        cells = cells if names is None else cells.aligned(names, wanted_by)
        return _of_cells(cells, path, choice, masses, given)
    return _of_table(path, given, names, wanted_by, weights)


def _of_cells(
    cells: Any, path: str, choice: Choice, weights: RowWeights, given: Sequence[str]
) -> _Group:
    columns = conditions_of_cells(path, choice, given)
    return _Group(cells, cells.names, told_columns(given, columns), weights)


def _of_table(
    path: str,
    given: Sequence[str],
    names: Sequence[str] | None,
    wanted_by: str,
    weights: str | None,
    option: str = "--source-weights",
) -> _Group:
    columns, called, others = read_conditions(path, given)
    chosen = [own for own in others if own != weights] if names is None else names
    table, masses = read_weighted_points(Path(path), chosen, weights, option)
    masses = None if masses is None else check_row_weights(option, masses, len(masses))
    table = table.aligned(names, wanted_by)
    told = told_columns(called or given, columns, is_named=called is not None)
    return _Group(table, table.names, told, masses)
