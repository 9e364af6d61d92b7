"""``brenier labels``: labels of target points for source points, by a saved map."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from brenier._checks import check_points
from brenier._progress import Progress, ProgressCallback
from brenier.cli._cell_choice import Choice, is_cells_file, weights_of_cells
from brenier.cli._cells import audited_cells
from brenier.cli._transport import load_map, transport_points
from brenier.cli._warned import said_of
from brenier.estimators import TransferredLabels, TransitionTable, transfer_labels, transition_table
from brenier.io import (
    check_cells_output,
    check_folder,
    check_name,
    check_words_file,
    load_growth,
    obs_column,
    read_cells,
    read_points,
    read_words,
    rows_of_condition,
    write_cells,
    write_columns,
)
from brenier.maps import SubspaceMap


def run_labels(
    files: tuple[str, str, str | None],
    out: str,
    labels: str,
    source_labels: str | None,
    weights: tuple[str | None, str | None],
    columns: Sequence[str] | None,
    choice: Choice,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Label the source points of (map, source, target); the result, and its rows for people."""
    started = time.perf_counter()
    map_file, source, target = files
    if weights[0] is not None and source_labels is None:
        raise ValueError(
            f"--source-weights: got {weights[0]} without --source-labels; wants both: only what "
            "goes where counts source points."
        )
    into = choice.into or f"transferred_{labels}"
    progress(Progress(0, 0, "reading"))
    if is_cells_file(source):
        check_cells_output(out)
        check_name("--into", into)
        _check_free(source, into)
        map, (x, y) = audited_cells(map_file, source, target, choice)
        masses = weights_of_cells(source, target, choice, weights)
        known = _obs(target or source, choice.condition, choice.target, labels)
        own = source_labels and _obs(source, choice.condition, choice.source, source_labels)
    else:
        if target is None:
            raise ValueError("TARGET: got no file; wants a table of target points.")
        check_words_file(out)
        check_folder(out)
        map, names = load_map(map_file, source)
        beside = names if columns is None else columns  # labels are no coordinates
        told = source_labels or weights[0]
        x, y = (
            check_points(table.file, table.values, dimension=map.dimension)
            for table in (
                read_points(source, beside if told else columns).aligned(names, map_file),
                read_points(target, beside).aligned(names, map_file),
            )
        )
        known = read_words(target, labels)
        own = source_labels and read_words(source, source_labels)
        a, b = (
            None if own is None else read_points(file, [own]).values[:, 0]
            for file, own in zip((source, target), weights, strict=True)
        )
        masses = a, b
    moved = transport_points(map, x, progress)
    progress(Progress(0, 0, "labelling"))
    unbalanced = load_growth(map_file)
    growth: dict[str, np.ndarray] = {}
    if unbalanced is not None:
        seen = map.coordinates if isinstance(map, SubspaceMap) else np.asarray  # it is of those
        growth = {
            "source_growth": unbalanced.source(seen(x)),
            "target_growth": unbalanced.target(seen(y)),
        }
    with said_of(source) as said:
        found = transfer_labels(moved, y, known, masses[1], **growth)
        table = None if own is None else transition_table(moved, y, own, known, *masses, **growth)
    if is_cells_file(source):
        _write_cells(source, out, into, found, choice)
    else:
        write_columns(out, found.columns(into))
    counts = {str(kind): int((found.labels == kind).sum()) for kind in found.classes}
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "points": len(x),
        "labels": counts,
        "column": into,
        "mean_probability": float(found.probability.mean()),
        "table": None if table is None else table.to_dict(),
        **_kept(table),
        "warnings": list(dict.fromkeys(said)),
        "seconds": seconds,
    }
    rows = {
        "points": f"{len(x):,}, by {len(y):,} labelled ones",
        "labels": ", ".join(f"{kind}: {count:,}" for kind, count in counts.items()),
        "mean probability of the label": f"{found.probability.mean():.3f}",
        "columns": ", ".join(found.columns(into)),
        "seconds": f"{seconds:.1f}",
        "file": out,
    }
    kept = _kept(table).get("kept", {})
    for kind, shares in {} if table is None else table.to_dict().items():
        most = sorted(shares.items(), key=lambda pair: -pair[1])[:3]
        left = f" of the {kept[kind]:.0%} kept" if kind in kept else ""
        rows[f"{kind} goes to"] = ", ".join(f"{to} {share:.0%}" for to, share in most) + left
    return result, rows


def _kept(table: TransitionTable | None) -> dict[str, dict[str, float]]:
    """What share of its mass each kind of source points keeps, of an unbalanced map."""
    if table is None or table.kept is None:
        return {}
    return {"kept": dict(zip(map(str, table.sources), map(float, table.kept), strict=True))}


def _obs(path: str, condition: str | None, value: str | None, column: str) -> np.ndarray:
    """A column of obs, of the cells of one group."""
    cells = read_cells(path, backed=True)
    found = obs_column(cells, path, column)
    if condition is None or value is None:
        return found
    return found[rows_of_condition(cells, path, condition, value)]


def _check_free(path: str, into: str) -> None:
    if into in read_cells(path, backed=True).obs.columns:
        raise ValueError(
            f"{path}: got obs[{into!r}] already, which the result would replace; wants another "
            "name (--into)."
        )


def _write_cells(
    source: str, out: str, into: str, found: TransferredLabels, choice: Choice
) -> None:
    cells = read_cells(source)
    if choice.condition is not None and choice.source is not None:
        cells = cells[rows_of_condition(cells, source, choice.condition, choice.source)].copy()
    for name, column in found.columns(into).items():
        cells.obs[name] = column
    write_cells(out, cells)
