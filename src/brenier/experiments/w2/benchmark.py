"""Known Monge maps learned from unpaired samples: ``MongeMap`` beside its peers.

    brenier reproduce w2-benchmark --data w2bench_D2.npz --data w2bench_D16.npz --seeds 5 --json

With ``--data``, the pairs of those files (``x_train``, ``y_train``, ``x_test``, ``t_test``; the
Wasserstein-2 benchmark of Korotin et al., 2021); without, pairs made like them, the problem bank's
``convex_networks`` in d = 2, 4, 8, ..., 128, 131,072 points a side, a sample a seed: three seeds up
to d = 16 and one beyond. The truth is asked after the fit alone.

Ours with all defaults, with ten minutes (``effort=600``), and with ten minutes and both laws, of
which it draws what it needs. A peer gets the seconds that the defaults took on the same points; one
after the other, each in a process of its own. One that is not installed is listed as absent.
Half an hour a pair and seed: what is done is kept under ``rows`` in the folder, and a run that was
stopped goes on where it was.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._process import begin_worker
from brenier.experiments._run import Run
from brenier.experiments._seeds import code_digest, kept_result
from brenier.experiments.w2._methods import METHODS, absent, measured
from brenier.experiments.w2._pairs import name_of
from brenier.io import write_whole
from brenier.report import new_figure, png_bytes

TIME = "hours"

_DIMENSIONS = (2, 4, 8, 16, 32, 64, 128)
# Seeds where none are asked for: of a file, and of random networks up to this dimension.
_FILE_SEEDS, _SEEDS, _CHEAP = 1, 3, 16
_OURS = "brenier"
_LABELS = {
    _OURS: "MongeMap",
    "brenier_patient": "MongeMap, 10 min",
    "brenier_unlimited": "MongeMap, 10 min, laws",
    "ott_enot": "OTT-JAX ENOT",
    "linear": "Gaussian map",
    "entropic": "entropic map",
}


def main(run: Run) -> dict[str, Any]:
    """Every pair and method: means over seeds of L2-UVP (5.9), cosine, seconds and MiB."""
    wanted: list[Path | int] = list(run.data or _DIMENSIONS)
    tasks = [(what, seed) for what in wanted for seed in _seeds(run, what)]
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for place, (what, own) in enumerate(tasks):
        found = rows.setdefault(name_of(what), {name: [] for name in METHODS})
        seconds: float | None = None
        for index, name in enumerate(METHODS):
            done, total = place * len(METHODS) + index, len(tasks) * len(METHODS)
            run.progress(Progress(done, total, f"{name_of(what)}, seed {own}: {name}"))
            if absent(name, what) is None:
                found[name].append(_kept(run.out / "rows", name, what, own, seconds))
            if name == _OURS:
                seconds = found[name][-1]["seconds"]
    pairs = {
        name_of(what): {
            name: _means(found) if found else {"absent": absent(name, what)}
            for name, found in rows[name_of(what)].items()
        }
        for what in wanted
    }
    write_whole(run.out / "w2_benchmark.png", _figure(pairs))
    return {"pairs": pairs}


def _seeds(run: Run, what: Path | int) -> range:
    """The seeds of a pair."""
    usual = _FILE_SEEDS
    if isinstance(what, int) and what <= _CHEAP:
        usual = _SEEDS
    return range(run.seed, run.seed + run.seeds_or(usual))


def _kept(
    folder: Path, name: str, what: Path | int, seed: int, seconds: float | None
) -> dict[str, Any]:
    """A method's row, from the folder where the same code has written it before."""
    folder.mkdir(exist_ok=True)
    place = folder / f"{name_of(what)}-{seed}-{name}-{code_digest()[:16]}.json"
    return kept_result(place, lambda: _apart(name, what, seed, seconds))


def _apart(name: str, what: Path | int, seed: int, seconds: float | None) -> dict[str, Any]:
    """A method in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=begin_worker) as pool:
        return pool.submit(measured, name, what, seed, seconds).result()


def _means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds of what is a number; failures are counted, other things listed by seed."""
    found: dict[str, Any] = {"l2_uvp_seeds": [row["l2_uvp"] for row in rows]}
    for key, first in rows[0].items():
        if isinstance(first, bool):
            found[key] = sum(row[key] for row in rows)
        elif isinstance(first, int | float):
            found[key] = float(np.mean([row[key] for row in rows]))
        else:
            found[key] = [row[key] for row in rows]
    return found


def _figure(pairs: dict[str, dict[str, Any]]) -> bytes:
    """L2-UVP of every method, pair by pair."""
    figure = new_figure(max(6.0, 1.6 * len(pairs)), 4.0)
    axes = figure.subplots()
    present = [name for name in METHODS if any("l2_uvp" in row[name] for row in pairs.values())]
    places, width = np.arange(len(pairs)), 0.8 / len(present)
    for index, name in enumerate(present):
        shift = (index - 0.5 * (len(present) - 1)) * width
        heights = [row[name].get("l2_uvp", np.nan) for row in pairs.values()]
        axes.bar(places + shift, heights, width, label=_LABELS[name])
    axes.set_yscale("log")
    axes.set_xticks(places, list(pairs))
    axes.set_ylabel("L2-UVP, %")
    # Above the bars, which have no empty corner in common.
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
