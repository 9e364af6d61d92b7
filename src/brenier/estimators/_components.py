"""Many dimensions and few points: the principal components that a map is learned in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from brenier._checks import check_at_least, check_points
from brenier.estimators._clouds import aligned, column_names
from brenier.io import Cells, cells_of, is_cells
from brenier.maps import AbstractMap, SubspaceMap
from brenier.measures import AbstractMeasure

# Components of the genes of cells: the best by five-fold cross-validation on training cells
# (docs/single-cells.md).
GENE_COMPONENTS = 15


@dataclass(frozen=True, eq=False)
class Components:
    """Two clouds in the leading principal components of both together, and the way back.

    Args:
        basis: B, (d, k), orthonormal columns.
        centre: a, (d,), the mean of all points of both.
        shift: (I − BBᵀ)(mean of y − mean of x), (d,): what the means differ by across B.
        x, y: Bᵀ(x − a) and Bᵀ(y − a), in float64.
        names: of the d columns, where they have any.
        share: of the variance of both clouds together, kept along B.
    """

    basis: np.ndarray
    centre: np.ndarray
    shift: np.ndarray
    x: np.ndarray
    y: np.ndarray
    names: tuple[str, ...] | None
    share: float

    def around(self, map: AbstractMap) -> SubspaceMap:
        """The map of R^d that is ``map`` in the components, and moves the mean across them."""
        return SubspaceMap(map, self.basis, self.centre, self.shift)


def opened(name: str, value: Any, layer: str | None, obsm: str | None) -> Any:
    """AnnData as ``Cells``; anything else as it is.

    Raises:
        ValueError: as ``cells_of``; or a layer or embedding where there is no AnnData.
    """
    if is_cells(value):
        return cells_of(value, name, layer, obsm)
    for key in (layer, obsm):
        if key is not None and not isinstance(value, Cells | AbstractMeasure):
            raise ValueError(f"{name}: got {type(value).__name__} beside the key {key!r}; wants "
                             "an AnnData.")
    return value


def principal_components(
    x: Any, y: Any, wanted: int | None, embedded: bool, seed: int
) -> Components | None:
    """The components to learn in, or None where all columns are to be taken as they are.

    ``wanted`` None means ``GENE_COMPONENTS`` of cells' genes, and no reduction of anything else.

    Raises:
        ValueError: more components than there are dimensions or points, or a target without points.
    """
    if wanted is None and (embedded or not isinstance(x, Cells)):
        return None
    if wanted is not None:
        check_at_least("components", wanted, 1)
    if isinstance(y, AbstractMeasure):
        raise ValueError(f"Y: got the measure {type(y).__name__} for principal components; wants "
                         "points.")
    names = x.names if isinstance(x, Cells) else column_names(x)
    first = x.values if isinstance(x, Cells) else check_points("X", x, min_points=2)
    if isinstance(y, Cells):
        second = y.aligned(names, "X").values
    else:
        second = check_points("Y", aligned("Y", y, None if names is None else list(names)))
    d, n = first.shape[1], first.shape[0] + second.shape[0]
    if second.shape[1] != d:
        raise ValueError(f"Y: got dimension {second.shape[1]}; wants dimension {d}.")
    for name, part in (("X", first), ("Y", second)):
        if part.shape[0] < 2:
            raise ValueError(f"{name}: got {part.shape[0]} points; wants at least 2.")
    if wanted is not None and wanted > min(d, n - 1):
        raise ValueError(f"components: got {wanted}; wants at most {min(d, n - 1)}, with {n} "
                         f"points in dimension {d}.")
    k = wanted or min(GENE_COMPONENTS, n - 1)
    if k >= d:
        return None
    return _fitted(first, second, k, None if names is None else tuple(names), seed)


def dense(value: Any) -> Any:
    """``Cells`` as a data frame of their genes; anything else as it is."""
    if not isinstance(value, Cells):
        return value
    matrix = value.values if isinstance(value.values, np.ndarray) else value.values.toarray()
    return pd.DataFrame(matrix, columns=list(value.names))


def _fitted(
    x: Any, y: Any, k: int, names: tuple[str, ...] | None, seed: int
) -> Components:
    from scipy import sparse
    from sklearn.decomposition import PCA

    together: Any = (
        sparse.vstack([sparse.csr_matrix(x), sparse.csr_matrix(y)], format="csr")
        if sparse.issparse(x) else np.concatenate([x, y if isinstance(y, np.ndarray)
                                                   else y.toarray()])
    ).astype(np.float64)  # fmt: skip
    # Lanczos: the sparse matrix is multiplied, never centred or made dense.
    solver = "arpack" if k < min(together.shape) else "full"
    pca = PCA(k, svd_solver=solver, random_state=seed).fit(together)
    basis, centre = pca.components_.T, pca.mean_
    apart = _mean(y) - _mean(x)
    first, second = (np.asarray(part @ basis) - centre @ basis for part in (x, y))
    return Components(
        basis, centre, apart - basis @ (basis.T @ apart), first.astype(np.float64),
        second.astype(np.float64), names, float(np.sum(pca.explained_variance_ratio_)),
    )


def _mean(part: Any) -> np.ndarray:
    return np.asarray(part.mean(axis=0, dtype=np.float64)).ravel()
