"""Tensor trains: arrays of d axes, A[j_1, …, j_d] = G_1[j_1] G_2[j_2] … G_d[j_d].

G_k[j] is a matrix (r_{k-1}, r_k) with r_0 = r_d = 1; the core of axis k, (r_{k-1}, n_k, r_k), holds
those of all j. Oseledets (2011).
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from brenier._types import Float, Int

_Core: TypeAlias = Float[np.ndarray, "_ _ _"]
_Columns: TypeAlias = Float[np.ndarray, "_ _"]
TensorTrainCores: TypeAlias = tuple[_Core, ...]
"""Cores (rank, nodes, next rank) of a tensor train, one an axis, the outer ranks 1."""


def tensor_train_ranks(cores: TensorTrainCores) -> tuple[int, ...]:
    """The inner ranks r_1, …, r_{d-1}.

    >>> tensor_train_ranks((np.ones((1, 3, 2)), np.ones((2, 3, 1))))
    (2,)
    """
    return tuple(core.shape[2] for core in cores[:-1])


def tensor_train_from_array(
    values: Float[np.ndarray, "*shape"], tolerance: float
) -> TensorTrainCores:
    """Cores of a full array by successive SVDs, to a relative Frobenius error ``tolerance``.

    >>> table = np.add.outer(np.arange(4.0), np.arange(3.0))
    >>> tensor_train_ranks(tensor_train_from_array(table, 1e-12))
    (2,)
    """
    shape = values.shape
    allowed = _share(tolerance, len(shape)) * float(np.linalg.norm(values))
    cores: list[np.ndarray] = []
    rest, rank = values.reshape(1, -1), 1
    for n in shape[:-1]:
        left, rest = _split(rest.reshape(rank * n, -1), allowed)
        cores.append(left.reshape(rank, n, -1))
        rank = left.shape[1]
    cores.append(rest.reshape(rank, shape[-1], 1))
    return tuple(cores)


def tensor_train_round(cores: TensorTrainCores, tolerance: float) -> TensorTrainCores:
    """The same array with ranks as low as a relative Frobenius error ``tolerance`` allows.

    >>> ones = (np.ones((1, 3, 2)), np.ones((2, 3, 1)))
    >>> tensor_train_ranks(tensor_train_round(ones, 1e-12))
    (1,)
    """
    return tensor_train_change_axes(
        cores, lambda _axis, _values: lambda columns: columns, tolerance
    )


def tensor_train_change_axes(
    cores: TensorTrainCores,
    choose: Callable[[int, _Columns], Callable[[_Columns], _Columns]],
    tolerance: float,
) -> TensorTrainCores:
    """Round, and apply along each axis a linear map that may depend on the values there.

    Args:
        cores: of the array.
        choose: (axis, values) to a linear map of columns, (n, k) to (m, k) for any k. The values
            (n, k) are the core of the axis while all others are orthogonal, so that a relative
            error of the map on them is a relative Frobenius error of the whole array.
        tolerance: of the rounding, relative, in the Frobenius norm.

    >>> line = (np.array([3.0, 4.0]).reshape(1, 2, 1),)
    >>> unit = lambda axis, values: lambda columns: columns / np.linalg.norm(values)
    >>> tensor_train_change_axes(line, unit, 1e-12)[0].ravel().tolist()
    [0.6, 0.8]
    """
    cores = right_orthogonal(cores)
    allowed = _share(tolerance, len(cores)) * float(np.linalg.norm(cores[0]))
    out: list[np.ndarray] = []
    carry = np.eye(1)
    for axis, core in enumerate(cores):
        centre = np.tensordot(carry, core, axes=1)
        r, n, _rank = centre.shape
        change = choose(axis, _columns(centre))
        if axis < len(cores) - 1:
            left, carry = _split(centre.reshape(r * n, -1), allowed)
            centre = left.reshape(r, n, -1)
        columns = change(_columns(centre))
        out.append(columns.reshape(-1, r, centre.shape[2]).transpose(1, 0, 2))
    return tuple(out)


def tensor_train_map_axes(
    cores: TensorTrainCores, matrices: Sequence[Float[np.ndarray, "_ _"]]
) -> TensorTrainCores:
    """The array with a matrix (m, n) applied along each axis; ranks stay.

    >>> double = tensor_train_map_axes((np.ones((1, 3, 1)),), [2.0 * np.eye(3)])
    >>> double[0].ravel().tolist()
    [2.0, 2.0, 2.0]
    """
    pairs = zip(matrices, cores, strict=True)
    return tuple(np.einsum("mn,anb->amb", matrix, core) for matrix, core in pairs)


def tensor_train_contract(
    cores: TensorTrainCores, rows: Sequence[Float[np.ndarray, "p _"]]
) -> Float[np.ndarray, " p"]:
    """Σ_j A[j_1, …, j_d] rows_1[p, j_1] … rows_d[p, j_d]: a value for each p.

    >>> grid = (np.ones((1, 3, 1)), np.arange(2.0).reshape(1, 2, 1))
    >>> tensor_train_contract(grid, [np.ones((1, 3)), np.ones((1, 2))]).tolist()
    [3.0]
    """
    state = np.ones((rows[0].shape[0], 1))
    for core, row in zip(cores, rows, strict=True):
        state = np.einsum("pa,pab->pb", state, np.tensordot(row, core, axes=(1, 1)))
    return state[:, 0]


def tensor_train_entries(
    cores: TensorTrainCores, index: Int[np.ndarray, "p d"]
) -> Float[np.ndarray, " p"]:
    """The entries at multi-indices (p, d)."""
    state = np.ones((index.shape[0], 1))
    for axis, core in enumerate(cores):
        state = np.einsum("pa,apb->pb", state, core[:, index[:, axis]])
    return state[:, 0]


def right_orthogonal(cores: TensorTrainCores) -> TensorTrainCores:
    """The same array; every core but the first, as a matrix (r, n s), has orthonormal rows."""
    out = list(cores)
    for axis in range(len(out) - 1, 0, -1):
        r, n, s = out[axis].shape
        q, triangle = np.linalg.qr(out[axis].reshape(r, n * s).T)
        out[axis] = q.T.reshape(-1, n, s)
        out[axis - 1] = np.tensordot(out[axis - 1], triangle.T, axes=1)
    return tuple(out)


def _split(
    matrix: Float[np.ndarray, "m n"], allowed: float
) -> tuple[Float[np.ndarray, "m r"], Float[np.ndarray, "r n"]]:
    """Orthonormal columns times the rest, of the least rank with a Frobenius error ≤ allowed."""
    m, n = matrix.shape
    if n > 2 * m:
        # A wide matrix is first reduced to a triangle: LAPACK's SVD is much slower than its QR.
        basis, triangle = np.linalg.qr(matrix.T)
        left, rest = _split(triangle.T, allowed)
        return left, rest @ basis.T
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    errors = np.sqrt(np.cumsum(singular[::-1] ** 2))[::-1]
    rank = max(1, int(np.sum(errors > allowed)))
    return left[:, :rank], singular[:rank, None] * right[:rank]


def _columns(core: _Core) -> _Columns:
    """The core as a matrix whose rows belong to the nodes of its axis."""
    return core.transpose(1, 0, 2).reshape(core.shape[1], -1)


def _share(tolerance: float, axes: int) -> float:
    """What each of the d − 1 cuts may err by, so that together they keep to the tolerance."""
    return tolerance / math.sqrt(max(axes - 1, 1))
