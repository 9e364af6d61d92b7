"""Tensor trains: arrays of d axes, A[j_1, …, j_d] = G_1[j_1] G_2[j_2] … G_d[j_d].

G_k[j] is a matrix (r_{k-1}, r_k) with r_0 = r_d = 1; the core of axis k, (r_{k-1}, n_k, r_k), holds
those of all j. Oseledets (2011).
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import numpy as np

from brenier._types import Float, Int, Key
from brenier.numerics._random import host_seed

_Core: TypeAlias = Float[np.ndarray, "_ _ _"]
_Columns: TypeAlias = Float[np.ndarray, "_ _"]
TensorTrainCores: TypeAlias = tuple[_Core, ...]
"""Cores (rank, nodes, next rank) of a tensor train, one an axis, the outer ranks 1."""
_Indices: TypeAlias = Int[np.ndarray, "_ _"]
_Entries: TypeAlias = Callable[[_Indices], Float[np.ndarray, " _"]]

# Most sweeps of the cross approximation; each may raise every rank by two.
_SWEEPS = 30
# Entries at which a cross approximation is compared with the function.
_CHECKED = 500
# By how much a single entry may miss the tolerance.
_ENTRY_FACTOR = 1e3
# Runs of the cross, each from what the last one missed; starts of the search for maxima, and the
# rounds through all axes that each may take.
_JOINED, _CLIMBERS, _CLIMBS = 4, 100, 10


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
    """
    cores = _right_orthogonal(cores)
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


def tensor_train_cross(
    entries: _Entries,
    shape: Sequence[int],
    tolerance: float,
    max_rank: int,
    *,
    heights: _Entries | None = None,
    start: TensorTrainCores | None = None,
    key: Key | None = None,
) -> TensorTrainCores:
    """Cores of an array given by a function of its indices, from few entries (teneva's TT-cross).

    The error is measured at entries drawn uniformly, at entries drawn with probabilities
    proportional to the squares of the approximation, and at maxima of the function that a search
    along the axes finds from 100 entries; maxima that were missed join the start of another run.
    Not for an array whose few large entries hide where no such way leads: give a ``start`` that
    finds them.

    Args:
        entries: the values at multi-indices, (p, d) to (p,).
        shape: of the array.
        tolerance: relative.
        max_rank: that no rank may exceed.
        heights: what the search goes up on, increasing in the entries: their logarithm, where the
            entries themselves underflow. The entries where None.
        start: cores to begin from; random ones of rank 2 where None.
        key: of the random start, and of the entries at which the error is measured;
            ``jax.random.key(0)`` where None.

    Raises:
        ValueError: ranks beyond ``max_rank``, or an approximation that stays wrong.

    >>> found = tensor_train_cross(lambda index: np.sum(index, axis=1) + 1.0, (5, 5, 5), 1e-9, 10)
    >>> tensor_train_ranks(found)
    (2, 2)

    Oseledets & Tyrtyshnikov (2010).
    """
    # Here, because it takes half a second to import.
    import teneva

    seed = host_seed(jax.random.key(0) if key is None else key)
    random = np.random.default_rng(seed)
    first = teneva.rand(list(shape), 2, seed=seed) if start is None else list(start)
    info: dict = {}

    def too_high(now, _info, options):
        return max(tensor_train_ranks(tuple(now)), default=1) > 2 * max_rank

    heights = entries if heights is None else heights
    peaks = np.unique(_maxima(heights, shape, random), axis=0)
    for _ in range(_JOINED):
        found = teneva.cross(
            entries,
            first,
            e=0.1 * tolerance,
            nswp=_SWEEPS,
            dr_min=1,
            dr_max=2,
            info=info,
            cb=too_high,
            cache={},
        )
        cores = tensor_train_round(tuple(found), tolerance)
        rank = max(tensor_train_ranks(cores), default=1)
        if rank > max_rank or info["stop"] == "cb":
            raise ValueError(
                f"max_rank: got {max_rank}; wants at least {rank}, the rank that a tolerance of "
                f"{tolerance:.3g} takes, or a larger tolerance."
            )
        errors = _cross_errors(cores, entries, peaks, random)
        # The cross keeps to its tolerance in norm; single entries may miss it by some factor.
        allowed = _ENTRY_FACTOR * tolerance
        if errors.max() <= allowed:
            return cores
        missed = peaks[errors[: len(peaks)] > allowed]
        if not len(missed):
            break
        # Once more, from what was found and what was missed together.
        for peak in missed[: max_rank - rank + 1]:
            found = teneva.add(found, _product_at(peak, entries, shape))
        first = found
    raise ValueError(
        f"tolerance: got {tolerance:.3g}; the cross approximation errs by {errors.max():.3g} after "
        f"{info['nswp']} sweeps; wants a smoother function, or a larger tolerance."
    )


