"""From two clouds and their conditions to one map for each."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._frames import Frame
from brenier._progress import ProgressCallback
from brenier.estimators.candidates import Effort
from brenier.estimators.conditional._choice import ConditionalTable, choose
from brenier.estimators.conditional._columns import check_rows, read_columns
from brenier.estimators.conditional._conditions import Conditions
from brenier.estimators.conditional._parts import Learner
from brenier.estimators.conditional._sides import Side, Sides, within_conditions
from brenier.estimators.data import (
    MOST_POINTS,
    Components,
    Layout,
    given_weights,
    opened,
    read_pair,
)
from brenier.io import Cells, Table, check_output_folder
from brenier.maps import ConditionalMap
from brenier.measures import AbstractMeasure
from brenier.numerics import Kriging, cast_floats


@dataclass(frozen=True, eq=False)
class ConditionalFit:
    """The map, what it was mixed from, the names of its columns, and what was left out.

    Args:
        map, table, names: see there.
        outliers: the rows of X and of Y that lie far outside of all others.
        effective: how many rows those of X and of Y count for.
    """

    map: ConditionalMap
    table: ConditionalTable
    names: list[Any] | None
    outliers: tuple[np.ndarray, np.ndarray]
    effective: tuple[float, float]


def fit_conditions(
    x: Any,
    y: Any,
    condition_x: Any,
    condition_y: Any,
    *,
    weights: tuple[Any, Any],
    layout: Layout,
    outliers: str,
    effort: Effort,
    seed: int,
    tell: ProgressCallback,
    checkpoint: str | os.PathLike[str] | None,
) -> ConditionalFit:
    """The conditional map between points (n, d) and (m, d).

    Raises:
        ValueError: as ``ConditionalMongeMap.fit``.
    """
    for name, value in (("X", x), ("Y", y)):
        if isinstance(value, AbstractMeasure):
            raise ValueError(f"{name}: got the measure {type(value).__name__}; wants points.")
    x, columns_x = read_columns("condition_X", condition_x, "X", x)
    y, columns_y = read_columns("condition_Y", condition_y, "Y", y)
    x, a = given_weights("source_weights", weights[0], "X", x)
    y, b = given_weights("target_weights", weights[1], "Y", y)
    sizes = _rows("X", x), _rows("Y", y)
    check_rows("condition_X", columns_x, sizes[0])
    check_rows("condition_Y", columns_y, sizes[1])
    key = jax.random.key(seed)
    pair = read_pair(x, y, layout, outliers=outliers, random_state=seed, key=key, weights=(a, b))
    own = Conditions.of(
        [column.at(pair.source.kept) for column in columns_x],
        [column.at(pair.target.kept) for column in columns_y],
    )
    coordinates = pair.coordinates
    home, count = coordinates.on_host(), len(own.known)
    encoded = (
        home.encode_source(pair.source.points.astype(np.float64)),
        home.encode_target(pair.target.points.astype(np.float64)),
    )
    first, second = (
        Side(points, of, cloud.sound, within_conditions(cloud.weights, of, count))
        for points, of, cloud in zip(
            encoded, (own.of_x, own.of_y), (pair.source, pair.target), strict=True
        )
    )
    sides = Sides(first, second, own.codes, own.covariates.layout)
    folder = None if checkpoint is None else Path(checkpoint)
    if folder is not None:
        check_output_folder(folder)
        folder.mkdir(exist_ok=True)
    learner = Learner(coordinates, effort, seed, tell, checkpoint=folder)
    potential, table = choose(sides, learner, tell)
    parts: tuple[Any, ...] = (None, None, None)
    if pair.space is not None:
        clouds = [opened(n, z, layout.layer, layout.obsm) for n, z in (("X", x), ("Y", y))]
        frame = (jnp.asarray(z) for z in (pair.space.basis, pair.space.centre))
        told = [
            _Rows.of_side(side, cloud.kept, size)
            for side, cloud, size in zip(sides.both, (pair.source, pair.target), sizes, strict=True)
        ]
        parts = (*frame, _across(clouds, pair.space, sides, told))
    units = pair.in_units(coordinates)
    map = ConditionalMap(potential, units, own.covariates, own.known, *parts)
    return ConditionalFit(
        cast_floats(map, pair.dtype),
        table,
        pair.names,
        (pair.source.outliers, pair.target.outliers),
        (pair.source.rows, pair.target.rows),
    )


def _rows(name: str, value: Any) -> int:
    value = value.values if isinstance(value, Cells | Frame | Table) else value
    rows = int(value.shape[0]) if isinstance(getattr(value, "shape", None), tuple) else len(value)
    if rows > MOST_POINTS:
        raise ValueError(f"{name}: got {rows:,} rows; wants at most {MOST_POINTS:,}: draw some.")
    return rows


@dataclass(frozen=True, eq=False)
class _Rows:
    """What each row of what was handed in counts for, those that were left out among them.

    Args:
        of: its condition, (n,); any of those left out.
        masses: its weight, (n,); 0 of those.
    """

    of: np.ndarray
    masses: np.ndarray

    @classmethod
    def of_side(cls, side: Side, kept: np.ndarray, size: int) -> "_Rows":
        """Of the rows of one side, which are the ``kept`` of so many."""
        of, masses = np.zeros(size, int), np.zeros(size)
        of[kept], masses[kept] = side.of, side.masses
        return cls(of, masses)


def _across(clouds: list[Any], space: Components, sides: Sides, told: list[_Rows]) -> Kriging:
    """By how much the means of each condition differ across the components, (d,).

    All columns share one rule of smoothing: what is across the components stays so.
    """
    x, y = clouds
    if isinstance(y, Cells) and isinstance(x, Cells):
        y = y.aligned(x.names, "X")
    count = len(sides)
    (first, square), (second, other) = (
        _means(cloud, own, count) for cloud, own in zip((x, y), told, strict=True)
    )
    apart = second - first
    across = apart - (apart @ space.basis) @ space.basis.T
    spread = np.sqrt(np.maximum(0.5 * (square + other), 1e-12 * np.max(square + other)))
    noise = np.sum(1.0 / sides.counts, axis=1)
    return Kriging.fit(sides.codes, sides.layout, across, noise=noise, scales=spread)


def _means(cloud: Any, rows: _Rows, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each condition (k, d), and the variance of every column (d,)."""
    blocks = cloud.blocks() if isinstance(cloud, Cells) else [np.asarray(cloud, np.float64)]
    total: Any = 0.0
    square: Any = 0.0
    start = 0
    for block in blocks:
        of, masses = (own[start : start + block.shape[0]] for own in (rows.of, rows.masses))
        start += block.shape[0]
        members = masses * (of == np.arange(count)[:, None])
        total = total + np.asarray(members @ block)
        dense = block if isinstance(block, np.ndarray) else block.toarray()
        square = square + masses @ np.square(dense, dtype=np.float64)
    counts = np.bincount(rows.of, rows.masses, count)
    mean = np.sum(total, axis=0) / counts.sum()
    return total / counts[:, None], square / counts.sum() - mean**2
