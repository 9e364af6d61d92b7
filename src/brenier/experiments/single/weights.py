"""Weights: repeated rows and whole weights, for every kind of map; a survey of unequal chances.

    brenier reproduce single-weights

Whole weights against rows repeated so often: one split with a quarter held out, each kind with the
same settings, in the plane. How far the images of fresh points are apart (root mean square, over
that of the target about its mean), beside the same for two seeds of the random numbers, with
repeated rows; and the difference of held-out J.

A survey: the law is N(0, I) in the plane, and a point is seen with the chance 1/(1 + exp(1.5 x₁)).
L2-UVP in per cent of ``MongeMap(effort="quick")`` onto a sample of the target, with the weights
1/chance and without, and of a sample of the law itself, as large.

Time: CPU seconds of a fit with weights over those without, of the same points, after one fit of
each that is not counted: with equal weights, which make the same steps, and with the survey's.
"""

import time
from typing import Any

import jax
import numpy as np

from brenier._progress import Progress
from brenier.estimators import MongeMap
from brenier.estimators.candidates import (
    AbstractKind,
    CombinationKind,
    Effort,
    Fold,
    Request,
    Trial,
    kinds_to_try,
)
from brenier.estimators.data import shrunk_covariance
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.single import _survey as survey
from brenier.io import write_whole
from brenier.numerics import Coordinates

TIME = "five minutes"

_ROWS, _HELD, _FRESH = 600, 150, 2000
_SIZES, _TIMED, _REPEATS = (100, 300, 1000), 1000, 3
_NAMES = ("gaussian", "separable", "entropic", "log-sum-exp", "ridges", "network")


def main(run: Run) -> dict[str, Any]:
    """All three; ``--seeds`` are those of the survey."""
    seeds = range(run.seed, run.seed + run.seeds_or(3))
    run.progress(Progress(0, len(seeds) + 2, "repeated rows"))
    rows = repeated_rows(run.seed)
    errors: dict[int, dict[str, list[float]]] = {n: {} for n in _SIZES}
    for done, seed in enumerate(seeds):
        run.progress(Progress(done + 1, len(seeds) + 2, f"survey, seed {seed}"))
        for n in _SIZES:
            for name, error in survey.errors(n, seed).items():
                errors[n].setdefault(name, []).append(error)
    run.progress(Progress(len(seeds) + 1, len(seeds) + 2, "time"))
    ratio = seconds_ratio(run.seed)
    write_whole(run.out / "weights.png", survey.figure(errors, run.seed))
    means = {
        str(n): {name: float(np.mean(v)) for name, v in own.items()} for n, own in errors.items()
    }
    return {"repeated": rows, "survey": means, "seconds_ratio": ratio, "seeds": len(seeds)}


def repeated_rows(seed: int) -> dict[str, dict[str, Any]]:
    """Of each kind, how far apart weights and repeated rows are, and two seeds."""
    random = np.random.default_rng(seed)
    fresh, x, y = (random.normal(size=(size, 2)) for size in (_FRESH, _ROWS, _ROWS))
    y = survey.bent(y)
    a, b = random.integers(1, 5, size=(2, _ROWS)).astype(float)
    (wide, wider) = _repeated(x[_HELD:], a[_HELD:]), _repeated(y[_HELD:], b[_HELD:])
    own = Coordinates.gaussian(
        wide.mean(axis=0), shrunk_covariance(wide), wider.mean(axis=0), shrunk_covariance(wider)
    ).on_host()
    fold = Fold.encoded(
        (x[_HELD:], y[_HELD:]),
        (x[:_HELD], y[:_HELD]),
        own,
        (a[_HELD:], b[_HELD:]),
        (a[:_HELD], b[:_HELD]),
    )
    held = _repeated(x[:_HELD], a[:_HELD]), _repeated(y[:_HELD], b[:_HELD])
    written = Fold.encoded((wide, wider), held, own)
    u = own.encode_source(fresh)
    found, parts = {}, []
    for index, name in enumerate(_NAMES):
        one, two, other = (
            list(_kind(own, index, number).trials([part], np.random.default_rng(number)))
            for part, number in ((fold, 0), (written, 0), (written, 1))
        )
        best = min(two, key=lambda trial: trial.dual)
        trials = [_of_settings(own_trials, best) for own_trials in (one, two, other)]
        found[name] = _apart(trials, u)
        parts.append((_kind(own, index, 0), trials))
    combined = [
        next(
            CombinationKind([(kind, trials[k]) for kind, trials in parts[:3]]).trials(
                [part], random
            )
        )
        for k, part in enumerate((fold, written, written))
    ]
    found["combination"] = _apart(combined, u)
    return found


def seconds_ratio(seed: int) -> dict[str, dict[str, float]]:
    """CPU seconds of a fit with weights over those without, by kind: the median of repeats."""
    x, y, weights = survey.sample(_TIMED, seed)
    found = {}
    for name in (*_NAMES[:5], "all"):
        kinds = None if name == "all" else [name]
        ratios = []
        for repeat in range(_REPEATS + 1):
            seconds = []
            for own in (None, np.ones(_TIMED), weights):
                began = time.process_time()
                MongeMap(random_state=repeat, candidates=kinds, effort="quick").fit(x, y, own)
                seconds.append(time.process_time() - began)
            ratios.append(np.array(seconds[1:]) / seconds[0])
        medians = np.median(ratios[1:], axis=0)
        found[name] = {"equal": float(medians[0]), "survey": float(medians[1])}
    return found


def _kind(own: Coordinates, index: int, seed: int) -> AbstractKind:
    """The kind of this place; a network is small."""
    request = Request(None, Effort.of("auto"), (_NAMES[index],), (16, 16), 8)
    keys = list(jax.random.split(jax.random.key(seed)))
    (kind,) = kinds_to_try(own, request, _ROWS, keys=keys, callback=lambda _: None, both_ways=False)
    return kind


def _of_settings(trials: list[Trial], wanted: Trial) -> Trial:
    """The trial of the same settings; where a kind stopped before, its last."""
    same = [trial for trial in trials if trial.settings == wanted.settings]
    return same[0] if same else trials[-1]


def _apart(trials: list[Trial], u: np.ndarray) -> dict[str, Any]:
    one, two, other = (
        trial.potentials[0].expand(u.astype(trial.potentials[0].precision)).gradient
        for trial in trials
    )
    spread = np.sqrt(np.mean((two - two.mean(axis=0)) ** 2))
    return {
        "settings": dict(trials[0].settings),
        "same_settings": trials[0].settings == trials[1].settings,
        "images": float(np.sqrt(np.mean((one - two) ** 2)) / spread),
        "two_seeds": float(np.sqrt(np.mean((two - other) ** 2)) / spread),
        "dual": abs(trials[0].dual - trials[1].dual),
    }


def _repeated(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.repeat(points, weights.astype(int), axis=0)


if __name__ == "__main__":
    command(__spec__.name)
