"""Time: a snapshot left out, from those around it, where the path of every point is known.

    brenier reproduce single-time

A population of two kinds that part, in 2 and 10 dimensions, and one of a single kind that goes
round a curve: snapshots of 400 fresh points each at times 0 to 4. The middle one is left out,
``TimeSeries`` is fitted to the others, and the snapshot that it gives at that time stands beside
the nearer one (both are as near: the earlier), the straight mean (half of the way between points
of the neighbours paired at random) and both neighbours mixed. Squared energy distance to 4000
points of the true law, in units of its spread, beside that of a fresh sample of as many points.
Beside it how far 400 points that start at time 0 are from their true places at time 4, by
``trajectories`` of that series: mean square over the variance there.

Three seeds by default; what is done of a seed is kept in ``seeds/``.
"""

from typing import Any

import numpy as np

from brenier import MongeMap, TimeSeries
from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.single import _time_figures as figures
from brenier.io import write_whole
from brenier.numerics import energy_distance_squared

TIME = "five minutes"

_POINTS, _TRUE, _FOLLOWED = 400, 4000, 400
_TIMES = np.arange(5.0)
_LEFT_OUT, _OTHERS = 2.0, [0, 1, 3, 4]
_PROBLEMS = {
    "parting, d = 2": ("parting", 2),
    "parting, d = 10": ("parting", 10),
    "turning, d = 2": ("turning", 2),
}


def main(run: Run) -> dict[str, Any]:
    """Every problem: the snapshot left out by each way, and points followed to the end."""
    own = range(run.seed, run.seed + run.seeds_or(3))
    blocks = [(name, seed) for name in _PROBLEMS for seed in own]
    found = map_blocks(
        _one,
        blocks,
        lambda done: run.progress(Progress(done, len(blocks), "problems")),
        run.out / "seeds",
    )
    result: dict[str, Any] = {}
    for name in _PROBLEMS:
        runs = [one for (said, _), one in zip(blocks, found, strict=True) if said == name]
        result[name] = {
            way: {
                "mean": float(np.mean([measured[way] for measured in runs])),
                "stderr": _stderr(np.array([measured[way] for measured in runs])),
            }
            for way in runs[0]
        }
    write_whole(run.out / "time.png", figures.time_figure(*_pictured(run.seed)))
    return {**result, "seeds": len(own)}


def path(kind: str, z: np.ndarray, t: float) -> np.ndarray:
    """Where z (n, d) are at a time: from any time to any other by a Monge map."""
    place = np.zeros_like(z)
    if kind == "parting":
        side = np.sign(z[:, 0])
        place[:, 0] = side * 0.5 * t
        place[:, 1] = 0.25 * t**2
        return place + z * (1.0 - 0.1 * t)
    turn = 0.35 * t
    place[:, 0], place[:, 1] = 4.0 * np.cos(turn), 4.0 * np.sin(turn)
    return place + z * np.array([1.0 + 0.2 * t, 1.0 - 0.15 * t, *np.ones(z.shape[1] - 2)])


def _one(name: str, seed: int) -> dict[str, float]:
    """One problem and seed."""
    kind, d = _PROBLEMS[name]
    random = np.random.default_rng(seed)
    snapshots = [path(kind, random.normal(size=(_POINTS, d)), t) for t in _TIMES]
    series = _without_the_middle(snapshots, seed)
    truth = path(kind, random.normal(size=(_TRUE, d)), _LEFT_OUT)
    spread = float(np.sqrt(truth.var(axis=0).sum()))
    _, x, y, _ = (snapshots[i] for i in _OTHERS)
    half = _POINTS // 2
    clouds = {
        "ours": series.interpolate(_LEFT_OUT),
        "nearer snapshot": x,
        "straight mean": 0.5 * (x + random.permutation(y)),
        "both mixed": np.concatenate([x[:half], y[:half]]),
        "fresh sample": path(kind, random.normal(size=(_POINTS, d)), _LEFT_OUT),
    }
    found = {
        way: float(energy_distance_squared(cloud / spread, truth / spread))
        for way, cloud in clouds.items()
    }
    z = random.normal(size=(_FOLLOWED, d))
    ends = series.trajectories(path(kind, z, 0.0), from_time=0.0)[:, -1]
    true = path(kind, z, float(_TIMES[-1]))
    error = ((ends - true) ** 2).sum(axis=1).mean() / true.var(axis=0).sum()
    return {**found, "trajectories": float(error)}


def _without_the_middle(snapshots: list[np.ndarray], seed: int) -> TimeSeries:
    return TimeSeries(MongeMap(random_state=seed)).fit(
        [snapshots[i] for i in _OTHERS], _TIMES[_OTHERS]
    )


def _pictured(seed: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Four snapshots, the one left out, ours, and trajectories."""
    random = np.random.default_rng(seed)
    snapshots = [path("parting", random.normal(size=(_POINTS, 2)), t) for t in _TIMES]
    series = _without_the_middle(snapshots, seed)
    paths = series.trajectories(snapshots[0][:40], from_time=0.0)
    return [snapshots[i] for i in _OTHERS], snapshots[2], series.interpolate(_LEFT_OUT), paths


def _stderr(values: np.ndarray) -> float | None:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


if __name__ == "__main__":
    command(__spec__.name)
