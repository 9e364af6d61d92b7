"""What is common to the commands that take ``--given``."""

import csv
from collections.abc import Sequence

import numpy as np

from brenier.io import load, read_manifest
from brenier.maps import ConditionalMap


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
    if len(given) != len(map.covariates.names):
        raise ValueError(
            f"--given: got {len(given)} columns; wants {len(map.covariates.names)}: "
            f"{', '.join(map.covariates.names)}."
        )
    return map, read_manifest(map_file)["names"]


def grouped_by(
    map: ConditionalMap, conditions: np.ndarray
) -> dict[tuple[str | float, ...], np.ndarray]:
    """The rows of each condition, of conditions (n, q)."""
    found: dict[tuple[str | float, ...], list[int]] = {}
    for row, condition in enumerate(conditions.tolist()):
        found.setdefault(map.covariates.checked(condition, "--given"), []).append(row)
    return {condition: np.array(rows) for condition, rows in found.items()}


def refuse_beside_given(**options: object) -> None:
    """A ``ValueError`` where options stand beside ``--given`` that do not go with it."""
    used = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if used:
        raise ValueError(f"--given: got {', '.join(used)} beside it; wants none of them.")
