"""The cross approximation of tensor trains: cores of an array from few of its entries.

Sweeps along the axes: on each, the entries at all indices of that axis, between chosen indices of
the axes before and after, make a matrix, of whose rows a dominant few are chosen in turn.
Oseledets & Tyrtyshnikov (2010), Mikhalev & Oseledets (2018).
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np
import scipy.linalg

from brenier._types import Float, Int, Key
from brenier.numerics._random import host_seed
from brenier.numerics._tensor_train import (
    TensorTrainCores,
    right_orthogonal,
    tensor_train_entries,
    tensor_train_ranks,
    tensor_train_round,
)

_Core = Float[np.ndarray, "_ _ _"]
_Indices = Int[np.ndarray, "_ _"]
_Entries = Callable[[_Indices], Float[np.ndarray, " _"]]
_Block = Callable[[int, _Indices, np.ndarray], _Core]

# Most sweeps of the cross approximation, there and back; each may raise every rank by four.
_SWEEPS = 30
# A sweep that changes no more than this, relative, has ended, whatever the tolerance: rounding.
_LEAST_CHANGE = 1e-13
# Rows are exchanged while the volume grows by more than 5 %, so often at most; of those that are
# added beyond a square the second is, where its coefficients are longer than 1.1.
_GAIN, _EXCHANGES, _LONG = 1.05, 100, 1.1
# Entries at which a cross approximation is compared with the function.
_CHECKED = 500
# By how much a single entry may miss the tolerance.
_ENTRY_FACTOR = 1e3
# Runs of the cross, each from what the last one missed; starts of the search for maxima, and the
# rounds through all axes that each may take.
_JOINED, _CLIMBERS, _CLIMBS = 4, 100, 10


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
    """Cores of an array given by a function of its indices, from few entries.

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
    random = np.random.default_rng(host_seed(jax.random.key(0) if key is None else key))
    first = _random_cores(shape, random) if start is None else start
    heights = entries if heights is None else heights
    peaks = np.unique(_maxima(heights, shape, random), axis=0)
    for _ in range(_JOINED):
        found, sweeps = _swept(entries, shape, first, 0.1 * tolerance, 2 * max_rank)
        cores = tensor_train_round(found, tolerance)
        rank = max(tensor_train_ranks(cores), default=1)
        if rank > max_rank or max(tensor_train_ranks(found), default=1) > 2 * max_rank:
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
            found = _sum(found, _product_at(peak, entries, shape))
        first = found
    raise ValueError(
        f"tolerance: got {tolerance:.3g}; the cross approximation errs by {errors.max():.3g} after "
        f"{sweeps} sweeps; wants a smoother function, or a larger tolerance."
    )


def _swept(
    entries: _Entries, shape: Sequence[int], start: TensorTrainCores, tolerance: float, highest: int
) -> tuple[TensorTrainCores, int]:
    """The cores after sweeps that changed little, or raised a rank beyond ``highest``; how many."""
    now = _pass(lambda axis, _, carry: np.tensordot(carry, start[axis], axes=1), shape, 0)[0]
    back = _reversed(now)
    behind = _pass(lambda axis, _, carry: np.tensordot(carry, back[axis], axes=1), shape[::-1], 0)[
        1
    ]
    sweeps = 0
    while sweeps < _SWEEPS:
        sweeps += 1
        before = now
        _, ahead = _half_sweep(entries, shape, behind)
        back, behind = _half_sweep(lambda index: entries(index[:, ::-1]), shape[::-1], ahead)
        now = _reversed(back)
        too_high = max(tensor_train_ranks(now), default=1) > highest
        changed = _norm(_sum(now, (-before[0], *before[1:])))
        if too_high or changed <= max(tolerance, _LEAST_CHANGE) * _norm(now):
            break
    return now, sweeps


def _half_sweep(
    entries: _Entries, shape: Sequence[int], behind: list[_Indices]
) -> tuple[TensorTrainCores, list[_Indices]]:
    """One sweep from the first axis to the last.

    ``behind[k]`` are chosen indices of the last k axes, the last one first; so are those returned,
    of the first k axes.
    """

    def block(axis: int, ahead: _Indices, _: np.ndarray) -> _Core:
        n, after = shape[axis], behind[len(shape) - 1 - axis][:, ::-1]
        r, s = len(ahead), len(after)
        own = np.tile(np.repeat(np.arange(n), s), r)
        index = np.column_stack([np.repeat(ahead, n * s, axis=0), own, np.tile(after, (r * n, 1))])
        return np.asarray(entries(index), np.float64).reshape(r, n, s)

    return _pass(block, shape, 2)


