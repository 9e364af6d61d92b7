"""Labels: cell types of treated cells for control cells, by the map between them.

    brenier reproduce single-labels --data ../shared/data/kang_ifnb_pbmc.h5ad

Blood cells, control and under interferon-beta (Kang et al., 2018). Cell types of the treated
cells are given, those of the control cells are asked for and known: of the 800 that the map was
fitted to, and of 200 that it has not seen. ``MongeMap.transfer_labels`` stands beside the same
vote without a map, after a shift of the mean, and after the Gaussian map, all in the map's 15
components, and beside 15 plain nearest neighbours. Accuracy; calibration, the mean gap between
what is said and what is right over ten bins of the probability (ECE); log loss, probabilities of
at least 1e-3.

Three seeds by default, other held-out cells each; what is done of a seed is kept in ``seeds/``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from brenier import MongeMap
from brenier._progress import Progress
from brenier.estimators import transfer_labels, transition_table
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.single import _label_figures as figures
from brenier.io import read_cells, write_whole
from brenier.maps import SubspaceMap

TIME = "five minutes"

_HELD_OUT, _NEIGHBOURS, _BINS, _LEAST = 200, 15, 10, 1e-3
_METRICS = ("accuracy", "ece", "log_loss")
Guess = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def main(run: Run) -> dict[str, Any]:
    """Every way to label, on cells that the map has and has not seen, and the table of types."""
    if len(run.data) != 1:
        raise ValueError(f"--data: got {len(run.data)} files; wants one, kang_ifnb_pbmc.h5ad.")
    own = range(run.seed, run.seed + run.seeds_or(3))
    blocks = [(str(run.data[0]), seed) for seed in own]
    found = map_blocks(
        _one_seed,
        blocks,
        lambda done: run.progress(Progress(done, len(blocks), "seeds")),
        run.out / "seeds",
    )
    measured = {
        cells: {
            name: _mean([one["measured"][cells][name] for one in found])
            for name in found[0]["measured"][cells]
        }
        for cells in found[0]["measured"]
    }
    table = found[0]["table"]
    bins = {name: _pooled([one["bins"][name] for one in found]) for name in found[0]["bins"]}
    write_whole(run.out / "labels.png", figures.labels_figure(bins, table))
    return {**measured, "table": table, "bins": bins, "seeds": len(own)}


def _one_seed(path: str, seed: int) -> dict[str, Any]:
    """One choice of held-out cells."""
    cells = read_cells(Path(path))
    kinds = np.asarray(cells.obs["cell_type"].astype(str))
    condition = np.asarray(cells.obs["condition"].astype(str))
    source = np.random.default_rng(seed).permutation(np.flatnonzero(condition == "control"))
    target = np.flatnonzero(condition == "ifnb")
    seen, fresh = source[_HELD_OUT:], source[:_HELD_OUT]
    x, y = cells[seen].copy(), cells[target].copy()
    est = MongeMap(random_state=seed).fit(x, y)
    affine = MongeMap(random_state=seed, candidates=["gaussian"]).fit(x, y)
    assert isinstance(est.map_, SubspaceMap)
    assert isinstance(affine.map_, SubspaceMap)  # of cells
    v = est.map_.coordinates(y.X)
    shift = v.mean(axis=0) - est.map_.coordinates(x.X).mean(axis=0)
    inner, gaussian = est.map_.map, affine.map_.map
    ways: dict[str, Guess] = {
        "map": lambda u: _soft(np.asarray(inner(u)), v, kinds[target]),
        "gaussian map": lambda u: _soft(np.asarray(gaussian(u)), v, kinds[target]),
        "mean shift": lambda u: _soft(u + shift, v, kinds[target]),
        "no map": lambda u: _soft(u, v, kinds[target]),
        "no map, 15 neighbours": lambda u: _plain(u, v, kinds[target]),
        "map, 15 neighbours": lambda u: _plain(np.asarray(inner(u)), v, kinds[target]),
    }
    measured: dict[str, Any] = {}
    bins: dict[str, Any] = {}
    for name, rows in (("held_out", fresh), ("fitted", seen)):
        u = est.map_.coordinates(cells[rows].X)
        measured[name] = {}
        for way, guess in ways.items():
            classes, probabilities = guess(u)
            measured[name][way] = _measures(classes, probabilities, kinds[rows])
            if name == "fitted":
                bins[way] = _reliability(classes, probabilities, kinds[rows])
    u = est.map_.coordinates(x.X)
    table = transition_table(np.asarray(inner(u)), v, kinds[seen], kinds[target])
    shares, counts = (
        table.to_dict(),
        dict(zip(table.sources.tolist(), table.counts.tolist(), strict=True)),
    )
    return {"measured": measured, "bins": bins, "table": {"shares": shares, "counts": counts}}


def _soft(
    points: np.ndarray, target: np.ndarray, kinds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    found = transfer_labels(points, target, kinds)
    return found.classes, found.probabilities


def _plain(
    points: np.ndarray, target: np.ndarray, kinds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    nearest = KNeighborsClassifier(_NEIGHBOURS).fit(target, kinds)
    return nearest.classes_, nearest.predict_proba(points)


def _measures(
    classes: np.ndarray, probabilities: np.ndarray, truth: np.ndarray
) -> dict[str, float]:
    """Accuracy, ECE and log loss; of a type that no target cell has, the probability is 0."""
    right = classes[probabilities.argmax(axis=1)] == truth
    own = np.where(classes == truth[:, None], probabilities, 0.0).sum(axis=1)
    gaps = [
        count * abs(said - was) for said, was, count in _reliability(classes, probabilities, truth)
    ]
    return {
        "accuracy": float(right.mean()),
        "ece": float(sum(gaps) / len(truth)),
        "log_loss": float(-np.log(np.maximum(own, _LEAST)).mean()),
    }


def _reliability(
    classes: np.ndarray, probabilities: np.ndarray, truth: np.ndarray
) -> list[list[float]]:
    """Mean probability of the label, share that is right, and count, of each bin that has any."""
    said = probabilities.max(axis=1)
    right = classes[probabilities.argmax(axis=1)] == truth
    place = np.minimum((said * _BINS).astype(int), _BINS - 1)
    return [
        [float(said[place == b].mean()), float(right[place == b].mean()), float((place == b).sum())]
        for b in np.unique(place)
    ]


def _pooled(runs: list[list[list[float]]]) -> list[list[float]]:
    """The bins of several seeds together."""
    rows = np.array([row for bins in runs for row in bins])
    place = np.minimum((rows[:, 0] * _BINS).astype(int), _BINS - 1)
    pooled = []
    for b in np.unique(place):
        own = rows[place == b]
        count = own[:, 2].sum()
        pooled.append([*(float(own[:, j] @ own[:, 2] / count) for j in (0, 1)), float(count)])
    return pooled


def _mean(runs: list[dict[str, float]]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for metric in _METRICS:
        values = np.array([run[metric] for run in runs])
        found[metric] = float(values.mean())
        found[f"{metric}_stderr"] = (
            float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        )
    return found


if __name__ == "__main__":
    command(__spec__.name)
