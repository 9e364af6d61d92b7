"""Rows that lie grossly outside of all others: codes of missing values, slips of units."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from brenier._warnings import warn_user

# What becomes of rows far outside of all others.
OUTLIERS = ("warn", "drop", "keep")

# Rows at either end of a column that may be outliers: one in so many; more of them are a part.
_SHARE = 8
# The gap, in ranges of all other values, past which rows are outliers whatever they are: so much
# where they are one in a hundred or more (a rare cluster may be), less in proportion to fewer, ...
_FAR, _FAR_SHARE = 100.0, 0.01
# ... but this at least, ...
_LEAST_FAR = 10.0
# ... and past which a repeated value is: honest clusters are far away too, but no single value.
_APART = 3.0
# Rows with the same value that make it a repeated one, where other values have one row each ...
_REPEATS = 3.0
# ... and how many more for each further row that the outermost of the others have: a sample drawn
# with replacement repeats its extremes by chance, ...
_REPEATS_PER_ROW = 10.0
# ... though hardly ever so often; where the tail does not explain the gap, so many are enough.
_REPEATS_ENOUGH = 8.0
# Values that others need before a repeated one is odd: fewer are codes or doses themselves.
_VALUES = 10
# Ranges of the others past which a row leaves them no digits: the root of 1/eps, about.
_DIGITS = 1e7
# Data sets with power-law tails in which a row is taken for an outlier.
_FALSE_ALARMS = 1e-3
# The least tail index: that of bounded tails, and what few or rounded values cannot hide.
_LEAST_INDEX = 0.2


def gross_outliers(points: np.ndarray) -> np.ndarray:
    """The rows of points (n, d) that lie far outside of all others in some column, ascending.

    A column is read from its bulk outwards, up to the first gap that the values inside cannot
    explain. Such a gap is

    - 100 times the range of all values inside (10 times, where one row in a thousand lies behind
      it), and wider than their tail leads one to expect; or
    - 3 times that range, with one value behind it in three rows or more (a code such as −9999),
      where the values inside are many and are not repeated as often, or have a tail that is short.

    The tail's index γ is Hill's, of the outer quarter (k values) of the distances to the median.
    Past a power-law tail the next value is e^t times as far with probability (1 + t/(kγ))^(-k),
    so heavy tails (Cauchy's too) raise an alarm in one data set of a thousand.

    Not seen: a code within 3 ranges of the others (−99 among values from −50 to 50), or in more
    than an eighth of the rows; one or two rows in a hundred within 100 ranges, which nothing tells
    from a rare cluster; less than this in small or heavy-tailed columns; what is odd only in
    several columns together; anything in a column that is constant otherwise. Codes are read from
    their values alone: an honest rare cluster of exactly equal values is taken for one.

    Shift and scale of the columns change nothing.

    Args:
        points: (n, d), finite.

    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> x[[17, 40], 1] = -9999.0
    >>> gross_outliers(x)
    array([17, 40])
    """
    n, d = points.shape
    outside = np.zeros(n, dtype=bool)
    for column in points.T:
        # A quarter, so that the difference of any two is finite.
        values = 0.25 * column.astype(np.float64)
        low, high = _bulk(values, _FALSE_ALARMS / d)
        outside |= (values < low) | (values > high)
    return np.flatnonzero(outside)


def beyond_digits(points: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Which of points (n, d) lie so far out that the sound ones have no digits beside them, (n,).

    Squares of distances beyond 1e7 ranges of the sound points (n,) hide those between the latter.

    >>> beyond_digits(np.array([[0.0], [1.0], [1e6], [1e9]]), np.array([True, True, False, False]))
    array([False, False, False,  True])
    """
    # A quarter, so that the difference of any two is finite.
    quarter = 0.25 * points.astype(np.float64)
    low, high = quarter[sound].min(axis=0), quarter[sound].max(axis=0)
    with np.errstate(over="ignore"):
        reach = _DIGITS * (high - low)
    return np.any((quarter < low - reach) | (quarter > high + reach), axis=1)


def check_outliers(value: str) -> str:
    """A ``ValueError`` where it is not "warn", "drop" or "keep".

    >>> check_outliers("drop")
    'drop'
    """
    if value not in OUTLIERS:
        raise ValueError(f"outliers: got {value!r}; wants one of {list(OUTLIERS)}.")
    return value


def sound_rows(
    name: str,
    points: np.ndarray,
    outliers: str,
    names: Sequence[Any] | None = None,
    *,
    weights: np.ndarray | None = None,
    leaves_out: bool = False,
) -> np.ndarray:
    """Which of points (n, d) are no gross outliers, (n,) bool; all of them under "keep".

    Args:
        name: of the argument, for the warning.
        points: (n, d), finite.
        outliers: "warn" of the others, "drop" them (the caller does), or "keep" them silently.
        names: of the columns.
        weights: (n,), of the points; those without any are not looked at.
        leaves_out: whether the caller leaves out what is ``beyond_digits`` under "warn" too.

    >>> sound_rows("X", np.array([[0.0], [1.0]]), "warn").tolist()
    [True, True]
    """
    sound = np.ones(len(points), dtype=bool)
    if check_outliers(outliers) == "keep":
        return sound
    seen = np.arange(len(points)) if weights is None else np.flatnonzero(weights > 0)
    rows = seen[gross_outliers(points[seen])]
    sound[rows] = False
    if len(rows) and outliers == "warn":
        gone = np.flatnonzero(beyond_digits(points, sound)) if leaves_out else rows[:0]
        warn_user(describe_outliers(name, rows, points, names, left_out=gone))
    return sound


def without_outliers(
    names: Sequence[str], clouds: Sequence[np.ndarray], weights: Sequence[np.ndarray], outliers: str
) -> list[np.ndarray]:
    """The weights of clouds, with 0 for gross outliers where ``outliers`` is "drop".

    >>> x = np.append(np.linspace(0.0, 1.0, 100), -9999.0)[:, None]
    >>> (weights,) = without_outliers(["X"], [x], [np.full(101, 1 / 101)], "drop")
    >>> weights[[0, -1]].round(9).tolist()
    [0.01, 0.0]
    """
    found = []
    for name, points, given in zip(names, clouds, weights, strict=True):
        sound = sound_rows(name, points, outliers, weights=given)
        drop = outliers == "drop" and not sound.all()
        found.append(given * sound / given[sound].sum() if drop else given)
    return found


def describe_outliers(
    name: str,
    rows: np.ndarray,
    points: np.ndarray,
    names: Sequence[Any] | None = None,
    *,
    optional: bool = True,
    left_out: np.ndarray | None = None,
) -> str:
    """The sentence that warns of these rows.

    Args:
        name: of the argument, ``"X"``.
        rows: what ``gross_outliers`` finds in the points, one at least.
        points: (n, d).
        names: of the columns, where they have any.
        optional: whether who reads it has an option to leave them out.
        left_out: those of them that are left out anyway.

    >>> x = np.array([[0.0], [1.0], [-9999.0]])
    >>> print(describe_outliers("X", np.array([2]), x))
    X: 1 of 3 rows lies far outside of the others (row 2, column 0 is -9999, where the others are \
within [0, 1]); it pulls the whole map. Take it out, or pass outliers="drop".
    """
    first = points[rows[0]].astype(np.float64)
    others = np.delete(points, rows, axis=0).astype(np.float64)
    low, high = others.min(axis=0), others.max(axis=0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        column = int(np.nanargmax(np.maximum(low - first, first - high) / (high - low)))
    label = column if names is None else repr(names[column])
    one = len(rows) == 1
    lies, start, they, them = (
        ("lies", "", "it", "it") if one else ("lie", "first: ", "they", "them")
    )
    does, remedy = "pull", f'Take {them} out, or pass outliers="drop".'
    if not optional:
        does, remedy = "widen", f"Take {them} out before the audit, if {they} should not count."
    what = "the whole map" if optional else "all bounds"
    gone = 0 if left_out is None else len(left_out)
    end = f"{they} {does}{'s' if one else ''} {what}. {remedy}"
    if gone:
        which = they if gone == len(rows) else f"{gone} of them"
        end = f"{which} {'is' if one or gone == 1 else 'are'} left out"
        end += f", since beside {them} the others would have no digits."
        if gone < len(rows):
            end += f" The rest pulls {what}. {remedy}"
    return (
        f"{name}: {len(rows)} of {len(points)} rows {lies} far outside of the others ({start}row "
        f"{rows[0]}, column {label} is {first[column]:.6g}, where the others are within "
        f"[{low[column]:.3g}, {high[column]:.3g}]); {end}"
    )


def _bulk(values: np.ndarray, level: float) -> tuple[float, float]:
    """The least and the greatest of values (n,) that are no outliers."""
    low, high = values.min(), values.max()
    spare = len(values) // _SHARE
    inner = np.partition(values, [spare, len(values) - 1 - spare])
    left, right = inner[spare], inner[len(values) - 1 - spare]
    # Most columns end here, unsorted: no gap can be wide enough.
    if max(left - low, high - right) <= _APART * (right - left):
        return low, high
    ordered = np.sort(values)
    while True:
        first, last = _ends(ordered, level)
        if last - first == len(ordered) - 1:
            return ordered[0], ordered[-1]
        # Once more without them: what lay further out may have hidden what lies less far.
        ordered = ordered[first : last + 1]


def _ends(x: np.ndarray, level: float) -> tuple[int, int]:
    """The first and the last of ordered values (n,) that are no outliers.

    In either order of the ends, and the fewer values: where most are one value (zeros), the end
    that comes first sees too little to tell.
    """
    n = len(x)
    first, last = _grown(x, level)
    start, end = _grown(-x[::-1], level)
    return min((first, last), (n - 1 - end, n - 1 - start), key=lambda ends: ends[1] - ends[0])


def _grown(x: np.ndarray, level: float) -> tuple[int, int]:
    """The bulk of ordered values, grown from the inside until a gap stops it, upwards first.

    So outliers at one end do not widen the range that those at the other are held to.
    """
    n = len(x)
    mirrored = -x[::-1]
    first, last = n // _SHARE, n - 1 - n // _SHARE
    while True:
        before = first, last
        last = _last(x, first, last, level)
        first = n - 1 - _last(mirrored, n - 1 - last, n - 1 - first, level)
        if (first, last) == before:
            return first, last


def _last(x: np.ndarray, first: int, last: int, level: float) -> int:
    """The last of ordered values, from ``last`` on, that no outlier's gap lies before."""
    gaps, ranges = np.diff(x[last:]), x[last:-1] - x[first]
    for i in last + np.flatnonzero((ranges > 0) & (gaps > _APART * ranges)):
        if _apart(x[first : i + 1], x[i + 1 :], level):
            return int(i)
    return len(x) - 1


def _apart(inside: np.ndarray, behind: np.ndarray, level: float) -> bool:
    """Whether the gap between ordered values and those behind them is more than theirs."""
    with np.errstate(over="ignore"):
        gap = (behind[0] - inside[-1]) / (inside[-1] - inside[0])
    beyond = bool(np.log1p(gap) > _reach(inside, level))
    share = len(behind) / (len(inside) + len(behind))
    if beyond and gap >= np.clip(_FAR * share / _FAR_SHARE, _LEAST_FAR, _FAR):
        return True
    repeats = int(np.searchsorted(behind, behind[0], side="right"))
    # The nearest value leads the group, or the group is a cluster of rounded values.
    if repeats < max(_REPEATS, len(behind) / 2):
        return False
    _, rows = np.unique(inside, return_counts=True)
    if len(rows) < _VALUES:
        return False
    # All but one of the outermost: one may be honest and have many rows (zeros among amounts).
    usual = np.sort(rows[-_VALUES:])[:-1].mean()
    least = _REPEATS + _REPEATS_PER_ROW * (usual - 1.0)
    return bool(repeats >= (min(least, _REPEATS_ENOUGH) if beyond else least))


def _reach(inside: np.ndarray, level: float) -> float:
    """The logarithm of how much further out than ordered values the next may lie, at this level.

    By their upper tail, or by both tails together where that says more (it has more values).
    """
    distances = inside - inside[len(inside) // 2]
    return min(
        _tail_reach(distances[distances > 0], level),
        _tail_reach(np.abs(distances[distances != 0]), level),
    )


def _tail_reach(distances: np.ndarray, level: float) -> float:
    k = len(distances) // 4
    if k == 0:
        return np.inf
    tail = np.sort(distances)[-k - 1 :]
    logs = np.log(tail / tail[0])
    # The outermost counts twice: it is the second of a tail that the next value is the first of.
    index = max((logs.sum() + logs[-1]) / k, _LEAST_INDEX)
    return index * k * (level ** (-1.0 / k) - 1.0)
