"""``brenier generate``."""

import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._checks import check_at_least, check_points
from brenier._progress import Progress, ProgressCallback
from brenier.cli._fit import described, left_out_rows
from brenier.cli._warned import said_of
from brenier.io import (
    MAP_ENDINGS,
    Table,
    check_folder,
    check_output,
    read_points,
    save,
    write_points,
)
from brenier.numerics import energy_distance_squared

if TYPE_CHECKING:
    from brenier.estimators import Generator
    from brenier.estimators.candidates import CandidateTable

# Points generated at a time: enough to keep the cores busy, few enough for the bar to move.
_BLOCK = 2**13
# Points that the energy distance looks at.
_MEASURED = 10_000


def run_generate(
    data: str,
    count: int,
    out: str,
    settings: dict[str, Any],
    map_file: str | None,
    columns: Sequence[str] | None,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str], "CandidateTable | None"]:
    """Fit a generator to a file, sample from it.

    The result, its rows for people, and the kinds of maps where several were compared.
    """
    from sklearn.exceptions import ConvergenceWarning

    from brenier.estimators import Generator

    started = time.perf_counter()
    check_at_least("-n", count, 1)
    check_output(out)
    if map_file is not None:
        check_folder(map_file, MAP_ENDINGS)
    table = read_points(data, columns)
    check_points(data, table, min_points=2, allow_constant=False)
    like = Table(table.values, table.file, table.names)
    check_output(out, like)
    estimator = Generator(**settings, callback=progress)
    with said_of(data) as said:
        warnings.simplefilter("ignore", ConvergenceWarning)  # raised below, after the map is saved
        estimator.fit(table)
    dropped = settings["outliers"] == "drop"
    left_out = estimator.outliers_.tolist() if dropped else []
    seed = settings["random_state"]
    made = np.empty((count, table.values.shape[1]), table.values.dtype)
    for i, begin in enumerate(range(0, count, _BLOCK)):
        progress(Progress(begin, count, "generating"))
        size = min(_BLOCK, count - begin)
        stream = np.random.RandomState([seed, i])
        made[begin : begin + size] = np.asarray(estimator.sample(size, random_state=stream))
    candidates = estimator.candidates_
    if map_file is not None:
        about = None if candidates is None else described(candidates, timed=False)
        save(map_file, estimator.map_, names=table.names, about=about)
    estimator.solution_.checked(throw=True)
    if "distillation_" in vars(estimator):
        estimator.distillation_.checked(throw=True)
    write_points(out, made, like)
    progress(Progress(0, 0, "measuring"))
    random = np.random.default_rng(seed)
    kept = np.delete(table.values, left_out, axis=0) if left_out else table.values
    looked = random.choice(kept, min(len(kept), _MEASURED), replace=False)
    distance = float(energy_distance_squared(made[:_MEASURED], looked))
    seconds = time.perf_counter() - started
    result = {
        "file": out,
        "samples": count,
        "dimension": made.shape[1],
        "data_points": len(table.values),
        "columns": table.names,
        "source": estimator.source_name_,
        "epsilon": estimator.epsilon_,
        "map": map_file,
        "map_class": type(estimator.map_).__name__,
        **({"kind": "one-shot"} if candidates is None else described(candidates)),
        "marginal_error": estimator.solution_.stats.get("error"),
        "energy_distance_to_data": distance,
        "left_out": left_out,
        "warnings": said,
        "seed": seed,
        "seconds": seconds,
    }
    if "distillation_" in vars(estimator):
        result["distillation_error"] = estimator.distillation_.stats["relative_error"]
    rows = {
        "data": f"{data}: {len(table.values):,} points in dimension {made.shape[1]}",
        **left_out_rows([data], [left_out]),
        "kind of map": _kind(estimator),
        "samples": f"{count:,}",
        "energy distance to the data": f"{distance:.3g}",
        "seconds": f"{seconds:.1f}",
        "file": out,
    }
    if map_file is not None:
        rows["map"] = map_file
    return result, rows, candidates


def _kind(estimator: "Generator") -> str:
    if estimator.candidates_ is not None:
        return estimator.candidates_.sentence
    return f"Sinkhorn's flow from a source {estimator.source_name_}, ε = {estimator.epsilon_:.4g}"
