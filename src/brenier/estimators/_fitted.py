"""What a fitted map makes of points as users hand them in."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.utils._set_output import _get_output_config, _wrap_data_with_container
from sklearn.utils.validation import check_is_fitted

from brenier._types import RowWeights
from brenier.estimators.data import (
    MOST_POINTS,
    dense,
    given_weights,
    kept_columns,
    known_points,
    opened,
    weighted_rows,
)
from brenier.estimators.growth import grown_weights
from brenier.io import Cells, is_cells
from brenier.maps import AbstractMap, ConditionalMap, SubspaceMap
from brenier.measures import AbstractMeasure

_Method = TypeVar("_Method", bound=Callable[..., np.ndarray])


def fitted_points(estimator: Any, name: str, value: Any) -> Any:
    """Checked points (n, d): an array, or a sparse matrix where the maps are of components."""
    check_is_fitted(estimator)
    value = opened(name, value, estimator.layer, estimator.obsm)
    if isinstance(value, Cells):
        value = value.aligned(kept_columns(estimator), "the fitted map")
        whole = value.values.shape[1] == estimator.n_features_in_
        if whole and _is_of_components(estimator.map_):
            return value.in_memory().values
        value = dense(value)
    return known_points(estimator, name, value)


def _is_of_components(map: AbstractMap | ConditionalMap) -> bool:
    if isinstance(map, ConditionalMap):
        return map.basis is not None
    return isinstance(map, SubspaceMap)


def moved(estimator: Any, value: Any, *, inverse: bool) -> np.ndarray:
    """T, or T⁻¹, of points (n, d), in their dtype, block after block."""
    points = fitted_points(estimator, "X", value)
    map = estimator.map_.inverse() if inverse else estimator.map_
    if isinstance(map, SubspaceMap):
        return map.of_rows(points)
    images = np.empty(points.shape, points.dtype)
    for start in range(0, len(points), MOST_POINTS):
        rows = slice(start, start + MOST_POINTS)
        images[rows] = np.asarray(map(points[rows]))
    return images


def framed(method: _Method) -> _Method:
    """A method whose points (n, d) are of the kind that ``set_output`` asks for.

    As scikit-learn frames those of ``transform`` alone; rows of AnnData, which it does not know,
    keep the names of their cells in frames of pandas.
    """

    @functools.wraps(method)
    def asked(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        given: Any = args[0] if args else kwargs.get("X")
        images = method(estimator, *args, **kwargs)
        images = _wrap_data_with_container("transform", images, given, estimator)
        if is_cells(given) and _get_output_config("transform", estimator)["dense"] == "pandas":
            images.index = given.obs_names
        return images

    return cast(_Method, asked)


def seen(estimator: Any, name: str, value: Any) -> tuple[AbstractMap, np.ndarray]:
    """The map and points to judge it by: in components where it was learned there."""
    points = fitted_points(estimator, name, value)
    if isinstance(estimator.map_, SubspaceMap):
        return estimator.map_.map, estimator.map_.coordinates(points)
    return estimator.map_, points


def judged(
    estimator: Any, X: Any, Y: Any, source_weights: Any, target_weights: Any
) -> tuple[AbstractMap, tuple[np.ndarray, RowWeights], tuple[Any, RowWeights]]:
    """The map, and points or a measure to judge it by, with their weights."""
    X, a = given_weights("source_weights", source_weights, "X", X)
    Y, b = given_weights("target_weights", target_weights, "Y", Y)
    map, x = seen(estimator, "X", X)
    if Y is None or isinstance(Y, AbstractMeasure):
        return map, (x, a), (Y, b)
    return map, (x, a), (seen(estimator, "Y", Y)[1], b)


def grown_sides(
    estimator: Any, map: AbstractMap, *sides: tuple[np.ndarray, RowWeights]
) -> tuple[AbstractMap, tuple[np.ndarray, RowWeights], tuple[np.ndarray, RowWeights]]:
    """What ``judged`` gives with weights times their growth, less points that have none."""
    source, target = (
        weighted_rows(points, grown_weights(estimator.growth_, points, weights, side))
        for (points, weights), side in zip(sides, ("source", "target"), strict=True)
    )
    return map, source, target
