"""From two clouds and their conditions to one map for each."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import ProgressCallback
from brenier.estimators.conditional._choice import ConditionalTable, choose
from brenier.estimators.conditional._conditions import Conditions, read_columns
from brenier.estimators.conditional._parts import Learner
from brenier.estimators.conditional._sides import Sides
from brenier.estimators.data import MOST_POINTS, Components, Layout, opened, read_pair
from brenier.io import Cells, Table
from brenier.maps import ConditionalMap
from brenier.measures import AbstractMeasure
from brenier.numerics import Kriging, cast_floats


@dataclass(frozen=True, eq=False)
class ConditionalFit:
    """The map, what it was mixed from, and the names of its columns."""

    map: ConditionalMap
    table: ConditionalTable
    names: list[Any] | None


def fit_conditions(
    x: Any,
    y: Any,
    condition_x: Any,
    condition_y: Any,
    *,
    layout: Layout,
    effort: str,
    seed: int,
    tell: ProgressCallback,
) -> ConditionalFit:
    """The conditional map between points (n, d) and (m, d).

    Raises:
        ValueError: as ``ConditionalMongeMap.fit``.
    """
    for name, value in (("X", x), ("Y", y)):
        if isinstance(value, AbstractMeasure):
            raise ValueError(f"{name}: got the measure {type(value).__name__}; wants points.")
    pair = read_pair(x, y, layout, outliers="keep", random_state=seed, key=jax.random.key(seed))
    own = Conditions.of(
        read_columns("condition_X", condition_x, x, _rows("X", x)),
        read_columns("condition_Y", condition_y, y, _rows("Y", y)),
    )
    coordinates = pair.coordinates
    home = coordinates.on_host()
    sides = Sides(
        home.encode_source(pair.source.points.astype(np.float64)),
        home.encode_target(pair.target.points.astype(np.float64)),
        own.of_x,
        own.of_y,
        own.codes,
        own.covariates.layout,
    )
    potential, table = choose(sides, Learner(coordinates, effort, seed, tell), tell)
    parts: tuple[Any, ...] = (None, None, None)
    if pair.space is not None:
        clouds = [opened(n, z, layout.layer, layout.obsm) for n, z in (("X", x), ("Y", y))]
        frame = (jnp.asarray(z) for z in (pair.space.basis, pair.space.centre))
        parts = (*frame, _across(clouds, pair.space, own))
    units = pair.in_units(coordinates)
    map = ConditionalMap(potential, units, own.covariates, own.known, *parts)
    return ConditionalFit(cast_floats(map, pair.dtype), table, pair.names)


def _rows(name: str, value: Any) -> int:
    value = value.values if isinstance(value, Cells | Table) else value
    rows = int(value.shape[0]) if isinstance(getattr(value, "shape", None), tuple) else len(value)
    if rows > MOST_POINTS:
        raise ValueError(f"{name}: got {rows:,} rows; wants at most {MOST_POINTS:,}: draw some.")
    return rows


def _across(clouds: list[Any], space: Components, own: Conditions) -> Kriging:
    """By how much the means of each condition differ across the components, (d,).

    All columns share one rule of smoothing: what is across the components stays so.
    """
    x, y = clouds
    if isinstance(y, Cells) and isinstance(x, Cells):
        y = y.aligned(x.names, "X")
    count = len(own.known)
    (first, square), (second, other) = (
        _means(cloud, of, count) for cloud, of in ((x, own.of_x), (y, own.of_y))
    )
    apart = second - first
    across = apart - (apart @ space.basis) @ space.basis.T
    spread = np.sqrt(np.maximum(0.5 * (square + other), 1e-12 * np.max(square + other)))
    counts = [np.bincount(of, minlength=count) for of in (own.of_x, own.of_y)]
    noise = 1.0 / counts[0] + 1.0 / counts[1]
    layout = own.covariates.layout
    return Kriging.fit(own.codes, layout, across, noise=noise, scales=spread)


def _means(cloud: Any, of: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each condition (k, d), and the variance of every column (d,)."""
    blocks = cloud.blocks() if isinstance(cloud, Cells) else [np.asarray(cloud, np.float64)]
    total: Any = 0.0
    square: Any = 0.0
    start = 0
    for block in blocks:
        rows = of[start : start + block.shape[0]]
        start += block.shape[0]
        members = (rows == np.arange(count)[:, None]).astype(np.float64)
        total = total + np.asarray(members @ block)
        dense = block if isinstance(block, np.ndarray) else block.toarray()
        square = square + np.sum(np.square(dense, dtype=np.float64), axis=0)
    counts = np.bincount(of, minlength=count)
    mean = np.sum(total, axis=0) / len(of)
    return total / counts[:, None], square / len(of) - mean**2
