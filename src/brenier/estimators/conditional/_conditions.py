"""The conditions that there are on both sides."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brenier.estimators.conditional._columns import Column, in_order, own_names
from brenier.maps import Covariates

# Points a side that a condition needs, at least: fewer have no spread.
FEWEST = 2
_NAMED = 5


@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions of two clouds.

    Args:
        covariates: what they are told by.
        known: the conditions that there are, sorted.
        of_x, of_y: which of them each row is of, (n,) and (m,).
    """

    covariates: Covariates
    known: tuple[tuple[str | float, ...], ...]
    of_x: np.ndarray
    of_y: np.ndarray

    @classmethod
    def of(cls, columns_x: Sequence[Column], columns_y: Sequence[Column]) -> "Conditions":
        """The conditions of rows of source and target.

        Raises:
            ValueError: other covariates on one side, a condition on one side alone, or one of too
                few rows.
        """
        columns_y = in_order("condition_Y", columns_y, own_names(columns_x))
        first, second = ([column.is_number for column in side] for side in (columns_x, columns_y))
        if first != second:
            kinds = {True: "numbers", False: "categories"}
            raise ValueError(
                f"condition_Y: got columns of {[kinds[k] for k in second]}; wants those of "
                f"condition_X, {[kinds[k] for k in first]}."
            )
        rows_x, rows_y = (
            list(zip(*(column.values.tolist() for column in side), strict=True))
            for side in (columns_x, columns_y)
        )
        known = tuple(sorted(set(rows_x) | set(rows_y)))
        named = columns_y if own_names(columns_x) is None else columns_x
        covariates = _covariates(named, known)
        place = {condition: i for i, condition in enumerate(known)}
        for name, rows in (("condition_X", rows_x), ("condition_Y", rows_y)):
            _check_counts(name, Counter(rows), known, covariates)
        of_x, of_y = (np.array([place[row] for row in rows]) for rows in (rows_x, rows_y))
        return cls(covariates, known, of_x, of_y)

    @property
    def codes(self) -> np.ndarray:
        """(k, e), of the known conditions."""
        return np.stack([self.covariates.encode(condition) for condition in self.known])


def _covariates(columns: Sequence[Column], known: Sequence[tuple[Any, ...]]) -> Covariates:
    categories: list[tuple[str, ...]] = []
    centres, spreads = np.zeros(len(columns)), np.ones(len(columns))
    for i, column in enumerate(columns):
        values = sorted({condition[i] for condition in known})
        categories.append(() if column.is_number else tuple(values))
        if column.is_number:
            centres[i], spread = float(np.mean(values)), float(np.std(values))
            spreads[i] = spread if spread > 0 else 1.0
    names = tuple(column.name for column in columns)
    return Covariates(names, tuple(categories), centres, spreads, own_names(columns) is not None)


def _check_counts(
    name: str, counts: Counter, known: Sequence[tuple[Any, ...]], covariates: Covariates
) -> None:
    absent = [covariates.described(c) for c in known if not counts[c]]
    if absent:
        raise ValueError(
            f"{name}: got no row of {_listed(absent)}, which the other side has; wants every "
            "condition on both sides: leave out those rows, and ask transform for that condition."
        )
    few = [f"{covariates.described(c)} ({counts[c]})" for c in known if counts[c] < FEWEST]
    if few:
        numbers = " Numbers that seldom repeat want rounding." if 0 in covariates.layout else ""
        raise ValueError(
            f"{name}: got too few rows of {_listed(few)}; wants at least {FEWEST} of every "
            f"condition: leave out those rows, or join conditions.{numbers}"
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{'; '.join(names[:_NAMED])}{more}"
