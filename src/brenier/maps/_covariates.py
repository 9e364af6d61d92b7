"""What conditions are told by: categories and numbers, and their code."""

import re
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from brenier._checks import refuse_dates
from brenier._types import Array


class Covariates(eqx.Module):
    """Categories and numbers that make a condition, as (cell type,) or (batch, dose).

    Args:
        names: of the covariates.
        categories: those of each that were seen, sorted; none of a number.
        centres, spreads: of each number; its code is (value − centre)/spread. 0 and 1 of others.
        is_named: whether the names are users' own; None where that is not known, as of older files.

    >>> import numpy as np
    >>> own = Covariates(("cell", "dose"), (("B", "T"), ()), np.array([0.0, 2.0]), np.ones(2))
    >>> own.encode(("T", 5.0)).tolist()
    [0.0, 1.0, 3.0]
    """

    names: tuple[str, ...] = eqx.field(static=True)
    categories: tuple[tuple[str, ...], ...] = eqx.field(static=True)
    centres: Float[Array | np.ndarray, " q"]
    spreads: Float[Array | np.ndarray, " q"]
    is_named: bool | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        sizes = {len(self.names), len(self.categories), len(self.centres), len(self.spreads)}
        if len(sizes) > 1 or not self.names:
            raise ValueError(
                f"names, categories, centres, spreads: got {sorted(sizes)} of them; wants one of "
                "each for every covariate, of which there is one at least."
            )

    @property
    def own_names(self) -> tuple[str, ...] | None:
        """What users call the covariates; None where they did not say, and are told "condition".

        >>> Covariates(("condition",), ((),), np.zeros(1), np.ones(1)).own_names is None
        True
        """
        if self.is_named is not None:
            return self.names if self.is_named else None
        made_up = all(re.fullmatch(r"condition( \d+)?", name) for name in self.names)
        return None if made_up else self.names

    @property
    def layout(self) -> tuple[int, ...]:
        """For each covariate how many categories it has; 0 for a number."""
        return tuple(len(categories) for categories in self.categories)

    def checked(
        self, condition: Sequence[Any], label: str = "condition"
    ) -> tuple[str | float, ...]:
        """The condition as text and numbers.

        Raises:
            ValueError: another number of values, dates, or what is no finite number where one is
                wanted.

        >>> own = Covariates(("batch",), (("1", "2"),), np.zeros(1), np.ones(1))
        >>> own.checked((1,)) == own.checked((1.0,)) == own.checked(("1",)) == ("1",)
        True
        """
        if len(condition) != len(self.names):
            raise ValueError(
                f"{label}: got {len(condition)} values, {tuple(condition)!r:.200}; wants "
                f"{len(self.names)}: {', '.join(self.names)}."
            )
        found: list[str | float] = []
        for name, categories, value in zip(self.names, self.categories, condition, strict=True):
            refuse_dates(label if self.own_names is None else f"{label}, {name}", value)
            if categories:
                found.append(_category(value, categories))
                continue
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = np.nan
            if not np.isfinite(number):
                raise ValueError(f"{label}: got {value!r} as {name}; wants a finite number.")
            found.append(number)
        return tuple(found)

    def encode(self, condition: Sequence[Any], label: str = "condition") -> np.ndarray:
        """The code (e,): a 1 among zeros for a category, zeros alone for one not seen."""
        parts = []
        for value, categories, centre, spread in zip(
            self.checked(condition, label),
            self.categories,
            np.asarray(self.centres),
            np.asarray(self.spreads),
            strict=True,
        ):
            if categories:
                parts += [float(value == category) for category in categories]
            else:
                parts.append((float(value) - float(centre)) / float(spread))
        return np.array(parts)

    def described(self, condition: Sequence[str | float]) -> str:
        """The condition in words.

        >>> own = Covariates(("cell", "dose"), (("B",), ()), np.zeros(2), np.ones(2))
        >>> own.described(("B", 5.0))
        'cell B, dose 5'
        """
        parts = [
            f"{name} {value if isinstance(value, str) else format(value, 'g')}"
            for name, value in zip(self.names, condition, strict=True)
        ]
        return ", ".join(parts)


def _category(value: Any, categories: Sequence[str]) -> str:
    """The category in words: 1.0 is "1" too, as columns of whole numbers that had gaps have it."""
    text = str(value)
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if text not in categories and is_whole else text
