"""Single cells: what an AnnData holds, as points whose coordinates are genes."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from brenier._checks import as_float_array, check_points
from brenier.io.cells._backed import BackedRows
from brenier.io.cells._h5ad import check_sparse, read_cells

_NAMED = 10  # names that an error lists, at most


@dataclass(frozen=True, eq=False)
class Cells:
    """n cells as points in R^d: expression, dense or sparse by rows, or an embedding.

    Args:
        values: (n, d), an array, a SciPy sparse matrix by rows or ``BackedRows``; finite, floating.
        label: where they come from; errors name it.
        names: the genes (``var_names``) or the columns of an embedding; ``key[i]`` where those of
            an embedding ``key`` have no names.

    >>> cells = Cells(np.array([[1.0, 2.0]]), "new.h5ad", ("B", "A"))
    >>> cells.aligned(("A",), "the map").values.tolist()
    [[2.0]]
    """

    values: Any
    label: str
    names: tuple[str, ...]

    def aligned(self, names: Sequence[str] | None, wanted_by: str) -> "Cells":
        """The cells with exactly these genes, in this order; other genes are left out.

        Where either side has no names, as many columns stand as they are.

        Raises:
            ValueError: a gene is missing; it is named.
        """
        if names is None or tuple(names) == self.names:
            return self
        if len(names) == len(self.names) and (self.is_unnamed or _are_places(names)):
            return replace(self, names=tuple(names))
        where = {name: column for column, name in enumerate(self.names)}
        missing = [name for name in names if name not in where]
        if missing:
            raise ValueError(
                f"{self.label}: got no column for {_listed(missing)}; wants the "
                f"{len(names)} of {wanted_by}."
            )
        columns = [where[name] for name in names]
        values = (
            self.values.with_columns(columns)
            if isinstance(self.values, BackedRows)
            else self.values[:, columns]
        )
        return replace(self, values=values, names=tuple(names))

    @property
    def is_unnamed(self) -> bool:
        """Whether these are the columns of an embedding that have no names."""
        return _are_places(self.names)

    def blocks(self) -> Iterator[Any]:
        """The points in memory, block after block where they are on the disk."""
        if isinstance(self.values, BackedRows):
            yield from self.values.blocks()
        else:
            yield self.values

    def in_memory(self) -> "Cells":
        """The same cells, all of them read."""
        if not isinstance(self.values, BackedRows):
            return self
        return replace(self, values=self.values.take(slice(None)))


def is_cells(value: Any) -> bool:
    """Whether this is an AnnData, without importing anndata.

    >>> import anndata
    >>> is_cells(anndata.AnnData(np.eye(2))), is_cells(np.eye(2))
    (True, False)
    """
    module = sys.modules.get("anndata")
    return module is not None and isinstance(value, module.AnnData)


def rows_of_condition(cells: Any, label: str, condition: str, value: str) -> np.ndarray:
    """The rows whose column ``condition`` of ``obs`` says ``value``.

    Raises:
        ValueError: no such column or value (those there are, are listed).

    >>> import anndata, pandas
    >>> obs = pandas.DataFrame({"day": ["0", "5", "5"]}, index=["a", "b", "c"])
    >>> rows_of_condition(anndata.AnnData(np.eye(3), obs), "cells.h5ad", "day", "5").tolist()
    [1, 2]
    """
    check_obs_column(cells, label, condition)
    column = cells.obs[condition]
    rows = np.flatnonzero(np.asarray(column.astype(str) == value) & ~np.asarray(column.isna()))
    if not rows.size:
        there = sorted(str(v) for v in column.dropna().unique())
        raise ValueError(
            f"{label}: got no cell whose {condition!r} is {value!r}; wants one of {_listed(there)}."
        )
    return rows


def obs_column(cells: Any, label: str, column: str) -> np.ndarray:
    """What a column of ``obs`` says of each cell, (n,): numbers as they are, categories as words.

    Raises:
        ValueError: no such column (those there are, are listed).

    >>> import anndata, pandas
    >>> obs = pandas.DataFrame({"day": [0, 5]}, index=["a", "b"])
    >>> obs_column(anndata.AnnData(np.eye(2), obs), "cells.h5ad", "day").tolist()
    [0, 5]
    """
    check_obs_column(cells, label, column)
    return np.asarray(cells.obs[column])


def check_obs_column(cells: Any, label: str, column: str) -> None:
    """A ``ValueError`` where ``obs`` has no such column."""
    if column not in cells.obs.columns:
        raise ValueError(
            f"{label}: got no column {column!r} in obs; wants one of "
            f"{_listed(list(cells.obs.columns))}."
        )


def cells_of(
    cells: Any,
    label: str,
    layer: str | None = None,
    obsm: str | None = None,
    rows: np.ndarray | None = None,
) -> Cells:
    """The cells of an AnnData as points: its ``X``, a layer of it, or an embedding in ``obsm``.

    The ``X`` of a backed AnnData (``anndata.read_h5ad(path, backed="r")``) stays on the disk.

    Args:
        cells: the AnnData.
        label: what errors call it.
        layer: a key of ``layers``; ``X`` where None.
        obsm: a key of ``obsm``, in the place of expression.
        rows: the cells to take; all where None.

    Raises:
        ValueError: both keys, an unknown one (those there are, are listed), no cells, entries that
            are no finite numbers (of a backed ``X``: when they are read), genes of one name.

    >>> import anndata
    >>> cells = anndata.AnnData(np.array([[1.0, 2.0]], np.float32))
    >>> cells_of(cells, "cells").names
    ('0', '1')
    """
    if layer is not None and obsm is not None:
        raise ValueError(f"layer: got {layer!r} beside obsm {obsm!r}; wants one of them.")
    # Since anndata 0.13 X is the layer None, too.
    layers = [key for key in cells.layers if key is not None]
    for name, key, kept in (("layer", layer, layers), ("obsm", obsm, cells.obsm)):
        if key is not None and key not in kept:
            raise ValueError(f"{label}: got no {name} {key!r}; wants one of {_listed(list(kept))}.")
    on_disk = cells.isbacked and layer is None and obsm is None
    if obsm is not None:
        values: Any = cells.obsm[obsm]
        names = _embedding_names(obsm, values)
    else:
        values = None if on_disk else cells.X if layer is None else cells.layers[layer]
        names = tuple(str(name) for name in cells.var_names)
        if values is None and not on_disk:
            raise ValueError(
                f"{label}: got an AnnData without X; wants one, or a layer of {_listed(layers)}."
            )
    if len(set(names)) < len(names):
        double = sorted(name for name, count in Counter(names).items() if count > 1)
        raise ValueError(
            f"{label}: got {'genes' if obsm is None else 'columns'} {_listed(double)} more than "
            "once; wants distinct names (of genes, cells.var_names_make_unique())."
        )
    if on_disk:
        return Cells(_backed_rows(cells, label, rows), label, names)
    every = np.arange(cells.n_obs) if rows is None else rows
    if _is_sparse(values):
        values = _by_lines(values)
        check_sparse(label, values)
    elif rows is not None:
        values = as_float_array(label, values)  # a table of pandas chooses columns
    chosen = values if rows is None else values[rows]
    return Cells(_checked(label, chosen, cells.obs_names[every], names), label, names)


def _embedding_names(key: str, values: Any) -> tuple[str, ...]:
    """Names of the columns of an embedding, or their places where they are but counted."""
    places = [str(i) for i in range(np.shape(values)[-1])]
    names = [str(name) for name in getattr(values, "columns", places)]
    return tuple(f"{key}[{i}]" for i in places) if names == places else tuple(names)


def _are_places(names: Sequence[str]) -> bool:
    return all(name.endswith(f"[{i}]") for i, name in enumerate(names))


def _backed_rows(cells: Any, label: str, rows: np.ndarray | None) -> BackedRows:
    """The rows of a backed AnnData; those of a view are looked up in the file that it is of."""
    every, columns = np.arange(cells.n_obs), None
    if cells.is_view:
        # anndata takes no view of a view of a file.
        whole = read_cells(cells.filename, backed=True)
        if not whole.obs_names.is_unique:
            raise ValueError(
                f"{label}: got a view of {cells.filename}, in which cells share a "
                "name; wants distinct ones (cells.obs_names_make_unique())."
            )
        every = whole.obs_names.get_indexer(cells.obs_names)
        columns = whole.var_names.get_indexer(cells.var_names)
        cells = whole
    every = every if rows is None else every[rows]
    return BackedRows(cells, every, columns, partial(_checked, label))


def _checked(label: str, values: Any, cells: Any, genes: Any) -> Any:
    """Finite floating points, sparse by rows where they are sparse; what is bad is named."""
    from scipy import sparse

    if 0 in np.shape(values):
        raise ValueError(
            f"{label}: got {values.shape[0]} cells of {values.shape[1]} genes; wants "
            "at least one of each."
        )
    if not _is_sparse(values):
        array = as_float_array(label, values)
        if array.ndim == 2:
            _check_finite(label, array, lambda first: divmod(first, len(genes)), cells, genes)
        return check_points(label, array)
    rows = sparse.csr_matrix(_by_lines(values))
    check_sparse(label, rows)
    # What is not stored is 0, which needs no looking at.
    stored = as_float_array(label, rows.data)

    def place(entry: int) -> tuple[int, int]:
        row = int(np.searchsorted(rows.indptr, entry, side="right")) - 1
        return row, int(rows.indices[entry])

    _check_finite(label, stored, place, cells, genes)
    if stored.size:
        check_points(label, stored[:, None])
    return sparse.csr_matrix((stored, rows.indices, rows.indptr), rows.shape)


def _check_finite(
    label: str, values: np.ndarray, place: Callable[[int], tuple[int, int]], cells: Any, genes: Any
) -> None:
    # NaN and infinities show in the extremes; a mask would take memory.
    if values.size and not (np.isfinite(values.min()) and np.isfinite(values.max())):
        bad = np.flatnonzero(~np.isfinite(values))
        cell, gene = place(int(bad[0]))
        raise ValueError(
            f"{label}: got {len(bad)} NaN or infinite entries, the first in cell {cells[cell]!r}, "
            f"gene {genes[gene]!r}; wants finite numbers."
        )


def _is_sparse(values: Any) -> bool:
    from scipy import sparse

    return bool(sparse.issparse(values))


def _by_lines(values: Any) -> Any:
    """A sparse matrix by rows or columns; others (by coordinates) become one by rows."""
    return values if values.format in ("csr", "csc") else values.tocsr()


def _listed(names: Sequence[Any]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{list(names)[:_NAMED]}{more}"
