"""Conditional maps on fresh points: what belongs together, and what an audit says of it."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

from brenier._types import Key
from brenier.estimators._notebook import with_names
from brenier.estimators.conditional._certificates import ConditionalCertificate
from brenier.maps import AbstractMap, ConditionalMap, SubspaceMap

# The rows of each condition.
Grouped: TypeAlias = Mapping[tuple[str | float, ...], np.ndarray]


def condition_pairs(
    map: ConditionalMap, x: Any, first: Grouped, y: Any = None, second: Grouped | None = None
) -> Iterator[tuple[str, AbstractMap, np.ndarray, np.ndarray | None]]:
    """Each condition in words, its map, and its points: of components where it is of components.

    Raises:
        ValueError: other conditions on one side than on the other.
    """
    told = (("condition_Y", second, first), ("condition_X", first, second))
    for name, own, other in told if second is not None else ():
        assert own is not None
        absent = [map.covariates.described(c) for c in other or () if c not in own]
        if absent:
            raise ValueError(
                f"{name}: got no row of {'; '.join(absent[:5])}, which the other side has; wants "
                "the same conditions on both."
            )
    for condition in sorted(first):
        own_map = map.at(condition)
        source = x[first[condition]]
        target = None if second is None else y[second[condition]]
        if isinstance(own_map, SubspaceMap):
            source = own_map.coordinates(source)
            target = None if target is None else own_map.coordinates(target)
            own_map = own_map.map
        yield map.covariates.described(condition), own_map, source, target


def audit_conditions(
    map: ConditionalMap,
    x: Any,
    first: Grouped,
    y: Any = None,
    second: Grouped | None = None,
    *,
    key: Key,
    level: float = 0.95,
    budget: float = 20.0,
    names: list[Any] | None = None,
) -> ConditionalCertificate:
    """A certificate for each condition, at levels at which all hold together.

    Args:
        map: what is audited.
        x: source points, rows of an array or of a sparse matrix.
        first: the rows of x of each condition.
        y: target points, and ``second`` their rows; None where no target is asked for.
        second: see there.
        key: of all randomness.
        level: of all together.
        budget: seconds of all together.
        names: of the columns.
    """
    from brenier.certify import audit

    found = {}
    for k, (name, own, source, target) in enumerate(condition_pairs(map, x, first, y, second)):
        try:
            one = audit(
                own,
                source,
                target,
                key=jax.random.fold_in(key, k),
                level=1.0 - (1.0 - level) / len(first),
                budget=budget / len(first),
            )
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        found[name] = with_names(one, names)
    return ConditionalCertificate(found, level)
