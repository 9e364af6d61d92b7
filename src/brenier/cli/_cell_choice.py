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


def labels_of_cells(source: str, choice: Choice, column: str) -> np.ndarray:
    """What that column of obs says of the source cells, (n,)."""
    obs = _obs(source, choice.condition, choice.source)
    return np.asarray(obs_columns(obs, source, [column], "--groups")[0].astype(str))


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
        (own,) = obs_columns(
            _obs(files[i], choice.condition, values[i]), files[i], [column], option
        )
        try:
            found.append(np.asarray(own, np.float64))
        except (ValueError, TypeError):
            raise ValueError(
                f"{option}: got {column}, a column of obs in {files[i]} that holds no numbers; "
                "wants a weight for each cell."
            ) from None
    return found[0], found[1]


def conditions_of_cells(path: str, choice: Choice, given: Sequence[str]) -> list[Any]:
    """Columns of obs of the source cells, (n,) each."""
    return obs_columns(_obs(path, choice.condition, choice.source), path, given, "--given")


def obs_columns(obs: Any, file: str, columns: Sequence[str], option: str) -> list[Any]:
    """Columns of the obs of a file.

    Raises:
        ValueError: there is no such one; the option and those there are, are named.
    """
    for column in columns:
        if column not in obs.columns:
            raise ValueError(
                f"{option}: got {column}; wants a column of obs in {file}, one of "
                f"{list(obs.columns)}."
            )
    return [obs[column] for column in columns]


def _obs(file: str, condition: str | None, value: str | None) -> Any:
    """The obs of the cells whose ``condition`` is that value."""
    cells = read_cells(file, backed=True)
    rows = rows_of_choice(cells, file, condition, value)
    return cells.obs if rows is None else cells.obs.iloc[rows]


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
