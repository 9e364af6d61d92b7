"""Known Monge maps learned from unpaired samples: ``MongeMap`` with its defaults and its peers.

    brenier reproduce w2-benchmark --data w2bench_D2.npz --data w2bench_D16.npz --seeds 5 --json

With ``--data``, the pairs of those files (``x_train``, ``y_train``, ``x_test``, ``t_test``; the
Wasserstein-2 benchmark of Korotin et al., 2021); without, random convex maps of the problem bank
in d = 2, 8, 32 and 128, 16,384 points a side, a sample a seed. The truth is asked after the fit
alone.

A peer gets the seconds that ours took on the same points, one after the other, each in a process
of its own. One that is not installed is listed as absent. Minutes a pair and seed: what is done is
kept under ``rows`` in the folder, and a run that was stopped goes on where it was.
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
from brenier.report import new_figure, png_bytes

_DIMENSIONS = (2, 8, 32, 128)
_OURS = "brenier"


def main(run: Run) -> dict[str, Any]:
    """Every pair: the means over seeds of L2-UVP (5.9), cosine, seconds and MiB, and the peers'."""
    count = run.seeds_or(1)
    wanted: list[Path | int] = list(run.data or _DIMENSIONS)
    pairs: dict[str, Any] = {}
    total, done = len(wanted) * count * len(METHODS), 0
    for what in wanted:
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in METHODS}
        for own in range(run.seed, run.seed + count):
            seconds: float | None = None
            for name in METHODS:
                run.progress(Progress(done, total, f"{name_of(what)}, seed {own}: {name}"))
                done += 1
                if absent(name) is None:
                    rows[name].append(_kept(run.out / "rows", name, what, own, seconds))
                if name == _OURS:
                    seconds = rows[name][-1]["seconds"]
        peers = {
            name: _means(rows[name]) if rows[name] else {"absent": absent(name)}
            for name in METHODS
            if name != _OURS
        }
        pairs[name_of(what)] = {**_means(rows[_OURS]), "peers": peers}
    (run.out / "w2_benchmark.png").write_bytes(_figure(pairs))
    return {"seeds": count, "pairs": pairs}


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
    figure = new_figure(6.0, 3.5)
    axes = figure.subplots()
    labels = {
        _OURS: "MongeMap",
        "ott_enot": "OTT-JAX ENOT",
        "linear": "Gaussian map",
        "entropic": "entropic map",
    }
    rows = {
        name: [row if name == _OURS else row["peers"][name] for row in pairs.values()]
        for name in METHODS
    }
    present = [name for name in METHODS if "l2_uvp" in rows[name][0]]
    places, width = np.arange(len(pairs)), 0.8 / len(present)
    for index, name in enumerate(present):
        shift = (index - 0.5 * (len(present) - 1)) * width
        heights = [row["l2_uvp"] for row in rows[name]]
        axes.bar(places + shift, heights, width, label=labels[name])
    axes.set_yscale("log")
    axes.set_xticks(places, list(pairs))
    axes.set_ylabel("L2-UVP, %")
    axes.legend(frameon=False)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
