"""Which cells of a file are meant, and what columns of ``obs`` say of them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from brenier.io import read_cells, rows_of_condition


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which cells of a file are meant, and where their numbers stand.

    Args:
        condition: the column of ``obs`` that says which cells are which.
        source, target: the values of that column.
        layer, obsm: where the numbers stand; ``X`` where both are None.
        components: principal components to learn in.
        into: the name of the layer, or embedding, that the result goes to.
    """

    condition: str | None = None
    source: str | None = None
    target: str | None = None
    layer: str | None = None
    obsm: str | None = None
    components: int | None = None
    into: str | None = None

    def given(self) -> list[str]:
        """The options that were used, as they are written."""
        options = dataclasses.asdict(self).items()
        return [f"--{name}" for name, value in options if value is not None]

    def check_condition(self) -> None:
        """A ``ValueError`` where a column is given, and no value of it: it would say nothing."""
        if self.condition is not None and self.source is None and self.target is None:
            raise ValueError(
                f"--condition: got {self.condition!r} without a value of it; wants --source VALUE."
            )

    def refused(self, path: str) -> None:
        """A ``ValueError`` where options of cells were used on a file of something else."""
        if self.given():
            raise ValueError(
                f"{path}: got {', '.join(self.given())}, which are for cells; wants "
                "an .h5ad file, or none of them."
            )


def is_cells_file(path: str | None) -> bool:
    """Whether a file is one of AnnData, by its ending."""
    return path is not None and path.lower().endswith(".h5ad")


def labels_of_cells(
    source: str, choice: Choice, column: str, option: str = "--groups"
) -> np.ndarray:
    """What that column of obs says of the source cells, (n,)."""
    labels = _column_of_obs(source, choice.condition, choice.source, column, option)
    return np.asarray(labels.astype(str))


def weights_of_cells(
    source: str, target: str | None, choice: Choice, columns: tuple[str | None, str | None]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What columns of obs say of how much the source cells, and the target cells, count."""
    files = (source, target or source)
    values = (choice.source, choice.target)
    found: list[np.ndarray | None] = []
    for i, option in enumerate(("--source-weights", "--target-weights")):
        column = columns[i]
        if column is None:
            found.append(None)
            continue
        own = _column_of_obs(files[i], choice.condition, values[i], column, option)
        try:
            found.append(np.asarray(own, np.float64))
        except (ValueError, TypeError):
            raise ValueError(
                f"{option}: got {column}, a column of obs in {files[i]} that holds no numbers; "
                "wants a weight for each cell."
            ) from None
    return found[0], found[1]


def _column_of_obs(
    file: str, condition: str | None, value: str | None, column: str, option: str
) -> Any:
    """A column of obs, of the cells whose ``condition`` is that value."""
    cells = read_cells(file, backed=True)
    if column not in cells.obs.columns:
        raise ValueError(
            f"{option}: got {column}; wants a column of obs in {file}, one of "
            f"{list(cells.obs.columns)}."
        )
    rows = rows_of_choice(cells, file, condition, value)
    return cells.obs[column] if rows is None else cells.obs[column].iloc[rows]


def conditions_of_cells(path: str, choice: Choice, given: Sequence[str]) -> np.ndarray:
    """The conditions of the source cells, (n, q): numbers where all of a column are some."""
    columns: list[list[Any]] = []
    for column in given:
        labels = labels_of_cells(path, choice, column, "--given").tolist()
        try:
            columns.append([float(label) for label in labels])
        except ValueError:
            columns.append(labels)
    return np.array(columns, dtype=object).T


def rows_of_choice(
    cells: Any, path: str, condition: str | None, value: str | None
) -> np.ndarray | None:
    """The cells whose ``condition`` is that value; None for all of them."""
    if value is None:
        return None
    if condition is None:
        raise ValueError(
            f"{path}: got the value {value!r} without a column; wants --condition "
            f"COLUMN, one of {list(cells.obs.columns)}."
        )
    return rows_of_condition(cells, path, condition, value)
