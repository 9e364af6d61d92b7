"""Where do images and target differ? One permutation test of many features. Theory (6.18)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_DIRECTIONS = 50
# So many principal axes from either end; their cost grows as d³.
_PRINCIPAL, _PRINCIPAL_DIMENSION = 25, 1000
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_KINDS = ("mean", "spread", *(f"share above the {100 * q:g} % quantile" for q in _QUANTILES))
# Rows times features, of both clouds: with 999 permutations about half a second.
_WORK = 10_000_000
_FEWEST_ROWS, _MOST_ROWS = 1000, 10_000
# Along an axis of less variance than this, beside the columns' 1, there is only rounding.
_FLAT = 1e-9
# Numbers of a block of features.
_BLOCK = 4_000_000
# A feature that varies by less than this part of its size is a constant and rounding.
_CONSTANT = 1e-6
# Of float32 sums: what chance reaches but for rounding, it reaches.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class FeatureTest:
    """The largest standardised difference of features, and how often chance makes one as large.

    Attributes:
        p_value: of all features together, by one permutation law of their maximum: exact.
        difference: of the means of that feature, first less second, in its pooled deviations.
        feature: which one it is, in words; "" where all means are equal.
        tested: how many points of each cloud were looked at.
    """

    p_value: float
    difference: float
    feature: str
    tested: int


def feature_test(
    first: np.ndarray,
    second: np.ndarray,
    random: np.random.Generator,
    permutations: int = 999,
    share: float = 1.0,
) -> FeatureTest:
    """Do clouds (n, d) and (m, d), independent samples, have one law? Theory (6.18).

    The features are u, u² about the pooled mean and 1{u > q} for pooled quantiles q; u goes through
    all columns, the pooled sample's principal axes and random directions, in units of the columns'
    pooled deviations: a column's unit changes nothing. Heavy tails, ties and constant columns cost
    power at most, as labels are permuted and features are not. A ``share`` of the rows that about
    half a second allows is taken. Blind to a dependence between
    columns that no direction shows, and to modes of about 1 % of the mass.

    >>> x, y = np.random.default_rng(0).normal(size=(2, 500, 20))
    >>> y[:, 2] *= 0.5
    >>> found = feature_test(x, y, np.random.default_rng(1))
    >>> found.p_value, found.feature, found.difference > 0.0
    (0.001, 'spread of column 3 of 20', True)
    """
    d = first.shape[1]
    features = (d + _DIRECTIONS + min(d, 2 * _PRINCIPAL)) * len(_KINDS)
    rows = int(np.clip(share * _WORK / (2 * features), _FEWEST_ROWS, _MOST_ROWS))
    first, second = (c[random.permutation(len(c))[:rows]] for c in (first, second))
    n, m = len(first), len(second)
    columns = _columns(first, second)
    directions, places = _directions(columns, random)
    labels = np.empty((1 + permutations, n + m), np.float32)
    labels[:] = np.concatenate([np.full(n, 1.0 / n), np.full(m, -1.0 / m)])
    random.permuted(labels[1:], axis=1, out=labels[1:])
    chance, most, which = np.zeros(permutations), 0.0, (0, 0)
    for start, block in _blocks(columns, directions):
        features = _features(block)
        found = features.reshape(-1, n + m) @ labels.T
        np.maximum(chance, np.abs(found[:, 1:]).max(axis=0), out=chance)
        at = int(np.argmax(np.abs(found[:, 0])))
        if abs(found[at, 0]) > abs(most):
            most = float(found[at, 0])
            which = at // len(block), start + at % len(block)
    reached = np.sum(chance >= abs(most) * (1.0 - _ROUNDING))
    return FeatureTest(
        p_value=float((1 + reached) / (1 + permutations)),
        difference=most,
        feature=f"{_KINDS[which[0]]}{places[which[1]]}" if most else "",
        tested=min(n, m),
    )


def column_name(column: int, dimension: int) -> str:
    """A column in words, counted from 1."""
    return f"column {column + 1} of {dimension:,}" if dimension > 1 else "the only column"


def _columns(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The columns of both clouds, (d, n + m), each of mean 0 and deviation 1, or all 0."""
    columns = np.ascontiguousarray(np.concatenate([first, second]).T)
    # Squares of the largest numbers would overflow; a constant's mean would leave its rounding.
    columns = columns - columns[:, :1]
    columns /= np.maximum(np.abs(columns).max(axis=1, keepdims=True), np.finfo(float).tiny)
    return _standard(columns, 0.0)


def _standard(values: np.ndarray, least: float) -> np.ndarray:
    """Of mean 0 and deviation 1 along the last axis; 0 where they deviate by no more than least."""
    values = values - values.mean(axis=-1, keepdims=True)
    deviation = values.std(axis=-1, keepdims=True)
    return values * np.where(
        deviation > least, 1.0 / np.where(deviation > least, deviation, 1.0), 0
    )


def _directions(columns: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Principal axes of the columns and random directions, (k, d); and every place in words.

    The principal axes take both clouds alike, so labels may be permuted after them.
    """
    d = len(columns)
    if d == 1:
        return np.zeros((0, 1)), [""]
    places = [f" of {column_name(i, d)}" for i in range(d)]
    axes = np.zeros((0, d))
    if d <= _PRINCIPAL_DIMENSION:
        values, vectors = np.linalg.eigh(columns @ columns.T / columns.shape[1])
        axes = vectors.T[values > _FLAT][::-1]
        if len(axes) > 2 * _PRINCIPAL:
            axes = axes[np.r_[:_PRINCIPAL, -_PRINCIPAL:0]]
    for axis in axes:
        pair = sorted(np.argsort(-np.abs(axis))[:2] + 1)
        places.append(f" along a principal axis (mostly columns {pair[0]} and {pair[1]} of {d:,})")
    drawn = random.normal(size=(_DIRECTIONS, d))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    places += [" along a direction that mixes all columns" for _ in range(_DIRECTIONS)]
    return np.concatenate([axes, drawn]), places


def _blocks(columns: np.ndarray, directions: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """All columns, then what is seen along directions, few at a time; and their first's place."""
    d, n = columns.shape
    size = max(1, _BLOCK // (len(_KINDS) * n))
    for start in range(0, d, size):
        yield start, columns[start : start + size]
    for start in range(0, len(directions), size):
        yield d + start, _standard(directions[start : start + size] @ columns, _CONSTANT)


def _features(u: np.ndarray) -> np.ndarray:
    """All kinds of features of the rows of u, (kinds, k, n), standardised: 0 where constant."""
    ranks = [int(q * (u.shape[1] - 1)) for q in _QUANTILES]
    cuts = np.partition(u, ranks, axis=1)[:, ranks]
    above = u[None] > cuts.T[:, :, None]
    raw = np.concatenate([u[None], u[None] ** 2, above])
    return _standard(raw, _CONSTANT).astype(np.float32)
