"""Single cells: blood under interferon-beta, predicted from control cells (Kang et al., 2018).

    brenier reproduce single-cell --data ../shared/data/kang_ifnb_pbmc.h5ad

``MongeMap`` with its defaults (15 principal components of the training cells) beside the identity,
the mean shift, the closed-form Gaussian map and OTT-JAX's neural dual (where ott is installed;
else it is named as absent), both in 50 components and in ours. Every fit sees 640 control and 640
treated cells. It predicts 200 held-out cells of each condition, and each of the ten largest cell
types, of which it has seen none. Energy distance and MMD are unbiased (they can fall below 0) and
taken in 50 principal components of the training cells.

Three seeds by default: other training cells, other held-out cells, other networks.
"""

from typing import Any

import numpy as np

from brenier._progress import Progress
from brenier.estimators import principal_components
from brenier.experiments._command import command
from brenier.experiments._ott import ott_version
from brenier.experiments._run import Run
from brenier.experiments.single import _cells as cells
from brenier.experiments.single import _figures as figures
from brenier.experiments.single import _predictors as predictors
from brenier.io import cells_of, write_whole

TIME = "tens of minutes"

_METRICS = ("energy", "mmd", "r2_mean", "r2_variance")


def main(run: Run) -> dict[str, Any]:
    """Every method on every task: means and standard errors over seeds, and who was best."""
    if len(run.data) != 1:
        raise ValueError(f"--data: got {len(run.data)} files; wants one, kang_ifnb_pbmc.h5ad.")
    own = list(range(run.seed, run.seed + run.seeds_or(3)))
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    pictured = None
    total = len(own) * (1 + cells.TYPES)
    for done, task in enumerate(cells.tasks(run.data[0], own)):
        run.progress(Progress(done, total, f"seed {task.seed}, {task.name}"))
        frame = principal_components(
            cells_of(task.control, "control"),
            cells_of(task.treated, "treated"),
            cells.SPACE,
            random_state=task.seed,
        )
        assert frame is not None  # there are more genes than components
        measures = cells.Measures(
            task.test_treated.X.toarray(),
            frame.basis,
            cells.differential(task.control.X, task.treated.X),
        )
        shown = {}
        for name, predicted in predictors.predictions(task, frame.basis, frame.centre):
            found.setdefault(task.name, {}).setdefault(name, []).append(measures.of(predicted))
            shown[name] = predicted @ frame.basis[:, :2]
        if pictured is None:
            pictured = {**shown, "observed": measures.observed @ frame.basis[:, :2]}
    tables = {name: mean_table(methods) for name, methods in found.items()}
    held_out = tables.pop("held out")
    assert pictured is not None
    write_whole(run.out / "held_out.png", figures.clouds_figure(pictured))
    write_whole(run.out / "left_out.png", figures.types_figure({"held out": held_out, **tables}))
    return {
        "held_out": held_out,
        "left_out": tables,
        "held_out_best": held_out["best"],
        "types_won": sum(table["best"] == "ours" for table in tables.values()),
        "types": len(tables),
        "seeds": len(own),
        "ott_jax": ott_version() or "absent",
    }


def mean_table(methods: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Mean and standard error of every measure, and of ours less each other's energy distance."""
    values = {
        name: {metric: np.array([run[metric] for run in runs]) for metric in _METRICS}
        for name, runs in methods.items()
    }
    energies = {name: float(measured["energy"].mean()) for name, measured in values.items()}
    ours = values["ours"]["energy"]
    return {
        "best": min(energies, key=lambda name: energies[name]),
        "methods": {
            name: {
                **{metric: float(v.mean()) for metric, v in measured.items()},
                **{f"{metric}_stderr": _stderr(v) for metric, v in measured.items()},
                "ours_less": float((ours - measured["energy"]).mean()),
                "ours_less_stderr": _stderr(ours - measured["energy"]),
            }
            for name, measured in values.items()
        },
    }


def _stderr(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


if __name__ == "__main__":
    command(__spec__.name)