def _pass(
    block: _Block, shape: Sequence[int], more: int
) -> tuple[TensorTrainCores, list[_Indices]]:
    """Cores through chosen rows of ``block(axis, chosen indices of the axes before, carry)``.

    ``more`` rows are chosen beyond a square, at most; the carry is what the cores so far leave to
    the next one. Also the indices chosen of the first k axes, k = 0, …, d.
    """
    carry, cores, chosen = np.eye(1), [], [np.zeros((1, 0), int)]
    for axis, n in enumerate(shape):
        values = block(axis, chosen[-1], carry)
        r, _, s = values.shape
        basis, triangle = np.linalg.qr(values.reshape(r * n, s))
        rows, coefficients = _dominant_rows(basis, more)
        cores.append(coefficients.reshape(r, n, -1))
        carry = basis[rows] @ triangle
        chosen.append(np.column_stack([chosen[-1][rows // n], rows % n]))
    cores[-1] = np.tensordot(cores[-1], carry, axes=1)
    return tuple(cores), chosen


def _dominant_rows(
    basis: Float[np.ndarray, "m r"], more: int
) -> tuple[Int[np.ndarray, " q"], Float[np.ndarray, "m q"]]:
    """Rows of nearly the largest volume, r and up to ``more``; and C with basis = C basis[rows].

    The least C, which is the identity in the chosen rows. Goreinov et al. (2010), maxvol;
    Mikhalev & Oseledets (2018), algorithm 3, for those beyond r.
    """
    m, r = basis.shape
    if m <= r:
        return np.arange(m), np.eye(m)
    rows = scipy.linalg.qr(basis.T, mode="r", pivoting=True)[1][:r].astype(int)
    coefficients = np.linalg.solve(basis[rows].T, basis.T).T
    for _ in range(_EXCHANGES):
        row, place = divmod(int(np.abs(coefficients).argmax()), r)
        if abs(coefficients[row, place]) <= _GAIN:
            break
        rows[place] = row
        change = coefficients[row].copy()
        change[place] -= 1.0
        coefficients -= np.outer(coefficients[:, place], change / coefficients[row, place])
    for added in range(min(more, m - r)):
        squares = np.sum(coefficients**2, axis=1)
        squares[rows] = 0.0
        row = int(squares.argmax())
        if added and squares[row] <= _LONG**2:
            break
        along = coefficients @ coefficients[row]
        along /= 1.0 + along[row]
        coefficients = np.column_stack([coefficients - np.outer(along, coefficients[row]), along])
        rows = np.append(rows, row)
    coefficients[rows] = np.eye(len(rows))
    return rows, coefficients


def _random_cores(shape: Sequence[int], random: np.random.Generator) -> TensorTrainCores:
    ranks = [1, *[2] * (len(shape) - 1), 1]
    sizes = zip(ranks[:-1], shape, ranks[1:], strict=True)
    return tuple(random.normal(size=size) for size in sizes)


def _reversed(cores: TensorTrainCores) -> TensorTrainCores:
    """The array with its axes in the opposite order."""
    return tuple(core.transpose(2, 1, 0) for core in cores[::-1])


def _sum(first: TensorTrainCores, second: TensorTrainCores) -> TensorTrainCores:
    """The sum of two arrays; ranks add up."""
    if len(first) == 1:
        return (first[0] + second[0],)
    middle = []
    for one, other in zip(first[1:-1], second[1:-1], strict=True):
        (a, n, b), (c, _, e) = one.shape, other.shape
        core = np.zeros((a + c, n, b + e))
        core[:a, :, :b], core[a:, :, b:] = one, other
        middle.append(core)
    begin = np.concatenate([first[0], second[0]], axis=2)
    end = np.concatenate([first[-1], second[-1]], axis=0)
    return (begin, *middle, end)


def _norm(cores: TensorTrainCores) -> float:
    """The Frobenius norm, to all digits where the array is a small difference."""
    return float(np.linalg.norm(right_orthogonal(cores)[0]))


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
) -> TensorTrainCores:
    """The tensor train of rank 1 that has the entries on all lines through one of them."""
    cores: list[np.ndarray] = []
    for axis, n in enumerate(shape):
        line = np.repeat(peak[None], n, axis=0)
        line[:, axis] = np.arange(n)
        values = entries(line)
        cores.append((values / values[peak[axis]] if axis else values).reshape(1, n, 1))
    return tuple(cores)


def _large_entries(cores: TensorTrainCores, random: np.random.Generator) -> Int[np.ndarray, "p d"]:
    """Multi-indices drawn with probabilities proportional to the squares of the entries."""
    cores = right_orthogonal(cores)
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
