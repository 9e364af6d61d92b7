"""Pairs of clouds whose Monge map is known: of a file, or of random convex networks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier.maps import AffineMap
from brenier.measures import AbstractMeasure
from brenier.numerics import gaussian_map_matrix
from brenier.problems import Problem, convex_networks, cosine_similarity, l2_uvp

# As many as the files of the benchmark have.
TRAIN, TEST = 131_072, 4_096
_ARRAYS = ("x_train", "y_train", "x_test", "t_test")


@dataclass(frozen=True)
class Pair:
    """Unpaired training points, and test points with their images under the true map.

    ``laws`` are what the training points are samples of, where more can be drawn.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    t_test: np.ndarray
    laws: tuple[AbstractMeasure, AbstractMeasure] | None = None


def pair(what: Path | int, seed: int) -> Pair:
    """The pair of a file, or of the bank's random networks in so many dimensions, of that seed."""
    return _of_file(what) if isinstance(what, Path) else sampled(convex_networks(what), seed)


def name_of(what: Path | int) -> str:
    """What the pair is called in the results."""
    return what.stem if isinstance(what, Path) else f"networks-{what}"


def errors(
    forward: Callable[[np.ndarray], Any], backward: Callable[[np.ndarray], Any], own: Pair
) -> dict[str, float]:
    """L2-UVP in per cent and cosine (5.9) on the test points, and L2-UVP of the inverse map."""
    x, truth = jnp.asarray(own.x_test), jnp.asarray(own.t_test)
    moved, back = jnp.asarray(forward(own.x_test)), jnp.asarray(backward(own.t_test))
    return {
        "l2_uvp": float(l2_uvp(moved, truth)),
        "cosine": float(cosine_similarity(x, moved, truth)),
        "l2_uvp_inverse": float(l2_uvp(back, x)),
    }


def gaussian_map(own: Pair) -> AffineMap:
    """The closed-form map between the Gaussians of the training points' moments."""
    x, y = (np.asarray(cloud, np.float64) for cloud in (own.x, own.y))
    matrix = gaussian_map_matrix(jnp.cov(x.T), jnp.cov(y.T))
    return AffineMap(matrix, y.mean(axis=0) - matrix @ x.mean(axis=0))


def sampled(problem: Problem, seed: int, train: int = TRAIN, test: int = TEST) -> Pair:
    """Points of a problem whose map is known, so many to learn from and to test on."""
    keys = jax.random.split(jax.random.key(seed), 3)
    assert problem.map is not None
    x_test = problem.source.sample(keys[2], test)
    clouds = {
        "x": problem.source.sample(keys[0], train),
        "y": problem.target.sample(keys[1], train),
        "x_test": x_test,
        "t_test": problem.map(x_test),
    }
    # In single precision, as the files are.
    single = {name: np.asarray(cloud, np.float32) for name, cloud in clouds.items()}
    return Pair(problem.name, **single, laws=(problem.source, problem.target))


def _of_file(path: Path) -> Pair:
    with np.load(path, allow_pickle=False) as file:
        missing = set(_ARRAYS) - set(file.files)
        if missing:
            raise ValueError(f"--data: got {path} without {sorted(missing)}; wants those arrays.")
        return Pair(path.stem, *(file[name] for name in _ARRAYS))