def _cross_errors(
    cores: TensorTrainCores, entries: _Entries, peaks: _Indices, random: np.random.Generator
) -> Float[np.ndarray, " p"]:
    """Errors relative to the largest entry: at peaks, anywhere, and where the cores are large."""
    shape = [core.shape[1] for core in cores]
    index = np.concatenate([peaks, _anywhere(shape, random), _large_entries(cores, random)])
    exact = entries(index)
    size = float(np.abs(exact).max())
    return np.abs(tensor_train_entries(cores, index) - exact) / (size if size > 0.0 else 1.0)


def _anywhere(shape: Sequence[int], random: np.random.Generator) -> _Indices:
    return np.stack([random.integers(0, n, _CHECKED) for n in shape], axis=1)


def _maxima(
    heights: _Entries, shape: Sequence[int], random: np.random.Generator
) -> Int[np.ndarray, "p d"]:
    """Where steps along one axis after the other lead uphill to, from entries anywhere."""
    places = _anywhere(shape, random)[:_CLIMBERS]
    for _ in range(_CLIMBS):
        before = places.copy()
        for axis, n in enumerate(shape):
            lines = np.repeat(places, n, axis=0)
            lines[:, axis] = np.tile(np.arange(n), len(places))
            values = heights(lines).reshape(len(places), n)
            here = np.arange(len(places))
            best = np.argmax(values, axis=1)
            higher = values[here, best] > values[here, places[:, axis]]
            places[higher, axis] = best[higher]
        if (places == before).all():
            break
    return places


def _product_at(
    peak: Int[np.ndarray, " d"], entries: _Entries, shape: Sequence[int]
) -> list[_Core]:
    """The tensor train of rank 1 that has the entries on all lines through one of them."""
    cores: list[np.ndarray] = []
    for axis, n in enumerate(shape):
        line = np.repeat(peak[None], n, axis=0)
        line[:, axis] = np.arange(n)
        values = entries(line)
        cores.append((values / values[peak[axis]] if axis else values).reshape(1, n, 1))
    return cores


def _large_entries(cores: TensorTrainCores, random: np.random.Generator) -> Int[np.ndarray, "p d"]:
    """Multi-indices drawn with probabilities proportional to the squares of the entries."""
    cores = _right_orthogonal(cores)
    state = np.ones((_CHECKED, 1))
    columns = []
    for core in cores:
        parts = np.einsum("pa,anb->pnb", state, core)
        cumulative = np.cumsum(np.sum(parts**2, axis=2), axis=1)
        draws = random.uniform(size=_CHECKED) * cumulative[:, -1]
        column = np.minimum(np.sum(cumulative < draws[:, None], axis=1), core.shape[1] - 1)
        state = parts[np.arange(_CHECKED), column]
        state = state / np.linalg.norm(state, axis=1, keepdims=True)
        columns.append(column)
    return np.stack(columns, axis=1)


def _right_orthogonal(cores: TensorTrainCores) -> TensorTrainCores:
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
