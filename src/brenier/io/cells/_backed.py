"""Cells whose matrix stays on the disk: read a few rows at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from brenier.io._refusals import refusing

# Numbers of a block as if it were dense: 256 MB in single precision.
_BLOCK_FLOATS = 2**26


@dataclass(frozen=True, eq=False)
class BackedRows:
    """The rows of a backed AnnData's ``X``, read when they are asked for.

    Args:
        cells: the backed AnnData, no view of one.
        rows: which of its cells.
        columns: which of its genes, in which order; all where None.
        checked: checks a block of rows, named with its columns, and gives it back in the form that
            is wanted.

    >>> import anndata
    >>> cells = anndata.AnnData(np.eye(3, dtype=np.float32))
    >>> rows = BackedRows(cells, np.array([0, 2]), None, lambda block, *_: block)
    >>> rows.shape, rows.with_columns([2, 0]).take(slice(None)).tolist()
    ((2, 3), [[0.0, 1.0], [1.0, 0.0]])
    """

    cells: Any
    rows: np.ndarray
    columns: np.ndarray | None
    checked: Callable[[Any, Any, Any], Any]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return len(self.rows), self.cells.n_vars if self.columns is None else len(self.columns)

    def with_columns(self, columns: list[int]) -> "BackedRows":
        """These of the columns, in this order."""
        own = np.arange(self.cells.n_vars) if self.columns is None else self.columns
        return replace(self, columns=own[columns])

    def take(self, which: np.ndarray | slice) -> Any:
        """Some of the rows, in memory."""
        chosen = self.rows[which]
        # A name is lacked only by cells that are in memory after all.
        with refusing(self.cells.filename or "cells", "damaged data", "them as they were written"):
            block = self.cells[chosen].X
        block = self.checked(block, self.cells.obs_names[chosen], self.cells.var_names)
        return block if self.columns is None else block[:, self.columns]

    def blocks(self) -> Iterator[Any]:
        """All rows, block after block."""
        size = max(1, _BLOCK_FLOATS // self.cells.n_vars)
        for start in range(0, len(self.rows), size):
            yield self.take(slice(start, start + size))
