"""The two clouds that a map is learned between."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from brenier._types import Key
from brenier.estimators.data._cloud import Cloud, read_cloud, reweighted
from brenier.estimators.data._columns import aligned, column_names
from brenier.estimators.data._components import Components, dense, opened, principal_components
from brenier.estimators.data._given_weights import given_weights, telling, warn_of_one_row
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import Coordinates, check_outliers

# Points drawn from a measure that is not a cloud.
_DRAWN = 16_384
# What counts as points without end.
_ENDLESS = 2**17


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
        laws: source and target themselves, where they are measures: fresh points come from them.
        names: of the columns, where they have any.
        space: the principal components that both clouds are in; None for the data's own columns.
    """

    source: Cloud
    target: Cloud
    laws: tuple[AbstractMeasure | None, AbstractMeasure | None]
    names: list[Any] | None
    space: Components | None

    @property
    def has_density(self) -> bool:
        """Whether the target is a measure whose density is known."""
        return self.laws[1] is not None and self.laws[1].has_density

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
        return min(self.source.size, self.target.size)

    @property
    def learnable(self) -> int:
        """Points of the smaller side that there are to learn from; of a law, without end."""
        clouds = zip((self.source, self.target), self.laws, strict=True)
        return min(cloud.size if law is None else _ENDLESS for cloud, law in clouds)

    @property
    def coordinates(self) -> Coordinates:
        """Those of points less their origins in which the Gaussian map of both is the identity."""
        return Coordinates.gaussian(
            self.source.mean, self.source.covariance, self.target.mean, self.target.covariance
        )

    def reweighted(
        self, source: np.ndarray, target: np.ndarray, space: Components | None
    ) -> "Pair":
        """The pair with so many times the weight of each point (n,), (m,); in components of it."""
        clouds = reweighted(self.source, source), reweighted(self.target, target)
        return replace(self, source=clouds[0], target=clouds[1], space=space)

    def in_units(self, coordinates: Coordinates) -> Coordinates:
        """The coordinates of points as they were given, of those of points less their origins."""
        return Coordinates(
            coordinates.matrix,
            coordinates.source_shift + self.source.origin,
            coordinates.target_shift + self.target.origin,
            coordinates.scale,
        )


def read_pair(
    x: Any,
    y: Any,
    layout: Layout,
    *,
    outliers: str,
    random_state: int,
    key: Key,
    weights: tuple[Any, Any] = (None, None),
) -> Pair:
    """Source and target out of what a user hands in.

    Args:
        x: an array (n, d), a data frame, AnnData, or a measure, from which points are drawn.
        y: the same with m rows.
        layout: what is taken of them.
        outliers: "warn" of rows far outside, "keep" them silently, or "drop" them.
        random_state: of samples of large clouds and of components.
        key: of points drawn from measures.
        weights: of the rows of both, or the columns that hold them.

    Raises:
        ValueError: as ``MongeMap.fit``.
    """
    x, x_weights = given_weights("source_weights", weights[0], "X", x)
    y, y_weights = given_weights("target_weights", weights[1], "Y", y)
    warn_of_one_row("source_weights", x_weights)
    warn_of_one_row("target_weights", y_weights)
    x_weights, y_weights = telling(x_weights), telling(y_weights)
    x, y = (opened(name, value, layout.layer, layout.obsm) for name, value in (("X", x), ("Y", y)))
    space = principal_components(
        x,
        y,
        layout.components,
        embedded=layout.obsm is not None,
        random_state=random_state,
        weights=(x_weights, y_weights),
    )
    laws: list[AbstractMeasure | None] = [None, None]
    if space is None:
        x, x_weights, laws[0] = _points_and_law(x, x_weights, key)
        names = None if laws[0] is not None else column_names(x)
        y, y_weights, laws[1] = _points_and_law(y, y_weights, jax.random.fold_in(key, 1))
        y = y if laws[1] is not None else aligned("Y", y, names)
    else:
        x, y = space.x, space.y
        names = None if space.names is None else list(space.names)
    check_outliers(outliers)
    columns = names if space is None else None
    source = read_cloud(
        "X",
        x,
        None,
        random_state=random_state,
        outliers=outliers,
        columns=columns,
        weights=x_weights,
    )
    target = read_cloud(
        "Y",
        y,
        source.points.shape[1],
        random_state=random_state + 1,
        outliers=outliers,
        columns=columns,
        weights=y_weights,
    )
    return Pair(source, target, (laws[0], laws[1]), names, space)


def _points_and_law(
    value: Any, weights: np.ndarray | None, key: Key
) -> tuple[Any, np.ndarray | None, AbstractMeasure | None]:
    """Points, their weights, and the measure that they are drawn from; atoms are points."""
    if not isinstance(value, AbstractMeasure):
        return dense(value), weights, None
    if isinstance(value, Empirical):
        own = None if value.weights is None else np.asarray(value.weights, np.float64)
        return np.asarray(value.points), own, None
    return np.asarray(value.sample(key, _DRAWN)), None, value
