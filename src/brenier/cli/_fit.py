"""``brenier fit``, and the fit that other commands share with it."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from brenier._checks import check_points
from brenier._progress import Progress, ProgressCallback
from brenier._row_checks import check_row_weights
from brenier.cli._growth import (
    NO_FILES,
    GrowthFiles,
    growth_rows,
    growth_told,
    weights_rows,
    weights_told,
)
from brenier.cli._stopping import saying_when_stopped
from brenier.cli._transport import measure, measure_rows, transport_table
from brenier.cli._warned import said_of
from brenier.io import (
    MAP_ENDINGS,
    Table,
    check_folder,
    is_stream,
    read_weighted_points,
    save,
    write_whole,
)

if TYPE_CHECKING:
    from brenier.estimators import MongeMap
    from brenier.estimators.candidates import CandidateTable
    from brenier.flows import AbstractMethod


# Of the rows of source and target; None where all are equal.
Weights: TypeAlias = tuple[np.ndarray | None, np.ndarray | None]


@dataclass(frozen=True)
class Settings:
    """What a user may set about a fit.

    Args:
        effort: "quick", "auto", "best" or seconds.
        outliers: "warn", "drop" or "keep".
        seed: of all randomness.
        resume: whether a fit that was interrupted goes on.
        unbalanced: None, the strength τ by which marginals are held, or "cv".
    """

    effort: str | float
    outliers: str
    seed: int
    resume: bool = False
    unbalanced: float | str | None = None

    @classmethod
    def of(
        cls,
        effort: str,
        outliers: str,
        seed: int,
        resume: bool = False,
        unbalanced: float | str | None = None,
    ) -> "Settings":
        """The settings out of what was written behind the options.

        Raises:
            ValueError: an effort that is neither a name nor a number of seconds.

        >>> Settings.of("2.5", "warn", 0).effort
        2.5
        """
        return cls(effort_of(effort), outliers, seed, resume, unbalanced)


@dataclass(frozen=True)
class Fit:
    """A fitted estimator, and what was warned of on the way."""

    estimator: "MongeMap"
    warnings: list[str]

    @property
    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of source and target that were taken out as outliers."""
        found = self.estimator.outliers_
        return found if self.estimator.outliers == "drop" else (found[0][:0], found[1][:0])

    def kept(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source and target without those rows."""
        own, other = self.left_out
        # Not a copy of millions of pixels where there are none.
        return (
            np.delete(x, own, axis=0) if len(own) else x,
            np.delete(y, other, axis=0) if len(other) else y,
        )

    @property
    def penalty(self) -> float | None:
        """τ; None of a balanced map."""
        growth = self.estimator.growth_
        return None if growth is None else growth.penalty

    @property
    def growth(self) -> tuple[np.ndarray, np.ndarray]:
        """Of all rows of source and target, where the map may be unbalanced."""
        source, target = self.estimator.source_growth_, self.estimator.target_growth_
        assert source is not None
        assert target is not None
        return source, target

    def grown_weights(self, weights: Weights) -> Weights:
        """Those of all rows, times their growth."""
        if self.penalty is None:
            return weights
        own, other = (
            growth if given is None else given * growth
            for given, growth in zip(weights, self.growth, strict=True)
        )
        return own, other

    def weights_of(
        self, points: np.ndarray, weights: np.ndarray | None, side: str = "source"
    ) -> np.ndarray | None:
        """Those of points (n, d), times their growth."""
        if self.penalty is None:
            return weights
        growth = self.estimator.growth(points, side=side)
        return growth if weights is None else weights * growth

    def kept_weights(self, weights: Weights) -> Weights:
        """Those of the rows that are left, each side's with sum 1."""
        own, other = (
            None if given is None else np.delete(given, rows) / np.delete(given, rows).sum()
            for given, rows in zip(weights, self.left_out, strict=True)
        )
        return own, other

    @property
    def candidates(self) -> "CandidateTable":
        return self.estimator.candidates_

    def result(self) -> dict[str, Any]:
        """What a JSON object says of the choice."""
        x, y = (rows.tolist() for rows in self.left_out)
        told = {"left_out": {"source": x, "target": y}, "warnings": self.warnings}
        return {**described(self.candidates), **told}

    def about(self) -> dict[str, Any]:
        """What a map file says of the choice."""
        told = {} if self.penalty is None else {"unbalanced": self.penalty}
        return {**told, **described(self.candidates, timed=False)}

    def save(self, out: str, names: Sequence[str] | None, about: dict[str, Any]) -> None:
        """Write the map; what was kept to come back to is then needed no more."""
        from brenier.estimators.candidates import discard_record

        est = self.estimator
        save(out, est.map_, names=names, about=about, growth=est.growth_)
        if est.checkpoint is not None:
            discard_record(est.checkpoint)

    def draw(self, path: str) -> None:
        """A bar for each candidate, written as PNG."""
        from brenier.report import figure_of, plot_candidates, png_bytes

        axes = plot_candidates(self.candidates)
        axes.set_title(f"Kind of map: {self.candidates.sentence}", loc="left", fontsize=11)
        figure = figure_of(axes)
        write_whole(path, png_bytes(figure))


def left_out_rows(
    files: Sequence[str], left_out: Sequence[Sequence[int] | np.ndarray]
) -> dict[str, str]:
    """What people are told of the rows left out of files; nothing where there are none."""
    told = [
        f"{len(rows)} of {file} (first: row {rows[0]})"
        for file, rows in zip(files, left_out, strict=True)
        if len(rows)
    ]
    return {"rows left out": ", ".join(told)} if told else {}


def described(candidates: "CandidateTable", *, timed: bool = True) -> dict[str, Any]:
    """The kind of map and what it was chosen from; without seconds, equal fits give equal bytes."""
    rows = candidates.to_list()
    if not timed:
        for row in rows:
            del row["seconds"]
    return {"kind": candidates.chosen.name, "sentence": candidates.sentence, "candidates": rows}


def fitted(
    source: Any,
    target: Any,
    settings: Settings,
    progress: ProgressCallback,
    *,
    files: tuple[str, str],
    components: int | None = None,
    method: "AbstractMethod | None" = None,
    candidates: Sequence[str] | None = None,
    out: str | None = None,
    weights: Weights = (None, None),
) -> Fit:
    """A fit between points or cells; how it ended stands in the estimator's ``solution_``.

    ``files`` are what warnings call the two; ``out`` is the map file to come, beside which what was
    tried is kept meanwhile; ``weights`` are those of the rows.
    """
    from sklearn.exceptions import ConvergenceWarning

    from brenier.estimators import MongeMap

    progress(Progress(0, 0, "fitting"))
    estimator = MongeMap(
        effort=settings.effort,
        outliers=settings.outliers,
        random_state=settings.seed,
        callback=lambda now: progress(now._replace(stage="fitting")),
        components=components,
        method=method,
        candidates=candidates,
        unbalanced=settings.unbalanced,
        checkpoint=None if out is None else checkpoint_of(out, settings.resume),
    )
    kept = saying_when_stopped(lambda: kept_where(estimator.checkpoint))
    with said_of(*files) as said, kept:
        # The caller looks at the solution.
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(source, target, *weights)
    return Fit(estimator, said)


def checkpoint_of(out: str, resume: bool) -> str | None:
    """The folder where a fit is kept until it is done, as it should be found at the start."""
    from brenier.estimators.candidates import discard_record

    if is_stream(out):
        return None
    folder = f"{out}.checkpoint"
    if not resume:
        discard_record(folder)
    elif not os.path.isdir(folder):
        raise ValueError(
            f"--resume: got no {folder}; wants what an interrupted fit of {out} left there."
        )
    return folder


def kept_where(folder: str | os.PathLike[str] | None) -> str:
    """What is said where a fit is interrupted."""
    if folder is None or not os.path.isdir(folder):
        return ""
    return f"What was tried is kept in {folder}: the same command with --resume goes on from there."


def run_fit(
    source: str,
    target: str,
    out: str,
    settings: Settings,
    columns: Sequence[str] | None,
    progress: ProgressCallback,
    report: str | None = None,
    weights: tuple[str | None, str | None] = (None, None),
    *,
    growth: GrowthFiles = NO_FILES,
) -> tuple[dict[str, Any], dict[str, str], Fit]:
    """Fit a map between two files and save it; the result, its rows for people, and the fit.

    A page is written to ``report`` where one is given. ``weights`` are columns of the files;
    ``growth`` says where the growth goes.
    """
    started = time.perf_counter()
    check_folder(out, MAP_ENDINGS)
    first, own = _weighted(source, columns, weights[0], "--source-weights")
    second, other = _weighted(target, columns, weights[1], "--target-weights")
    second, masses = second.aligned(first.names, source), (own, other)
    check_points(source, first, min_points=2, allow_constant=False)
    check_points(
        target, second, dimension=first.values.shape[1], min_points=2, allow_constant=False
    )
    for table in (first, second):
        growth.check_column(table.names or (), table.file)
    fit = fitted(first, second, settings, progress, files=(source, target), out=out, weights=masses)
    solution = fit.estimator.solution_
    map = solution.map
    fit.save(out, names=first.names or second.names, about=fit.about())
    solution.checked(throw=True)  # after saving: the best map seen is worth keeping
    growth.write_tables(fit, (first, second))
    kept_x, kept_y = fit.kept(first.values, second.values)
    moved = transport_table(map, kept_x, first.picture, progress)
    progress(Progress(0, 0, "measuring"))
    grown = fit.kept_weights(fit.grown_weights(masses))
    measured = measure(kept_x, moved, kept_y, settings.seed, grown)
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "class": type(map).__name__,
        "dimension": map.dimension,
        "source_points": len(first.values),
        "target_points": len(second.values),
        "columns": first.names or second.names,
        "seed": settings.seed,
        "result": solution.result.name,
        **weights_told(weights, fit.estimator.n_effective_),
        **growth_told(fit),
        **fit.result(),
        **measured,
        "seconds": seconds,
    }
    rows = {
        "source": f"{source}: {len(first.values):,} points in dimension {map.dimension}",
        "target": f"{target}: {len(second.values):,} points",
        **weights_rows(weights, fit.estimator.n_effective_),
        **growth_rows(fit),
        **left_out_rows((source, target), fit.left_out),
        "kind of map": fit.candidates.sentence,
        **measure_rows(measured),
        "seconds": f"{seconds:.1f}",
        "map": out,
        **growth.told(),
    }
    if report is not None:
        seen = (kept_x, kept_y)
        names = first.names or second.names
        given = fit.kept_weights(masses)
        reported(report, fit, settings, seen, names, result, rows, progress, weights=given)
    return result, rows, fit


