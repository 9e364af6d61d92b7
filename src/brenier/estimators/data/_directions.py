"""The directions in which rows vary most, dense or sparse, weighted or not."""

from typing import Any

import numpy as np

from brenier._types import RowWeights


def leading_directions(
    rows: Any, weights: RowWeights, k: int, random_state: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """B (d, k) with orthonormal columns, the mean (d,), and B's share of the variance.

    Args:
        rows: (n, d), an array or a sparse matrix, which is multiplied, never centred or made dense.
        weights: (n,), 0 or more; None for equal ones.
        k: how many, at most min(n, d).
        random_state: of the eigensolver.

    >>> rows = np.array([[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]])
    >>> basis, mean, share = leading_directions(rows, np.array([1.0, 1.0, 0.0]), 1, 0)
    >>> np.abs(basis).round(9).tolist(), mean.tolist(), round(share, 9)
    ([[1.0], [0.0]], [1.0, 0.0], 1.0)
    """
    # Lanczos: where all directions are wanted there is nothing for it to leave out.
    lanczos = k < min(rows.shape)
    if weights is None:
        from sklearn.decomposition import PCA

        solver = "arpack" if lanczos else "full"
        pca = PCA(k, svd_solver=solver, random_state=random_state).fit(rows)
        return pca.components_.T, pca.mean_, float(np.sum(pca.explained_variance_ratio_))
    shares = weights / weights.sum()
    mean, roots = np.asarray(rows.T @ shares), np.sqrt(shares)
    squares = rows.multiply(rows) if not isinstance(rows, np.ndarray) else rows * rows
    total = float(np.sum(squares.T @ shares - mean**2))
    if lanczos:
        sizes, vectors = _lanczos(rows, roots, mean, k, random_state)
    else:
        dense = rows if isinstance(rows, np.ndarray) else rows.toarray()
        _, sizes, vectors = np.linalg.svd(roots[:, None] * (dense - mean), full_matrices=False)
    order = np.argsort(-sizes)[:k]
    basis = vectors[order].T
    # Of either sign: the largest entry of each is positive.
    basis *= np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])])
    return basis, mean, float(np.sum(sizes[order] ** 2)) / total


def _lanczos(
    rows: Any, roots: np.ndarray, mean: np.ndarray, k: int, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest singular values of diag(√w)(X − 1mᵀ), and their right vectors (k, d)."""
    from scipy.sparse.linalg import LinearOperator, svds

    def forth(v: np.ndarray) -> np.ndarray:
        return roots * (rows @ np.ravel(v) - mean @ np.ravel(v))

    def back(u: np.ndarray) -> np.ndarray:
        own = roots * np.ravel(u)
        return rows.T @ own - mean * own.sum()

    operator = LinearOperator(rows.shape, matvec=forth, rmatvec=back, dtype=np.float64)
    start = np.random.default_rng(random_state).normal(size=min(rows.shape))
    _, sizes, vectors = svds(operator, k, v0=start, return_singular_vectors="vh")
    return sizes, vectors
