"""Single cells: AnnData in and out, as points whose coordinates are genes.

anndata is imported where a file is read: it is an extra, and slow to import.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from brenier._checks import check_points
from brenier.io._atomic import atomic_path
from brenier.io._backed import BackedRows
from brenier.io._outputs import check_folder

_NAMED = 10  # names that an error lists, at most


@dataclass(frozen=True, eq=False)
class Cells:
    """n cells as points in R^d: expression, dense or sparse by rows, or an embedding.

    Args:
        values: (n, d), an array, a SciPy sparse matrix by rows or ``BackedRows``; finite, floating.
        label: where they come from; errors name it.
        names: the genes (``var_names``), or ``key[i]`` for the columns of an embedding ``key``.
    """

    values: Any
    label: str
    names: tuple[str, ...]

    def aligned(self, names: Sequence[str] | None, wanted_by: str) -> "Cells":
        """The cells with exactly these genes, in this order; other genes are left out.

        Raises:
            ValueError: a gene is missing; it is named.
        """
        if names is None or tuple(names) == self.names:
            return self
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
    """Whether this is an AnnData, without importing anndata."""
    module = sys.modules.get("anndata")
    return module is not None and isinstance(value, module.AnnData)


def read_cells(path: str | os.PathLike[str], *, backed: bool = False) -> Any:
    """The AnnData in an ``.h5ad`` file; with ``backed``, its matrix stays on disk.

    Raises:
        ValueError: no such file, a damaged one, or anndata is not installed.
    """
    try:
        import anndata
    except ImportError:
        raise ValueError(
            f"{path}: got an .h5ad file, which needs anndata; wants it installed: "
            "pip install brenier[anndata]."
        ) from None
    if not Path(path).is_file():
        raise ValueError(f"{path}: got no such file; wants an .h5ad file.")
    try:
        return anndata.read_h5ad(path, backed="r" if backed else None)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path}: got no .h5ad file, or a damaged one ({error}); wants an "
            "AnnData written by write_h5ad."
        ) from None


def write_cells(path: str | os.PathLike[str], cells: Any) -> None:
    """Write an AnnData to an ``.h5ad`` file, whole or not at all.

    Raises:
        ValueError: as ``check_cells_output``.
    """
    check_cells_output(path)
    with atomic_path(path) as part:
        cells.write_h5ad(part, compression="gzip")


def check_cells_output(path: str | os.PathLike[str]) -> None:
    """A ``ValueError``, before any work is done, where no AnnData can be written at ``path``."""
    if Path(path).suffix.lower() != ".h5ad":
        raise ValueError(
            f"{path}: got the ending {Path(path).suffix!r}; wants .h5ad, since cells come from one."
        )
    check_folder(path)


def rows_of_condition(cells: Any, label: str, condition: str, value: str) -> np.ndarray:
    """The rows whose column ``condition`` of ``obs`` says ``value``.

    Raises:
        ValueError: no such column or value (those there are, are listed).
    """
    if condition not in cells.obs.columns:
        raise ValueError(
            f"{label}: got no column {condition!r} in obs; wants one of "
            f"{_listed(list(cells.obs.columns))}."
        )
    column = cells.obs[condition]
    rows = np.flatnonzero(np.asarray(column.astype(str) == value) & ~np.asarray(column.isna()))
    if not rows.size:
        there = sorted(str(v) for v in column.dropna().unique())
        raise ValueError(
            f"{label}: got no cell whose {condition!r} is {value!r}; wants one of {_listed(there)}."
        )
    return rows


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
    for name, key, kept in (("layer", layer, cells.layers), ("obsm", obsm, cells.obsm)):
        if key is not None and key not in kept:
            raise ValueError(f"{label}: got no {name} {key!r}; wants one of {_listed(list(kept))}.")
    on_disk = cells.isbacked and layer is None and obsm is None
    if obsm is not None:
        values: Any = np.asarray(cells.obsm[obsm])
        names = tuple(f"{obsm}[{i}]" for i in range(values.shape[-1]))
    else:
        values = None if on_disk else cells.X if layer is None else cells.layers[layer]
        names = tuple(str(name) for name in cells.var_names)
        if values is None and not on_disk:
            raise ValueError(
                f"{label}: got an AnnData without X; wants one, or a layer of "
                f"{_listed(list(cells.layers))}."
            )
    if len(set(names)) < len(names):
        double = sorted(name for name, count in Counter(names).items() if count > 1)
        raise ValueError(
            f"{label}: got genes {_listed(double)} more than once; wants distinct "
            "names (cells.var_names_make_unique())."
        )
    if on_disk:
        return Cells(_backed_rows(cells, label, rows), label, names)
    values = values if rows is None else values[rows]
    return Cells(_checked(label, values), label, names)


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


def _checked(label: str, values: Any) -> Any:
    """Finite floating points, sparse by rows where they are sparse."""
    from scipy import sparse

    if not sparse.issparse(values):
        return check_points(label, np.asarray(values))
    if 0 in values.shape:
        raise ValueError(
            f"{label}: got {values.shape[0]} cells of {values.shape[1]} genes; wants "
            "at least one of each."
        )
    rows = sparse.csr_matrix(values)
    # What is not stored is 0, which needs no looking at.
    stored = check_points(label, rows.data[:, None]) if rows.nnz else rows.data[:, None]
    return sparse.csr_matrix((stored[:, 0], rows.indices, rows.indptr), rows.shape)


def _listed(names: Sequence[Any]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{list(names)[:_NAMED]}{more}"