def _weighted(
    file: str, columns: Sequence[str] | None, weights: str | None, option: str
) -> tuple[Table, np.ndarray | None]:
    """The points in a file, and the column of their weights, which is none of them."""
    table, own = read_weighted_points(file, columns, weights, option)
    return table, None if own is None else check_row_weights(option, own, len(own))


def reported(
    report: str,
    fit: Fit,
    settings: Settings,
    clouds: tuple[np.ndarray, np.ndarray],
    names: Sequence[str] | None,
    result: dict[str, Any],
    rows: dict[str, str],
    progress: ProgressCallback,
    *,
    weights: Weights = (None, None),
) -> None:
    """Write the page of a fit between two clouds (n, d), and add it to the result and its rows."""
    from brenier.cli._fit_report import held_out, write_report

    found = held_out(fit, settings, *clouds, progress, weights)
    write_report(report, fit, found, rows, names, progress)
    result["held_out"] = None if found is None else found.result()
    result["report"] = rows["report"] = report


def effort_of(text: str) -> str | float:
    """What was written behind ``--effort``.

    Raises:
        ValueError: neither a name nor a number of seconds.
    """
    from brenier.estimators.candidates import EFFORTS

    if text in EFFORTS:
        return text
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise ValueError(
            f"--effort: got {text!r}; wants quick, auto, best or a number of seconds, 0 or more."
        )
    return seconds
