"""The two clouds that a map is learned between."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from brenier._types import Key
from brenier.estimators.data._cloud import Cloud, read_cloud
from brenier.estimators.data._columns import aligned, column_names
from brenier.estimators.data._components import Components, dense, opened, principal_components
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import Coordinates, check_outliers

# Points drawn from a target that is not a cloud.
_DRAWN = 16_384


@dataclass(frozen=True)
class Layout:
    """What of AnnData is taken, and how many principal components are learned in."""

    components: int | None
    layer: str | None
    obsm: str | None


@dataclass(frozen=True, eq=False)
class Pair:
    """Source and target as clouds, checked, in the units of the data or in components of them.

    Args:
        source, target: the clouds, each less its origin.
        density: the target itself, where it is a measure whose density is known.
        names: of the columns, where they have any.
        space: the principal components that both clouds are in; None for the data's own columns.
    """

    source: Cloud
    target: Cloud
    density: AbstractMeasure | None
    names: list[Any] | None
    space: Components | None

    @property
    def dimension(self) -> int:
        return self.source.points.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """That of the map: the wider of the two clouds'."""
        return np.result_type(self.source.points, self.target.points)

    @property
    def size(self) -> int:
        """Points of the smaller cloud."""
        return min(len(self.source.points), len(self.target.points))

    @property
    def coordinates(self) -> Coordinates:
        """Those of points less their origins in which the Gaussian map of both is the identity."""
        return Coordinates.gaussian(
            self.source.mean, self.source.covariance, self.target.mean, self.target.covariance
        )

    def in_units(self, coordinates: Coordinates) -> Coordinates:
        """The coordinates of points as they were given, of those of points less their origins."""
        return Coordinates(
            coordinates.matrix,
            coordinates.source_shift + self.source.origin,
            coordinates.target_shift + self.target.origin,
            coordinates.scale,
        )


def read_pair(
    x: Any, y: Any, layout: Layout, *, outliers: str, random_state: int, key: Key
) -> Pair:
    """Source and target out of what a user hands in.

    Args:
        x: an array (n, d), a data frame or AnnData.
        y: the same with m rows, or a measure, from which points are drawn.
        layout: what is taken of them.
        outliers: "warn" of rows far outside, "keep" them silently, or "drop" them.
        random_state: of samples of large clouds and of components.
        key: of points drawn from a measure.

    Raises:
        ValueError: as ``MongeMap.fit``.
    """
    x, y = (opened(name, value, layout.layer, layout.obsm) for name, value in (("X", x), ("Y", y)))
    space = principal_components(
        x, y, layout.components, embedded=layout.obsm is not None, random_state=random_state
    )
    if space is None:
        x = dense(x)
        names = column_names("X", x)
        density = y if isinstance(y, AbstractMeasure) and y.has_density else None
        y = _drawn(y, key) if isinstance(y, AbstractMeasure) else aligned("Y", dense(y), names)
    else:
        x, y, density = space.x, space.y, None
        names = None if space.names is None else list(space.names)
    check_outliers(outliers)
    columns = names if space is None else None
    source = read_cloud("X", x, None, random_state=random_state, outliers=outliers, columns=columns)
    target = read_cloud(
        "Y",
        y,
        source.points.shape[1],
        random_state=random_state + 1,
        outliers=outliers,
        columns=columns,
    )
    return Pair(source, target, density, names, space)


def _drawn(measure: AbstractMeasure, key: Key) -> np.ndarray:
    """The atoms of a cloud without weights, or points drawn from the measure."""
    if isinstance(measure, Empirical) and measure.weights is None:
        return np.asarray(measure.points)
    return np.asarray(measure.sample(key, _DRAWN))
