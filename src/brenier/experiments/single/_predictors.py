"""Predictors of treated cells from control cells: ours, and those it is compared with."""

from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from brenier import MongeMap
from brenier.experiments._ott import neural_dual, ott_version
from brenier.experiments.single import _cells as cells
from brenier.maps import AffineMap, SubspaceMap
from brenier.numerics import gaussian_map_matrix

# OTT-JAX's neural dual has its library's defaults, but for the number of steps: after some hundreds
# it overfits a few hundred cells.
_STEPS, _BATCH = 1000, 256

# From two clouds (n, k), (m, k) and a seed: a map of points (·, k).
Learner = Callable[[np.ndarray, np.ndarray, int], Callable[[np.ndarray], np.ndarray]]


def predictions(
    task: cells.Task, basis: np.ndarray, centre: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Every method's image of the test's control cells, (n, genes).

    Those in k components move each cell by the difference of the means across them, as ours does.
    """
    x = task.test_control.X
    yield "identity", x.toarray()
    shift = _mean(task.treated.X) - _mean(task.control.X)
    yield "mean shift", x.toarray() + shift
    ours = MongeMap(random_state=task.seed).fit(task.control, task.treated)
    yield "ours", ours.transform(task.test_control)
    assert isinstance(ours.map_, SubspaceMap)
    assert isinstance(ours.map_, SubspaceMap)  # of cells
    inner = ours.map_.map.dimension
    learners: list[tuple[str, Learner]] = [("gaussian", _gaussian)]
    if ott_version() is not None:
        learners.append(("ott neural dual", _expectile_dual))
    for name, learner in learners:
        for k in (cells.SPACE, inner):
            part = basis[:, :k]
            across = shift - part @ (part.T @ shift)
            first, second = (
                np.asarray(side.X @ part) - centre @ part for side in (task.control, task.treated)
            )
            move = learner(first, second, task.seed)
            frame = SubspaceMap(AffineMap.identity(k), part, centre, across)
            yield f"{name} ({k})", frame.of_rows(x, move(frame.coordinates(x)))


def _gaussian(x: np.ndarray, y: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """The closed-form map between the Gaussians of the sample means and covariances."""
    matrix = np.asarray(gaussian_map_matrix(jnp.cov(x.T), jnp.cov(y.T)))
    return lambda points: (points - x.mean(axis=0)) @ matrix + y.mean(axis=0)


def _expectile_dual(x: np.ndarray, y: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """OTT-JAX's neural dual."""
    potentials = neural_dual(x, y, seed, steps=_STEPS, batch=_BATCH)
    return lambda points: np.asarray(
        potentials.transport(jnp.asarray(points, jnp.float32)), np.float64
    )


def _mean(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.mean(axis=0, dtype=np.float64)).ravel()
