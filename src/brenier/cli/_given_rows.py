"""What is common to the commands that take ``--given``."""

import csv
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier.io import load, read_manifest
from brenier.maps import ConditionalMap

if TYPE_CHECKING:
    from brenier.estimators.conditional import Column


def columns_given(text: str | None) -> tuple[str, ...]:
    """The columns that stand behind ``--given``; a name with a comma in it, in quotes.

    >>> columns_given('dose,"a,b"')
    ('dose', 'a,b')
    """
    if text is None:
        return ()
    return tuple(column.strip() for column in next(csv.reader([text]), []))


def load_given(map_file: str, given: Sequence[str]) -> tuple[ConditionalMap, Sequence[str] | None]:
    """The conditional map in a file, and the names of its columns.

    Raises:
        ValueError: another map, or one of another number of covariates.
    """
    map = load(map_file, "conditional map")
    names = map.covariates.names
    if len(given) != len(names):
        raise ValueError(
            f"--given: got {len(given)} columns, {', '.join(given)}; wants {len(names)}: "
            f"{', '.join(names)}."
        )
    return map, read_manifest(map_file)["names"]


def told_columns(
    names: Sequence[str], values: Sequence[Any], is_named: bool = True
) -> "list[Column]":
    """What the columns behind ``--given`` say of all rows, none of them missing.

    Without a header they are called by their places, which in another file may be others.
    """
    from brenier.estimators.conditional import Column

    return [Column.of("--given", *own, is_named) for own in zip(names, values, strict=True)]


def grouped_by(
    map: ConditionalMap, columns: "Sequence[Column]", rows: int
) -> dict[tuple[str | float, ...], np.ndarray]:
    """The rows of each condition; columns are found by the names of those of the fit."""
    from brenier.estimators.conditional import grouped_rows

    return grouped_rows(map.covariates, "--given", columns, rows)


def refuse_beside_given(**options: object) -> None:
    """A ``ValueError`` where options stand beside ``--given`` that do not go with it."""
    used = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if used:
        raise ValueError(
            f"--given: got {', '.join(used)} beside it, which maps of conditions do not take; "
            f"wants either --given or {'that' if len(used) == 1 else 'those'}."
        )
