"""Points as people bring them: values, with what is needed to hand the same kind of thing back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

# Names, and letters of a name, that a message repeats.
_MOST_LISTED, _MOST_LETTERS = 10, 60


@dataclass(frozen=True, eq=False)
class Picture:
    """What a picture has besides its colours, so that changed colours make a picture again.

    Args:
        height: rows of pixels.
        width: columns of pixels.
        levels: what stands for 1.0: 255, 65535, or 1 for floats.
        alpha: opacity (height, width) as it was, or None; it is never transported.

    >>> colours = Table(np.zeros((6, 3)), "black.png", picture=Picture(height=2, width=3))
    >>> colours.picture.levels
    255
    """

    height: int
    width: int
    levels: int = 255
    alpha: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class RowIndex:
    """The index of a data frame, as pandas keeps it in Parquet.

    Args:
        columns: its levels, each an array of Arrow (n,), by the names they have in the file.
        notes: pandas' own on the index alone.
    """

    columns: Mapping[str, Any]
    notes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Table:
    """n points in R^d read from a file.

    Args:
        values: (n, d), finite, floating.
        file: where they come from; errors name it.
        names: the names of the d columns, where the file has them.
        picture: for the pixels of a picture: values are its colours in [0, 1], row by row.
        index: the names that pandas keeps of the rows of a Parquet file, to be written beside them.

    >>> table = Table(np.array([[1.5, 2.0]]), "new.csv", ("height", "weight"))
    >>> table.columns, np.asarray(table).tolist()
    (('height', 'weight'), [[1.5, 2.0]])
    """

    values: np.ndarray
    file: str = "values"
    names: tuple[str, ...] | None = None
    picture: Picture | None = None
    index: RowIndex | None = None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names, by the name that a data frame has for them."""
        return self.names

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """The values, where NumPy asks for an array."""
        return np.array(self.values, dtype, copy=copy)

    def aligned(self, names: Sequence[str] | None, wanted_by: str) -> "Table":
        """The table with its columns in the order of ``names``, matched by name.

        Where either side has no names, columns stand as they are.

        Raises:
            ValueError: a column is missing, or is one too many; it is named.

        >>> table = Table(np.array([[1.0, 2.0]]), "new.csv", ("b", "a"))
        >>> table.aligned(("a", "b"), "old.csv").values.tolist()
        [[2.0, 1.0]]
        """
        if names is None or self.names is None or tuple(names) == self.names:
            return self
        # By a table of places: files may have 100,000 columns.
        places, wanted = {name: i for i, name in enumerate(self.names)}, set(names)
        missing = [name for name in names if name not in places]
        extra = [name for name in self.names if name not in wanted]
        if missing or extra:
            faults = [f"without columns {listed(missing)}"] * bool(missing)
            faults += [f"with unknown columns {listed(extra)}"] * bool(extra)
            raise ValueError(
                f"{self.file}: got a table {' and '.join(faults)}; wants the columns "
                f"{listed(names)} of {wanted_by}, in any order."
            )
        order = [places[name] for name in names]
        return replace(self, values=self.values[:, order], names=tuple(names))


def places_of(
    file: str, names: Sequence[str] | None, width: int, columns: Sequence[str]
) -> list[int]:
    """Where the chosen ones of ``width`` columns stand: each is a name, or a place from 0 on.

    Raises:
        ValueError: none are chosen, one is not there, or one twice.

    >>> places_of("a.csv", ("x", "y", "label"), 3, ["y", "0"])
    [1, 0]
    """
    known = {str(i): i for i in range(width)}
    known |= {} if names is None else {name: i for i, name in enumerate(names)}
    missing = [column for column in columns if column not in known]
    if missing or not columns:
        wish = listed(names) if names is not None else f"places from 0 to {width - 1}"
        raise ValueError(f"{file}: got no columns {listed(missing)}; wants some of {wish}.")
    places = [known[column] for column in columns]
    if len(set(places)) < len(places):
        raise ValueError(f"{file}: got the columns {listed(columns)}; wants each once.")
    return places


def listed(cells: Sequence[str]) -> str:
    """Words as they stand in a message: the first of them, and the first letters of each.

    >>> listed(["a", "b"])
    "['a', 'b']"
    """
    more = f" and {len(cells) - _MOST_LISTED:,} more" if len(cells) > _MOST_LISTED else ""
    return f"[{', '.join(shortened(cell) for cell in cells[:_MOST_LISTED])}]{more}"


def shortened(cell: str) -> str:
    """A word in quotes, and no more of its letters than a message holds."""
    if len(cell) <= _MOST_LETTERS:
        return repr(cell)
    return f"{cell[:_MOST_LETTERS]!r}… ({len(cell):,} letters)"
