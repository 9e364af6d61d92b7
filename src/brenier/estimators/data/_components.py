"""Many dimensions and few points: the principal components that a map is learned in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from brenier._checks import as_frame, check_at_least, check_points
from brenier._frames import Frame
from brenier.estimators.data._columns import aligned, column_names
from brenier.estimators.data._directions import leading_directions
from brenier.io import BackedRows, Cells, cells_of, is_cells
from brenier.maps import AbstractMap, SubspaceMap
from brenier.measures import AbstractMeasure
from brenier.numerics import row_weights

# Components of the genes of cells: the best by five-fold cross-validation on training cells
# (docs/single-cells.md).
GENE_COMPONENTS = 15
# Cells a side that components are fitted to, of those on the disk.
_MOST_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Components:
    """Two clouds in the leading principal components of both together, and the way back.

    Args:
        basis: B, (d, k), orthonormal columns.
        centre: a, (d,), the mean of all points of both (of those the components are fitted to).
        shift: (I − BBᵀ)(mean of y − mean of x), (d,): the difference of the means across B.
        x, y: Bᵀ(x − a) and Bᵀ(y − a), in float64.
        names: of the d columns, where they have any.
        share: the part of the variance of both clouds together that lies along B.
        rows: what both clouds are of, each with its weights.

    >>> line = np.outer(np.arange(5.0), [0.6, 0.8])
    >>> space = principal_components(line, line + 3.0 * line[1], 1)
    >>> np.abs(space.basis).round(9).tolist(), round(space.share, 9)
    ([[0.6], [0.8]], 1.0)
    """

    basis: np.ndarray
    centre: np.ndarray
    shift: np.ndarray
    x: np.ndarray
    y: np.ndarray
    names: tuple[str, ...] | None
    share: float
    rows: tuple[tuple[Cells, np.ndarray | None], ...]

    def reweighted(self, source: np.ndarray, target: np.ndarray) -> "Components":
        """With the difference of the means of rows of so many times the weight, (n,) and (m,)."""
        mean, other = (
            _projected(cells, self.basis, self.centre, factors if own is None else factors * own)[1]
            for (cells, own), factors in zip(self.rows, (source, target), strict=True)
        )
        return replace(self, shift=_across(self.basis, other - mean))

    def around(self, map: AbstractMap) -> SubspaceMap:
        """The map of R^d that is ``map`` in the components, and moves the mean across them."""
        return SubspaceMap(map, self.basis, self.centre, self.shift)


def opened(name: str, value: Any, layer: str | None, obsm: str | None) -> Any:
    """AnnData as ``Cells``, data frames as ``Frame``; anything else as it is.

    Raises:
        ValueError: as ``cells_of`` and ``as_frame``; or a layer or embedding where there is no
            AnnData.
    """
    if is_cells(value):
        return cells_of(value, name, layer, obsm)
    for key in (layer, obsm):
        if key is not None and not isinstance(value, Cells | AbstractMeasure):
            raise ValueError(
                f"{name}: got {type(value).__name__} beside the key {key!r}; wants an AnnData."
            )
    return as_frame(name, value)


def opened_alike(
    name: str,
    values: Sequence[Any],
    layer: str | None,
    obsm: str | None,
    names: list[Any] | None = None,
) -> tuple[list[Any], list[Any] | None]:
    """Clouds opened, their columns in the order of ``names``, or of the first; and those names.

    Raises:
        ValueError: as ``opened``, or a column that one has and another lacks.
    """
    clouds: list[Any] = []
    for i, value in enumerate(values):
        label = name if len(values) == 1 else f"{name}[{i}]"
        cloud = opened(label, value, layer, obsm)
        if not clouds and names is None:
            names = list(cloud.names) if isinstance(cloud, Cells) else column_names(cloud)
        if isinstance(cloud, Cells):
            clouds.append(cloud.aligned(names, "the first snapshot"))
        else:
            clouds.append(aligned(label, cloud, names))
    return clouds, names


def principal_components(
    x: Any,
    y: Any,
    components: int | None = None,
    *,
    embedded: bool = False,
    random_state: int = 0,
    weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> Components | None:
    """Both clouds in their leading principal components, or None to take all columns as they are.

    Not where what matters is small beside the rest of the variance: components do not see it.

    Args:
        x, y: arrays or data frames (n, d) and (m, d), or ``Cells``, matched by their genes' names.
        components: how many; None for ``GENE_COMPONENTS`` of the genes of cells, and all columns
            of anything else.
        embedded: whether cells are given by an embedding, which None does not reduce further.
        random_state: of the eigensolver, and of the sample of cells that stay on the disk.
        weights: of the rows of both, (n,) and (m,), 0 or more.

    Raises:
        ValueError: more components than there are dimensions or points, or a target without points.

    >>> x = np.random.default_rng(0).normal(size=(50, 4)) * [9.0, 1.0, 1.0, 1.0]
    >>> space = principal_components(x, x + 2.0, 1)
    >>> space.x.shape, space.basis.shape
    ((50, 1), (4, 1))
    """
    if components is None and (embedded or not isinstance(x, Cells)):
        return None
    if components is not None:
        check_at_least("components", components, 1)
    if isinstance(y, AbstractMeasure):
        raise ValueError(
            f"Y: got the measure {type(y).__name__} for principal components; wants points."
        )
    x, y = as_frame("X", x), as_frame("Y", y)
    names = x.names if isinstance(x, Cells) else column_names(x)
    first = x if isinstance(x, Cells) else Cells(check_points("X", x, min_points=2), "X", ())
    if isinstance(y, Cells):
        second = y.aligned(names, "X")
    else:
        points = check_points("Y", aligned("Y", y, None if names is None else list(names)))
        second = Cells(points, "Y", ())
    (n, d), (m, other) = first.values.shape, second.values.shape
    if other != d:
        raise ValueError(f"Y: got dimension {other}; wants dimension {d}.")
    n, m = (
        size if own is None else int(np.count_nonzero(own))
        for size, own in zip((n, m), weights, strict=True)
    )
    for name, count in (("X", n), ("Y", m)):
        if count < 2:
            raise ValueError(f"{name}: got {count} points; wants at least 2.")
    n += m
    if components is not None and components > min(d, n - 1):
        raise ValueError(
            f"components: got {components}; wants at most {min(d, n - 1)}, with {n} "
            f"points in dimension {d}."
        )
    k = components or min(GENE_COMPONENTS, n - 1)
    if k >= d:
        return None
    kept = None if names is None else tuple(names)
    return _fitted(first, second, k, kept, random_state, weights)


def dense(value: Any) -> Any:
    """``Cells`` as a ``Frame`` of their genes; anything else as it is."""
    if not isinstance(value, Cells):
        return value
    matrix = value.in_memory().values
    matrix = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    return Frame(matrix, list(value.names))


def _fitted(
    x: Cells,
    y: Cells,
    k: int,
    names: tuple[str, ...] | None,
    random_state: int,
    weights: tuple[np.ndarray | None, np.ndarray | None],
) -> Components:
    from scipy import sparse

    random = np.random.default_rng(random_state)
    (some, own), (others, their) = (
        _some(cells, part, random) for cells, part in zip((x, y), weights, strict=True)
    )
    together: Any = (
        sparse.vstack([sparse.csr_matrix(some), sparse.csr_matrix(others)], format="csr")
        if sparse.issparse(some)
        else np.concatenate([some, others if isinstance(others, np.ndarray) else others.toarray()])
    ).astype(np.float64)
    basis, centre, share = leading_directions(
        together, _joined(own, their, some.shape[0], others.shape[0]), k, random_state
    )
    (first, mean), (second, other) = (
        _projected(cells, basis, centre, part) for cells, part in zip((x, y), weights, strict=True)
    )
    rows = tuple(zip((x, y), weights, strict=True))
    shift = _across(basis, other - mean)
    return Components(basis, centre, shift, first, second, names, share, rows)


def _across(basis: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return direction - basis @ (basis.T @ direction)


def _some(
    cells: Cells, weights: np.ndarray | None, random: np.random.Generator
) -> tuple[Any, np.ndarray | None]:
    """What the components are fitted to: all cells, or some of those on the disk."""
    if not isinstance(cells.values, BackedRows):
        return cells.values, weights
    n = cells.values.shape[0]
    rows = np.sort(random.choice(n, min(n, _MOST_ROWS), replace=False))
    return cells.values.take(rows), None if weights is None else weights[rows]


def _joined(
    first: np.ndarray | None, second: np.ndarray | None, n: int, m: int
) -> np.ndarray | None:
    """How many rows each of n and m rows stands for; None for one each."""
    if first is None and second is None:
        return None
    sides = [np.ones(size) if own is None else own for own, size in ((first, n), (second, m))]
    return np.concatenate([row_weights(own) for own in sides])


def _projected(
    cells: Cells, basis: np.ndarray, centre: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Bᵀ(x − a) of all cells, (n, k), and their mean, (d,), in one reading of them."""
    parts, total, start = [], np.zeros(len(centre)), 0
    shares = None if weights is None else weights / weights.max()
    for block in cells.blocks():
        parts.append((np.asarray(block @ basis) - centre @ basis).astype(np.float64))
        if shares is None:
            total += np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()
        else:
            total += block.T @ shares[start : start + block.shape[0]]
        start += block.shape[0]
    return np.concatenate(parts), total / (start if shares is None else shares.sum())
