"""Which cells are trained on, which are left out, and what is measured of a prediction."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from brenier.io import read_cells

# Training cells of each condition: equally many in every fit, another subset for each seed.
TRAINED = 640
HELD_OUT = 200
TYPES = 10
SPACE = 50
GENES = 50


@dataclasses.dataclass(frozen=True)
class Task:
    """One fit and its test: AnnData of control and IFN-beta cells."""

    name: str
    seed: int
    control: Any
    treated: Any
    test_control: Any
    test_treated: Any


def tasks(path: Path, seeds: list[int]) -> Iterator[Task]:
    """For each seed, held-out cells of all types, and each of the largest types left out."""
    cells = read_cells(path)
    for column, values in (("condition", ("control", "ifnb")), ("cell_type", ())):
        if column not in cells.obs or not set(values) <= set(cells.obs[column]):
            raise ValueError(
                f"--data: got {path} without a column {column!r} {list(values)} in "
                "obs; wants kang_ifnb_pbmc.h5ad."
            )
    kind = np.asarray(cells.obs["cell_type"].astype(str))
    sides = [
        np.flatnonzero(np.asarray(cells.obs["condition"] == value)) for value in ("control", "ifnb")
    ]
    names, counts = np.unique(kind, return_counts=True)
    largest = [str(name) for name in names[np.argsort(-counts, kind="stable")][:TYPES]]
    for seed in seeds:
        random = np.random.default_rng(seed)
        mixed = [random.permutation(side) for side in sides]
        yield _task(
            "held out",
            seed,
            cells,
            [m[HELD_OUT:][:TRAINED] for m in mixed],
            [m[:HELD_OUT] for m in mixed],
        )
        for name in largest:
            others = [random.permutation(side[kind[side] != name])[:TRAINED] for side in sides]
            yield _task(name, seed, cells, others, [side[kind[side] == name] for side in sides])


def _task(
    name: str, seed: int, cells: Any, trained: list[np.ndarray], tested: list[np.ndarray]
) -> Task:
    return Task(name, seed, *(cells[rows].copy() for rows in (*trained, *tested)))


@dataclasses.dataclass(frozen=True)
class Measures:
    """What predictions of one task are compared by.

    Args:
        observed: the IFN-beta cells (m, genes).
        basis: (genes, 50), principal components of the training cells: energy distance and MMD
            are taken along them.
        genes: the 50 whose means differ most between the training conditions, by Welch's t.
    """

    observed: np.ndarray
    basis: np.ndarray
    genes: np.ndarray

    def of(self, predicted: np.ndarray) -> dict[str, float]:
        """Energy distance and MMD without bias, r² of mean and variance of the genes."""
        x, y = predicted @ self.basis, self.observed @ self.basis
        between, first, second = distances(x, y), distances(x, x), distances(y, y)
        width = 2.0 * float(np.median(second[~np.eye(len(second), dtype=bool)])) ** 2
        kernels = [np.exp(-(d**2) / width) for d in (between, first, second)]
        moments = [
            (side[:, self.genes].mean(axis=0), side[:, self.genes].var(axis=0))
            for side in (predicted, self.observed)
        ]
        return {
            "energy": 2.0 * between.mean() - _off_diagonal(first) - _off_diagonal(second),
            "mmd": _off_diagonal(kernels[1]) + _off_diagonal(kernels[2]) - 2.0 * kernels[0].mean(),
            "r2_mean": _r2(moments[0][0], moments[1][0]),
            "r2_variance": _r2(moments[0][1], moments[1][1]),
        }


def differential(control: Any, treated: Any) -> np.ndarray:
    """The columns of the genes of largest |t|, Welch's, between the training conditions."""
    (m0, v0), (m1, v1) = (_moments(side) for side in (control, treated))
    spread = np.sqrt(v0 / control.shape[0] + v1 / treated.shape[0])
    t = np.where(spread > 0, np.abs(m1 - m0) / np.where(spread > 0, spread, 1.0), 0.0)
    return np.argsort(-t, kind="stable")[:GENES]


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """‖x_i − y_j‖, (n, m)."""
    from scipy.spatial.distance import cdist

    return cdist(x, y)


def _moments(side: Any) -> tuple[np.ndarray, np.ndarray]:
    mean = np.asarray(side.mean(axis=0, dtype=np.float64)).ravel()
    square = np.asarray(side.multiply(side).mean(axis=0, dtype=np.float64)).ravel()
    return mean, np.maximum(square - mean**2, 0.0)


def _off_diagonal(square: np.ndarray) -> float:
    """The mean over pairs i ≠ j: without the bias of a cloud's distance to itself."""
    n = len(square)
    return float((square.sum() - np.trace(square)) / (n * (n - 1)))


def _r2(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1] ** 2)
