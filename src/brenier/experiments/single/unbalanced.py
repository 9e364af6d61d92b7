"""Single cells: a type that is gone after treatment, balanced and unbalanced (Kang et al., 2018).

    brenier reproduce single-unbalanced --data ../shared/data/kang_ifnb_pbmc.h5ad

CD14 monocytes are taken out of the treated cells. ``MongeMap`` is fitted from 640 control cells to
640 of what is left: balanced; unbalanced, with τ a quarter of the median squared distance of the
treated cells in 15 principal components; and, as what could be had if one knew, between cells of
both conditions without that type. Then, for each other type with 20 cells a side that no fit has
seen, the energy distance (unbiased, in 50 principal components) between the images of its control
cells and its treated cells.

Three seeds by default: other cells for training and for the test.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from brenier import MongeMap
from brenier._progress import Progress
from brenier.estimators import principal_components
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.single import _cells as cells
from brenier.io import cells_of, read_cells
from brenier.numerics import median_squared_distance

TIME = "five minutes"

_GONE = "CD14 Mono"
_TRAINED = 0.6  # of the cells of each type and condition
_LEAST = 20
_SHARE = 0.25
_COMPONENTS = 15


def main(run: Run) -> dict[str, Any]:
    """Energy distances of the types that stay, a method at a time, and the growth of every type."""
    if len(run.data) != 1:
        raise ValueError(f"--data: got {len(run.data)} files; wants one, kang_ifnb_pbmc.h5ad.")
    data = read_cells(run.data[0])
    own = list(range(run.seed, run.seed + run.seeds_or(3)))
    energies: dict[str, dict[str, list[float]]] = {}
    growths: dict[str, list[float]] = {}
    for done, seed in enumerate(own):
        run.progress(Progress(done, len(own), f"seed {seed}"))
        for name, values, growth in _one(data, seed):
            growths.setdefault(name, []).append(growth)
            for method, value in values.items():
                energies.setdefault(name, {}).setdefault(method, []).append(value)
    mean = {
        method: [float(np.mean(values)) for values in zip(*by_type, strict=True)]
        for method, by_type in _by_method(energies).items()
    }
    excess = {
        method: np.array(mean[method]) - np.array(mean["without the type"])
        for method in ("balanced", "unbalanced")
    }
    return {
        "gone": _GONE,
        "seeds": len(own),
        "energy": {
            name: {method: _with_error(values) for method, values in methods.items()}
            for name, methods in energies.items()
        },
        "mean_energy": {method: _with_error(values) for method, values in mean.items()},
        "excess": {method: _with_error(list(values)) for method, values in excess.items()},
        "growth": {name: _with_error(values) for name, values in growths.items()},
        "least_growth": min(growths, key=lambda name: float(np.mean(growths[name]))),
    }


def _one(data: Any, seed: int) -> list[tuple[str, dict[str, float], float]]:
    """Of each type: the energy distance of every method, none of the one that is gone; growth."""
    random = np.random.default_rng(seed)
    kind = np.asarray(data.obs["cell_type"].astype(str))
    sides = []
    for condition in ("control", "ifnb"):
        rows = random.permutation(np.flatnonzero(np.asarray(data.obs["condition"] == condition)))
        trained = np.zeros(len(kind), bool)
        for name in np.unique(kind):
            some = rows[kind[rows] == name]
            trained[some[: round(_TRAINED * len(some))]] = True
        sides.append((rows[trained[rows]], rows[~trained[rows]]))
    (control, test_control), (treated, test_treated) = sides
    left = treated[kind[treated] != _GONE][: cells.TRAINED]
    control = control[: cells.TRAINED]
    x, y = data[control].copy(), data[left].copy()
    space = principal_components(
        cells_of(x, "control"), cells_of(y, "treated"), _COMPONENTS, random_state=seed
    )
    assert space is not None
    penalty = _SHARE * float(median_squared_distance(jnp.asarray(space.y)))
    unbalanced = MongeMap(random_state=seed, unbalanced=penalty).fit(x, y)
    fits = {
        "balanced": MongeMap(random_state=seed).fit(x, y),
        "unbalanced": unbalanced,
        "without the type": MongeMap(random_state=seed).fit(
            data[control[kind[control] != _GONE]].copy(), y
        ),
    }
    frame = principal_components(
        cells_of(x, "control"), cells_of(y, "treated"), cells.SPACE, random_state=seed
    )
    assert frame is not None
    found = []
    for name in np.unique(kind):
        before = test_control[kind[test_control] == name]
        after = test_treated[kind[test_treated] == name]
        if min(len(before), len(after)) < _LEAST:
            continue
        test = data[before].copy()
        values = {}
        if name != _GONE:
            observed = data[after].X.toarray()
            measures = cells.Measures(observed, frame.basis, np.arange(cells.GENES))
            values = {
                method: measures.of(est.transform(test))["energy"] for method, est in fits.items()
            }
            values["identity"] = measures.of(test.X.toarray())["energy"]
        found.append((str(name), values, float(unbalanced.growth(test).mean())))
    return found


def _by_method(energies: dict[str, dict[str, list[float]]]) -> dict[str, list[list[float]]]:
    """Of each method the values of all types that some seed has, for the seeds that all have."""
    seeds = max(len(v) for methods in energies.values() for v in methods.values())
    full = [m for m in energies.values() if m and all(len(v) == seeds for v in m.values())]
    return {method: [own[method] for own in full] for method in full[0]}


def _with_error(values: list[float]) -> dict[str, float | None]:
    """The mean over seeds and its standard error."""
    own = np.array(values)
    error = float(own.std(ddof=1) / np.sqrt(len(own))) if len(own) > 1 else None
    return {"mean": float(own.mean()), "stderr": error}


if __name__ == "__main__":
    command(__spec__.name)
