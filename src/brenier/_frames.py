"""Data frames of any library, read by narwhals, which is imported where one is handed in."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from brenier._extras import check_installed

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

_LIBRARIES = frozenset(
    (
        *("cudf", "dask", "duckdb", "ibis", "modin", "narwhals"),
        *("pandas", "polars", "pyarrow", "pyspark", "sqlframe"),
    )
)
_CLASSES = frozenset(["DataFrame", "DuckDBPyRelation", "LazyFrame", "Table"])


@dataclass(frozen=True, eq=False)
class Frame:
    """The numbers of a table and the labels of its columns, each once.

    Args:
        values: (n, d), floating.
        columns: d labels: words, or with pandas anything.
        library: that a table like it is made by, or None where it came from none.
    """

    values: np.ndarray
    columns: list[Any]
    library: str | None = None

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """The values, where NumPy asks for an array."""
        return np.array(self.values, dtype, copy=copy)

    @property
    def is_counted(self) -> bool:
        """Whether the labels are those that pandas gives where there are none."""
        return is_counted(self.columns)

    def aligned(self, name: str, names: Sequence[Any] | None) -> "Frame":
        """The same columns in the order of ``names``; None for that of their places.

        Where one side's are only counted, and the other has names, they stand as they are.

        Raises:
            ValueError: it has other columns (the missing and the unknown ones are named).
        """
        wanted = list(range(len(self.columns))) if names is None else list(names)
        if self.columns == wanted:
            return self
        places = {label: i for i, label in enumerate(self.columns)}
        if places.keys() == set(wanted):
            order = [places[label] for label in wanted]
            values = np.ascontiguousarray(self.values[:, order])
            return replace(self, values=values, columns=wanted)
        if names is None or self.is_counted or is_counted(wanted):
            return self
        missing = [column for column in wanted if column not in places]
        unknown = [column for column in self.columns if column not in set(wanted)]
        raise ValueError(
            f"{name}: got columns {self.columns} (missing {missing}, unknown {unknown}); wants "
            f"{wanted}."
        )

    def without(self, name: str, label: Any) -> tuple["Frame", np.ndarray]:
        """The other columns, and the values of the one of that label.

        Raises:
            ValueError: there is none; ``name`` is of the argument that asked for it.
        """
        if label not in self.columns:
            raise ValueError(f"{name}: got {label!r}; wants a column, one of {self.columns}.")
        place = self.columns.index(label)
        rest = self.columns[:place] + self.columns[place + 1 :]
        values = np.delete(self.values, place, axis=1)
        return replace(self, values=values, columns=rest), self.values[:, place]


def is_counted(labels: Sequence[Any]) -> bool:
    """Whether labels of columns are those that pandas gives where there are none."""
    return list(labels) == list(range(len(labels)))


def opened_frame(name: str, value: Any) -> "nw.DataFrame[Any] | None":
    """A frame of any library for narwhals, in memory; None for what is no frame.

    Raises:
        ValueError: two columns of one label.
        MissingExtraError: narwhals is not installed.
    """
    kinds = {(base.__module__.partition(".")[0], base.__name__) for base in type(value).__mro__}
    if not any(library in _LIBRARIES and kind in _CLASSES for library, kind in kinds):
        return None
    check_installed(name, "narwhals")
    import narwhals.stable.v2 as nw
    from narwhals.exceptions import DuplicateError

    try:
        frame = nw.from_native(value)
        frame = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    except DuplicateError:
        check_distinct(name, list(getattr(value, "column_names", value.columns)))
        raise
    check_distinct(name, frame.columns)
    return frame


def check_distinct(name: str, labels: Sequence[Any]) -> None:
    """A ``ValueError`` where two columns have one label."""
    double = [label for label, count in Counter(labels).items() if count > 1]
    if double:
        raise ValueError(f"{name}: got columns {double} more than once; wants distinct names.")


def whole_floats(frame: "nw.DataFrame[Any]") -> np.ndarray | None:
    """The values (n, d) of a frame all of whose columns are floats; None for another."""
    if not frame.columns or not all(kind.is_float() for kind in frame.schema.values()):
        return None
    values = np.asarray(frame.to_numpy())
    return values if values.dtype.kind == "f" else None  # pandas may put its NA among objects


def known_entries(
    name: str, frame: "nw.DataFrame[Any]"
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """For each column what errors call it, its entries, and which rows they stand in.

    Raises:
        ValueError: a column of words, categories, dates or lists.
    """
    import narwhals.stable.v2 as nw

    plain = (nw.Boolean, nw.Object, nw.Unknown)  # of objects NumPy tells whether they are numbers
    for series in frame.iter_columns():
        label, kind = f"{name}, column {series.name!r}", series.dtype
        if not (kind.is_numeric() or kind in plain):
            raise ValueError(f"{label}: got entries of type {kind}; wants numbers.")
        entries = series.drop_nulls().to_numpy()
        # Whole numbers one by one, so that those which float64 does not hold are named.
        big = entries.dtype.kind in "iu" and entries.size and np.abs(entries).max() >= 2**53
        yield label, entries.astype(object) if big else entries, ~series.is_null().to_numpy()


def frame_like(values: np.ndarray, columns: Sequence[Any], library: str) -> Any:
    """A table of that library, of rows (n, d) below their labels."""
    import narwhals.stable.v2 as nw

    by_label = dict(zip(columns, values.T, strict=True))
    backend: Any = library  # of the names that narwhals knows
    return nw.from_dict(by_label, backend=backend).to_native()
