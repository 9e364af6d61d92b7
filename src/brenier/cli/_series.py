"""``brenier series`` and ``brenier follow``: maps through snapshots, and points along them."""

import time
from collections.abc import Sequence
from typing import Any

from brenier._checks import check_points
from brenier._progress import Progress, ProgressCallback
from brenier.cli._fit import Settings
from brenier.estimators import MongeMap, TimeSeries
from brenier.io import (
    MAP_ENDINGS,
    check_folder,
    check_output,
    read_cells,
    read_manifest,
    read_points,
    write_points,
)


def run_series(
    snapshots: Sequence[str],
    out: str,
    times: Sequence[float] | str,
    settings: Settings,
    columns: Sequence[str] | None,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Learn the maps between neighbours, and save them; ``times`` may be a column of obs."""
    started = time.perf_counter()
    check_folder(out, MAP_ENDINGS)
    progress(Progress(0, 0, "reading"))
    given: Any = (
        read_cells(snapshots[0])
        if isinstance(times, str)
        else [read_points(snapshot, columns) for snapshot in snapshots]
    )
    own = MongeMap(
        effort=settings.effort,
        outliers=settings.outliers,
        random_state=settings.seed,
        callback=progress,
        unbalanced=settings.unbalanced,
    )
    series = TimeSeries(own).fit(given, times)
    series.save(out)
    kinds = [one.candidates_.sentence for one in series.estimators_]
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "dimension": series.n_features_in_,
        "times": series.times_.tolist(),
        "kinds": kinds,
        "seed": settings.seed,
        "seconds": seconds,
    }
    steps = zip(series.times_[:-1], series.times_[1:], kinds, strict=True)
    rows = {
        **{f"{start:g} to {end:g}": kind for start, end, kind in steps},
        "seconds": f"{seconds:.1f}",
        "series": out,
    }
    return result, rows


def run_follow(
    series_file: str,
    new: str,
    out: str,
    times: tuple[float, float],
    columns: Sequence[str] | None,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Move points of one time to another along a saved series."""
    started = time.perf_counter()
    check_output(out)
    series = TimeSeries.load(series_file)
    progress(Progress(0, 0, "reading"))
    table = read_points(new, columns).aligned(read_manifest(series_file)["names"], series_file)
    points = check_points(new, table.values, dimension=series.n_features_in_)
    check_output(out, table)
    progress(Progress(0, 0, "transporting"))
    write_points(out, series.transform(points, *times), table)
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "points": len(points),
        "dimension": series.n_features_in_,
        "from": times[0],
        "to": times[1],
        "seconds": seconds,
    }
    rows = {
        "points": f"{len(points):,} in dimension {series.n_features_in_}",
        "time": f"{times[0]:g} to {times[1]:g}",
        "seconds": f"{seconds:.1f}",
        "file": out,
    }
    return result, rows
