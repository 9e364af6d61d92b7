"""Conditional maps on fresh points: what belongs together, and what an audit says of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np

from brenier._types import Key, RowWeights
from brenier.estimators._notebook import with_names
from brenier.estimators.conditional._certificates import ConditionalCertificate
from brenier.maps import AbstractMap, ConditionalMap, SubspaceMap

# The rows of each condition.
Grouped: TypeAlias = Mapping[tuple[str | float, ...], np.ndarray]


@dataclass(frozen=True, eq=False)
class Told:
    """Points of one side, as they are judged by.

    Args:
        points: rows of an array or of a sparse matrix.
        rows: of each condition.
        weights: (n,), or None.
    """

    points: Any
    rows: Grouped
    weights: RowWeights = None

    @classmethod
    def of(cls, points: Any, rows: Grouped, weights: RowWeights) -> "Told":
        """With those rows alone that have a weight, and conditions that have such rows."""
        if weights is None:
            return cls(points, rows)
        kept = {condition: own[weights[own] > 0] for condition, own in rows.items()}
        return cls(points, {condition: own for condition, own in kept.items() if len(own)}, weights)

    def at(self, condition: tuple[str | float, ...]) -> tuple[Any, RowWeights]:
        """The points of one condition, and their weights."""
        own = self.rows[condition]
        return self.points[own], None if self.weights is None else self.weights[own]


@dataclass(frozen=True, eq=False)
class ConditionPair:
    """One condition: what it is called, its map, and its points with their weights.

    Args:
        name: of the condition, in words.
        map: of components, where it is of components, as the points are.
        source, source_weights: (n, d) and (n,).
        target, target_weights: (m, d) and (m,), or None.
    """

    name: str
    map: AbstractMap
    source: np.ndarray
    source_weights: RowWeights
    target: np.ndarray | None = None
    target_weights: RowWeights = None


def condition_pairs(map: ConditionalMap, x: Told, y: Told | None = None) -> Iterator[ConditionPair]:
    """Each condition of source points, with its map and its points.

    Raises:
        ValueError: other conditions on one side than on the other.
    """
    told = [] if y is None else [("condition_Y", y.rows, x.rows), ("condition_X", x.rows, y.rows)]
    for name, own, other in told:
        absent = [map.covariates.described(c) for c in other if c not in own]
        if absent:
            raise ValueError(
                f"{name}: got no row of {'; '.join(absent[:5])}, which the other side has; wants "
                "the same conditions on both."
            )
    conditions = sorted(x.rows)
    for condition, own_map in zip(conditions, map.each(conditions), strict=True):
        source, a = x.at(condition)
        target, b = (None, None) if y is None else y.at(condition)
        if isinstance(own_map, SubspaceMap):
            source = own_map.coordinates(source)
            target = None if target is None else own_map.coordinates(target)
            own_map = own_map.map
        yield ConditionPair(map.covariates.described(condition), own_map, source, a, target, b)


def audit_conditions(
    map: ConditionalMap,
    x: Told,
    y: Told | None = None,
    *,
    key: Key,
    level: float = 0.95,
    budget: float = 20.0,
    names: list[Any] | None = None,
) -> ConditionalCertificate:
    """A certificate for each condition, at levels at which all hold together.

    Args:
        map: what is audited.
        x: source points.
        y: target points; None where no target is asked for.
        key: of all randomness.
        level: of all together.
        budget: seconds of all together.
        names: of the columns.
    """
    from brenier.certify import audit

    found = {}
    count = len(x.rows)
    for k, pair in enumerate(condition_pairs(map, x, y)):
        try:
            one = audit(
                pair.map,
                pair.source,
                pair.target,
                key=jax.random.fold_in(key, k),
                level=1.0 - (1.0 - level) / count,
                budget=budget / count,
                source_weights=pair.source_weights,
                target_weights=pair.target_weights,
            )
        except ValueError as error:
            raise ValueError(f"{pair.name}: {error}") from error
        found[pair.name] = with_names(one, names)
    return ConditionalCertificate(found, level)
