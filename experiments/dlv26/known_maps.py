"""Known Monge maps learned from samples alone: L2-UVP (5.9) of ``MongeMap`` with its defaults.

The source and the target each give 16,384 points, unpaired; the true map is asked only at 4,096
fresh points, after the fit. The rival here is the closed-form map between Gaussians with the same
moments; ``benchmarks/known_maps_peers.py`` adds OTT-JAX's neural duals on the same data. With
``--data``, files of the Wasserstein-2 benchmark (``x_train``, ``y_train``, ``x_test``, ``t_test``)
are fitted too, on all their training points.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import brenier
from brenier.maps import AffineMap
from brenier.numerics import gaussian_map_matrix
from brenier.problems import cosine_similarity, l2_uvp, random_convex
from brenier.report import new_figure, png_bytes

DIMENSIONS = (2, 8, 32)
_TRAIN, _TEST = 16_384, 4_096


@dataclass(frozen=True)
class Clouds:
    """Unpaired training points, and test points with their images under the true map."""

    name: str
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    t_test: np.ndarray


def main(
    out: Path,
    seed: int,
    seeds: int | None,
    data: list[Path] | None,
    progress: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """Every problem, every seed: per cent of the target's variance left unexplained."""
    runs = seeds or 1
    makers = [lambda s, d=d: random_clouds(d, s) for d in DIMENSIONS]
    makers += [lambda s, path=path: benchmark_clouds(path) for path in data or []]
    total = runs * len(makers)
    problems: dict[str, dict[str, Any]] = {}
    for index, maker in enumerate(makers):
        rows = []
        for run in range(runs):
            clouds = maker(seed + run)
            progress(index * runs + run, total, clouds.name)
            rows.append(fitted(clouds, seed + run))
        linear = errors(gaussian_map(clouds), clouds)
        problems[clouds.name] = {
            "l2_uvp_linear": linear["l2_uvp"],
            "cosine_linear": linear["cosine"],
            "failed": sum(row["failed"] for row in rows),
            **{key: float(np.mean([row[key] for row in rows])) for key in rows[0]
               if key != "failed"},
            "l2_uvp_seeds": [row["l2_uvp"] for row in rows],
        }  # fmt: skip
    (out / "known_maps.png").write_bytes(_figure(problems))
    return {"train": _TRAIN, "runs": runs, "problems": problems}


def random_clouds(dimension: int, seed: int) -> Clouds:
    """Samples of the bank's random convex map; the seed is that of the sampling."""
    problem = random_convex(dimension)
    keys = jax.random.split(jax.random.key(seed), 3)
    assert problem.map is not None
    x_test = problem.source.sample(keys[2], _TEST)
    return Clouds(
        problem.name,
        np.asarray(problem.source.sample(keys[0], _TRAIN)),
        np.asarray(problem.target.sample(keys[1], _TRAIN)),
        np.asarray(x_test),
        np.asarray(problem.map(x_test)),
    )


def benchmark_clouds(path: Path) -> Clouds:
    """A pair of the Wasserstein-2 benchmark from a file of NumPy arrays."""
    with np.load(path, allow_pickle=False) as file:
        missing = {"x_train", "y_train", "x_test", "t_test"} - set(file.files)
        if missing:
            raise ValueError(f"--data: got {path} without {sorted(missing)}; wants those arrays.")
        arrays = (file[name] for name in ("x_train", "y_train", "x_test", "t_test"))
        return Clouds(path.stem, *arrays)


def fitted(clouds: Clouds, seed: int) -> dict[str, Any]:
    """Errors of ``MongeMap`` with its defaults, both ways, and the seconds of the fit."""
    started = time.perf_counter()
    estimator = brenier.MongeMap(random_state=seed).fit(clouds.x, clouds.y)
    seconds = time.perf_counter() - started
    backwards = estimator.inverse_transform(clouds.t_test)
    return {
        **errors(estimator.transform, clouds),
        "l2_uvp_inverse": float(l2_uvp(jnp.asarray(backwards), jnp.asarray(clouds.x_test))),
        "seconds": seconds,
        "failed": estimator.solution_.result.failed,
    }


def errors(map: Callable[[np.ndarray], Any], clouds: Clouds) -> dict[str, float]:
    """L2-UVP and cosine (5.9) on the test points."""
    x, truth = jnp.asarray(clouds.x_test), jnp.asarray(clouds.t_test)
    moved = jnp.asarray(map(clouds.x_test))
    return {
        "l2_uvp": float(l2_uvp(moved, truth)),
        "cosine": float(cosine_similarity(x, moved, truth)),
    }


def gaussian_map(clouds: Clouds) -> AffineMap:
    """The closed-form map between the Gaussians of the training points' moments."""
    x, y = (np.asarray(cloud, np.float64) for cloud in (clouds.x, clouds.y))
    matrix = gaussian_map_matrix(jnp.cov(x.T), jnp.cov(y.T))
    return AffineMap(matrix, y.mean(axis=0) - matrix @ x.mean(axis=0))


def _figure(problems: dict[str, dict[str, Any]]) -> bytes:
    figure = new_figure(6.0, 3.5)
    axes = figure.subplots()
    places = np.arange(len(problems))
    for shift, key, label in ((-0.2, "l2_uvp_linear", "Gaussian map"), (0.2, "l2_uvp", "MongeMap")):
        axes.bar(places + shift, [row[key] for row in problems.values()], 0.4, label=label)
    axes.set_yscale("log")
    axes.set_xticks(places, list(problems))
    axes.set_ylabel("L2-UVP, %")
    axes.legend(frameon=False)
    return png_bytes(figure)
