"""AnnData in ``.h5ad`` files: read where they are whole and stand alone, written whole.

anndata is imported where a file is read: it is an extra, and slow to import.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from brenier._atomic import atomic_path
from brenier._extras import check_installed
from brenier._outputs import check_folder
from brenier.io._refusals import check_file, check_unpacked, refusing

# Groups inside groups, at most.
_DEPTH = 30
_DAMAGED = "no .h5ad file, or a damaged one"
_WANTED = "an AnnData written by write_h5ad"


def read_cells(path: str | os.PathLike[str], *, backed: bool = False) -> Any:
    """The AnnData in an ``.h5ad`` file; with ``backed``, its matrix stays on disk.

    A file that reads other files (external links, external storage, virtual data of elsewhere) is
    refused, and so is one that unpacks to far more than it has bytes.

    Raises:
        ValueError: no such file, a damaged one, or one that is not alone.
        MissingExtraError: anndata is not installed.

    >>> import anndata, tempfile
    >>> path = tempfile.mkdtemp() + "/cells.h5ad"
    >>> write_cells(path, anndata.AnnData(np.eye(2, dtype=np.float32)))
    >>> read_cells(path).X.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_installed(str(path), "anndata")
    import anndata

    check_file(path, "an .h5ad file")
    _check_alone(path)
    # anndata and h5py promise no list of what they raise; what they warn of (an old format, names
    # given twice) either does no harm or is looked at here.
    with refusing(path, _DAMAGED, _WANTED):
        cells = anndata.read_h5ad(path, backed="r" if backed else None)
    for name, matrix in _matrices(cells):
        check_sparse(f"{path}: {name}", matrix)
    if backed:
        _check_stored(path, cells)
    return cells


def _check_stored(path: str | os.PathLike[str], cells: Any) -> None:
    """Of an ``X`` that stays on the disk, what needs no reading of all of it."""
    import h5py

    if "X" in cells.file and isinstance(cells.file["X"], h5py.Group):
        stored = cells.file["X"]
        with refusing(path, _DAMAGED, _WANTED):
            matrix = SimpleNamespace(
                format=cells.X.format,
                shape=cells.shape,
                indptr=stored["indptr"][:],
                indices=stored["indices"],
                data=stored["data"],
            )
        _check_bounds(f"{path}: X", matrix)


def write_cells(path: str | os.PathLike[str], cells: Any) -> None:
    """Write an AnnData to an ``.h5ad`` file, whole and readable, or not at all.

    Raises:
        ValueError: as ``check_cells_output``, or something in it that ``.h5ad`` cannot hold.

    >>> import anndata, tempfile
    >>> path = tempfile.mkdtemp() + "/cells.h5ad"
    >>> write_cells(path, anndata.AnnData(np.ones((3, 2), np.float32)))
    >>> read_cells(path).shape
    (3, 2)
    """
    import h5py
    from anndata.io import write_elem

    check_cells_output(path)
    # In memory: where a disk is full, HDF5 prints for each object, and dies when Python ends.
    written = io.BytesIO()
    with (
        refusing(path, "cells that cannot be written", "what .h5ad can hold"),
        h5py.File(written, "w") as file,
    ):
        cells.strings_to_categoricals()
        write_elem(file, "/", cells, dataset_kwargs={"compression": "gzip"})
        # As write_h5ad, and unlike write_elem: an older anndata cannot read a nothing.
        for name in ("X", "raw"):
            if name in file and getattr(cells, name) is None:
                del file[name]
    with atomic_path(path) as part:
        # Let go where the disk is full, too: Python complains of a buffer that is still looked at.
        with written.getbuffer() as data, part.open("wb") as file_there:
            file_there.write(data)
        read_cells(part, backed=True).file.close()  # all but X, which is as it came


def check_cells_output(path: str | os.PathLike[str]) -> None:
    """A ``ValueError``, before any work is done, where no AnnData can be written at ``path``.

    >>> check_cells_output("cells.csv")
    Traceback (most recent call last):
        ...
    ValueError: cells.csv: got the ending '.csv'; wants .h5ad, since cells come from one.
    """
    if Path(path).suffix.lower() != ".h5ad":
        raise ValueError(
            f"{path}: got the ending {Path(path).suffix!r}; wants .h5ad, since cells come from one."
        )
    check_folder(path)


