"""Single cells: IFN-beta in a cell type of which no cell was seen, by a map that knows the types.

    brenier reproduce single-conditions --data ../shared/data/kang_ifnb_pbmc.h5ad

``ConditionalMongeMap`` with the cell type as its condition, beside ``MongeMap`` without it, the
closed-form Gaussian map (in 50 components and in ours), the mean shift and the identity, on the
tasks of ``single-cell``: each of the ten largest cell types is left out of 640 control and 640
treated cells and predicted, and 200 held-out cells of all types are, together and (the mean over
types of 15 cells or more) type by type. Types with fewer than 4 cells on a side are not told to
the conditional map. Energy distances are unbiased (they can fall below 0).

Three seeds by default: other training cells, other held-out cells.
"""

import warnings
from collections import Counter
from functools import partial
from typing import Any

import numpy as np

from brenier import ConditionalMongeMap
from brenier._progress import Progress
from brenier.estimators import principal_components
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import code_digest, kept_result
from brenier.experiments.single import _cells as cells
from brenier.experiments.single import _figures as figures
from brenier.experiments.single import _predictors as predictors
from brenier.experiments.single.cell import mean_table
from brenier.io import cells_of, write_whole

TIME = "half an hour"

_COLUMN = "cell_type"
# Cells of a type on a side: to be learned from, and to be measured by.
_FEWEST, _MEASURED = 4, 15
_PLAIN = "ours, no condition"


def main(run: Run) -> dict[str, Any]:
    """Every method on every task: means and standard errors over seeds, and who was best."""
    if len(run.data) != 1:
        raise ValueError(f"--data: got {len(run.data)} files; wants one, kang_ifnb_pbmc.h5ad.")
    own = list(range(run.seed, run.seed + run.seeds_or(3)))
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    weights: dict[str, list[dict[str, Any]]] = {}
    total = len(own) * (1 + cells.TYPES)
    (run.out / "tasks").mkdir(parents=True, exist_ok=True)
    for done, task in enumerate(cells.tasks(run.data[0], own)):
        run.progress(Progress(done, total, f"seed {task.seed}, {task.name}"))
        place = run.out / "tasks" / f"{task.seed}-{task.name}-{code_digest()[:12]}.json"
        kept = kept_result(place, partial(_result, task))
        weights.setdefault(task.name, []).append(kept["weights"])
        for name, part, measured in kept["measured"]:
            found.setdefault(part, {}).setdefault(name, []).append(measured)
    tables = {name: mean_table(methods) for name, methods in found.items()}
    write_whole(run.out / "conditions.png", figures.types_figure(tables))
    held = {part: tables.pop(part) for part in ("held out", "held out, by type")}
    energies = [
        [table["methods"][name]["energy"] for name in ("ours", _PLAIN)] for table in tables.values()
    ]
    return {
        "held_out": held["held out"],
        "by_type": held["held out, by type"],
        "left_out": tables,
        "types": len(tables),
        "types_won": sum(table["best"] == "ours" for table in tables.values()),
        "types_below_no_condition": sum(ours < plain for ours, plain in energies),
        "mean_energy": {
            name: float(np.mean([table["methods"][name]["energy"] for table in tables.values()]))
            for name in next(iter(tables.values()))["methods"]
        },
        "weights": weights,
        "seeds": len(own),
    }


def _result(task: cells.Task) -> dict[str, Any]:
    """What is kept of a task, so that a run that was stopped goes on."""
    estimator = _conditional(task)
    return {"weights": _weights(estimator), "measured": list(_measured(task, estimator))}


def _conditional(task: cells.Task) -> ConditionalMongeMap:
    """Fitted on the types that have some cells on both sides."""
    counts = [Counter(side.obs[_COLUMN].astype(str)) for side in (task.control, task.treated)]
    enough = [kind for kind in counts[0] if min(c[kind] for c in counts) >= _FEWEST]
    sides = [side[side.obs[_COLUMN].isin(enough)].copy() for side in (task.control, task.treated)]
    x, y = sides
    return ConditionalMongeMap(random_state=task.seed).fit(x, y, _COLUMN, _COLUMN)


def _weights(estimator: ConditionalMongeMap) -> dict[str, Any]:
    """The parts of the map of a type that was seen, and of one that was not."""
    rows = estimator.candidates_.parts
    return {row.name: [row.weight, row.weight_unseen] for row in rows}


def _measured(task: cells.Task, estimator: ConditionalMongeMap) -> Any:
    """Each method's name, the task or the part of it, and what was measured there."""
    frame = principal_components(
        cells_of(task.control, "control"),
        cells_of(task.treated, "treated"),
        cells.SPACE,
        random_state=task.seed,
    )
    assert frame is not None  # there are more genes than components
    genes = cells.differential(task.control.X, task.treated.X)
    observed = task.test_treated.X.toarray()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # types that were not seen: here the point
        ours = estimator.transform(task.test_control, _COLUMN)
    predicted = dict(predictors.predictions(task, frame.basis, frame.centre))
    predicted = {_PLAIN if name == "ours" else name: z for name, z in predicted.items()}
    for name, points in (predicted | {"ours": ours}).items():
        yield name, task.name, cells.Measures(observed, frame.basis, genes).of(points)
        if task.name != "held out":
            continue
        kinds = [
            np.asarray(side.obs[_COLUMN].astype(str))
            for side in (task.test_control, task.test_treated)
        ]
        parts = [
            cells.Measures(observed[kinds[1] == kind], frame.basis, genes).of(
                points[kinds[0] == kind]
            )
            for kind in sorted(set(kinds[0]))
            if min(np.sum(side == kind) for side in kinds) >= _MEASURED
        ]
        mean = {metric: float(np.mean([part[metric] for part in parts])) for metric in parts[0]}
        yield name, "held out, by type", mean


if __name__ == "__main__":
    command(__spec__.name)
