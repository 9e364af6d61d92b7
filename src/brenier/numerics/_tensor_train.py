"""Tensor trains: arrays of many axes, held as a chain of small cores."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from brenier._types import Float, Int

Core: TypeAlias = Float[np.ndarray, "_ _ _"]
Cores: TypeAlias = tuple[Core, ...]
Columns: TypeAlias = Float[np.ndarray, "_ _"]

# Sweeps of the cross approximation, each of which may raise every rank by two.
_SWEEPS = 30
# Entries at which a cross approximation is compared with the function.
_CHECKED = 500


def tensor_train_ranks(cores: Cores) -> tuple[int, ...]:
    """The inner ranks r_1, …, r_{d-1}."""
    return tuple(core.shape[2] for core in cores[:-1])


def tensor_train_from_array(values: Float[np.ndarray, "*shape"], tolerance: float) -> Cores:
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


def tensor_train_round(cores: Cores, tolerance: float) -> Cores:
    """The same array with ranks as low as a relative Frobenius error ``tolerance`` allows.

    >>> one = (np.ones((1, 3, 1)), np.ones((1, 3, 1)))
    >>> tensor_train_ranks(tensor_train_round(add_trains(one, one), 1e-12))
    (1,)
    """
    return change_axes(cores, lambda _axis, _values: lambda columns: columns, tolerance)


def change_axes(
    cores: Cores, choose: Callable[[int, Columns], Callable[[Columns], Columns]], tolerance: float
) -> Cores:
    """Round, and apply a linear map along each axis, which may be chosen by what it is applied to.

    ``choose(axis, values)`` gets the entries of the core of the axis as columns (n, k), while all
    other cores are orthogonal, so that relative errors of the columns are relative Frobenius errors
    of the whole. It gives the linear map of columns.
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


def map_axes(cores: Cores, matrices: Sequence[Float[np.ndarray, "_ _"]]) -> Cores:
    """A matrix applied along each axis; ranks stay."""
    pairs = zip(matrices, cores, strict=True)
    return tuple(np.einsum("mn,anb->amb", matrix, core) for matrix, core in pairs)


def add_trains(first: Cores, second: Cores) -> Cores:
    """The cores of a sum; ranks add up."""
    last = len(first) - 1
    out = []
    for axis, (one, two) in enumerate(zip(first, second, strict=True)):
        (a, n, b), (c, _, e) = one.shape, two.shape
        core = np.zeros((a + c, n, b + e))
        core[:a, :, :b], core[a:, :, b:] = one, two
        if axis == 0:
            core = core.sum(axis=0, keepdims=True)
        if axis == last:
            core = core.sum(axis=2, keepdims=True)
        out.append(core)
    return tuple(out)


def tensor_train_contract(
    cores: Cores, rows: Sequence[Float[np.ndarray, "p _"]]
) -> Float[np.ndarray, " p"]:
    """Σ_j G[j_1, …, j_d] rows_1[p, j_1] … rows_d[p, j_d]: a value for each p.

    >>> grid = (np.ones((1, 3, 1)), np.arange(2.0).reshape(1, 2, 1))
    >>> tensor_train_contract(grid, [np.ones((1, 3)), np.ones((1, 2))]).tolist()
    [3.0]
    """
    state = np.ones((rows[0].shape[0], 1))
    for core, row in zip(cores, rows, strict=True):
        state = np.einsum("pa,pab->pb", state, np.tensordot(row, core, axes=(1, 1)))
    return state[:, 0]


def train_entries(cores: Cores, index: Int[np.ndarray, "p d"]) -> Float[np.ndarray, " p"]:
    """The entries at multi-indices."""
    state = np.ones((index.shape[0], 1))
    for axis, core in enumerate(cores):
        state = np.einsum("pa,apb->pb", state, core[:, index[:, axis]])
    return state[:, 0]


def train_to_array(cores: Cores) -> Float[np.ndarray, "*shape"]:
    """All entries; for few axes."""
    out = np.ones((1, 1))
    for core in cores:
        out = np.tensordot(out, core, axes=1).reshape(-1, core.shape[2])
    return out.reshape([core.shape[1] for core in cores])


def tensor_train_cross(
    entries: Callable[[Int[np.ndarray, "p d"]], Float[np.ndarray, " p"]],
    shape: Sequence[int],
    tolerance: float,
    max_rank: int,
    *,
    start: Cores | None = None,
    seed: int = 0,
) -> Cores:
    """Cores of an array given by its entries, from few of them (TT-cross of teneva).

    The relative error is compared with ``tolerance`` at entries drawn with the squared sizes of
    the approximation, and at random ones. Not for an array whose few large entries hide in one
    corner: give a ``start`` that finds it.

    Raises:
        ValueError: ranks beyond ``max_rank``, or an approximation that stays wrong.

    Oseledets & Tyrtyshnikov (2010).
    """
    # Here, because it takes half a second to import.
    import teneva

    random = np.random.default_rng(seed)
    first = teneva.rand(list(shape), 2, seed=seed) if start is None else list(start)
    info: dict = {}

    def too_high(_train, _info, options):
        return max(tensor_train_ranks(tuple(_train)), default=1) > 2 * max_rank

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
    error = _cross_error(cores, entries, random)
    # The cross keeps to its tolerance in norm; single entries may miss it by some factor.
    if error > 1e3 * tolerance:
        raise ValueError(
            f"tolerance: got {tolerance:.3g}; the cross approximation errs by {error:.3g} after "
            f"{info['nswp']} sweeps; wants a smoother function, or a larger tolerance."
        )
    return cores


def _cross_error(
    cores: Cores, entries: Callable[[np.ndarray], np.ndarray], random: np.random.Generator
) -> float:
    shape = [core.shape[1] for core in cores]
    anywhere = np.stack([random.integers(0, n, _CHECKED) for n in shape], axis=1)
    index = np.concatenate([anywhere, _large_entries(cores, random)])
    exact = entries(index)
    size = np.abs(exact).max()
    return float(np.abs(train_entries(cores, index) - exact).max() / size) if size > 0 else 0.0


def _large_entries(cores: Cores, random: np.random.Generator) -> Int[np.ndarray, "p d"]:
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


def _right_orthogonal(cores: Cores) -> Cores:
    """The same array, every core but the first with orthonormal rows."""
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
    """An orthonormal factor and the rest, of the least rank with a Frobenius error ≤ allowed."""
    m, n = matrix.shape
    if n > 2 * m:
        # Of a wide matrix first its triangle: the SVD of LAPACK is much slower than its QR.
        basis, triangle = np.linalg.qr(matrix.T)
        left, rest = _split(triangle.T, allowed)
        return left, rest @ basis.T
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    errors = np.sqrt(np.cumsum(singular[::-1] ** 2))[::-1]
    rank = max(1, int(np.sum(errors > allowed)))
    return left[:, :rank], singular[:rank, None] * right[:rank]


def _columns(core: Core) -> Columns:
    return core.transpose(1, 0, 2).reshape(core.shape[1], -1)


def _share(tolerance: float, axes: int) -> float:
    return tolerance / math.sqrt(max(axes - 1, 1))