def check_name(label: str, name: str) -> None:
    """A ``ValueError`` where HDF5 would take the name of a layer or an embedding for a path.

    >>> check_name("--layer", "raw/counts")
    Traceback (most recent call last):
        ...
    ValueError: --layer: got 'raw/counts'; wants a name without '/', of one layer.
    """
    if name in ("", ".", "..") or set(name) & {"/", "\0"}:
        raise ValueError(f"{label}: got {name!r}; wants a name without '/', of one layer.")


def check_sparse(label: str, matrix: Any) -> None:
    """A ``ValueError`` where a matrix by rows or by columns (of SciPy) contradicts itself.

    SciPy looks at none of this, and reads, or writes, elsewhere in memory.
    """
    line, place, across = _lines(matrix)
    bounds, indices = matrix.indptr, matrix.indices
    _check_bounds(label, matrix)
    used = indices[: bounds[-1]]
    if used.size and not (used.min() >= 0 and used.max() < across):
        first = int(np.flatnonzero((used < 0) | (used >= across))[0])
        at = int(np.searchsorted(bounds, first, side="right")) - 1
        raise ValueError(
            f"{label}: got {place} {used[first]} in {line} {at}; wants 0 to {across - 1}."
        )


def _check_bounds(label: str, matrix: Any) -> None:
    """The part of ``check_sparse`` that a matrix on the disk is put to before it is read."""
    line, _, across = _lines(matrix)
    bounds, stored = np.asarray(matrix.indptr), min(len(matrix.indices), len(matrix.data))
    if bounds.dtype.kind not in "iu" or matrix.indices.dtype.kind not in "iu":
        raise ValueError(
            f"{label}: got {bounds.dtype} and {matrix.indices.dtype} as places; wants integers."
        )
    lines = sum(matrix.shape) - across
    if len(bounds) != lines + 1 or bounds[0] != 0 or bounds[-1] > stored:
        raise ValueError(
            f"{label}: got {len(bounds)} bounds of {line}s, from {bounds[:1]} to {bounds[-1:]}; "
            f"wants {lines + 1}, from 0 to at most {stored}, the entries there are."
        )
    falling = np.flatnonzero(bounds[1:] < bounds[:-1])
    if falling.size:
        raise ValueError(
            f"{label}: got {line} {falling[0]} that ends before it begins; wants bounds that rise."
        )


def _lines(matrix: Any) -> tuple[str, str, int]:
    """What a matrix is stored by, what its indices are, and how many of those there are."""
    if matrix.format == "csr":
        return "row", "column", matrix.shape[1]
    return "column", "row", matrix.shape[0]


def _matrices(cells: Any) -> Iterator[tuple[str, Any]]:
    """The sparse matrices by rows or columns in memory, and what they are called."""
    found = {} if cells.isbacked else {"X": cells.X}
    if cells.raw is not None and not cells.isbacked:
        found["raw.X"] = cells.raw.X
    for part in ("layers", "obsm", "varm", "obsp", "varp"):
        # Since anndata 0.13 X is the layer None, too: on the disk where X is.
        keys = [key for key in getattr(cells, part) if key is not None]
        found |= {f"{part}[{key!r}]": getattr(cells, part)[key] for key in keys}
    for name, value in found.items():
        if getattr(value, "format", None) in ("csr", "csc"):
            yield name, value


def _check_alone(path: str | os.PathLike[str]) -> None:
    """A ``ValueError`` where the file reads others, or unpacks to far more than it has bytes."""
    import h5py

    with refusing(path, _DAMAGED, _WANTED), h5py.File(path) as file:
        unpacked = sum(_sizes(file, ()))
    check_unpacked(path, os.path.getsize(path), unpacked)


def _sizes(group: Any, above: tuple[Any, ...]) -> Iterator[int]:
    """Bytes in memory of all data below, which lie in this file, in no circle of groups."""
    import h5py

    above = (*above, group)
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            continue  # points at what is looked at anyway, or at nothing
        where = f"{group.name.rstrip('/')}/{name}"
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"data of another file, at {where}")
        item = group[name]
        if isinstance(item, h5py.Group):
            if item in above or len(above) > _DEPTH:
                raise ValueError(f"groups in each other without end, at {where}")
            yield from _sizes(item, above)
        elif isinstance(item, h5py.Dataset) and item.shape is not None:
            if item.external or _is_of_others(item):
                raise ValueError(f"data of another file, at {where}")
            yield item.nbytes


def _is_of_others(data: Any) -> bool:
    return data.is_virtual and any(part.file_name != "." for part in data.virtual_sources())
