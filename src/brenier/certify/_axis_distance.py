"""How far is the law of any column from its target's? A simultaneous bound. Theory (6.18)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from brenier.certify._feature_test import column_name
from brenier.measures import AbstractMeasure, Gaussian, GaussianMixture, StandardNormal

# Laws of columns whose distribution functions differ by less are close: the target is reached.
CLOSE = 0.05
_STEPS, _HALVINGS = 2000, 30

Distribution = Callable[[int, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class AxisDistance:
    """The largest sup|F − G| over columns, F of the images and G of the target.

    Attributes:
        observed: of the samples.
        upper: a bound of all columns at once, at the level, at every law of independent rows.
        axis: the column of the largest, in words.
        tested: how many points of each cloud it is of.
        points: from so many points of each cloud on (of the images alone, where G is known), equal
            laws are found to be ``CLOSE``, at the level.
    """

    observed: float
    upper: float
    axis: str
    tested: int
    points: int


def axis_distance(
    first: np.ndarray, second: np.ndarray, *, level: float, target: AbstractMeasure | None = None
) -> AxisDistance:
    """Of images (n, d) and independent points (m, d) of the target, or its law where it is known.

    sup|F − F_n| exceeds a with probability at most 2 exp(−2na²), whatever F (Dvoretzky, Kiefer,
    Wolfowitz; Massart 1990, with this constant), one of d columns at most d times that; with two
    independent samples the two errors add up as independent variables do.

    >>> x, y = np.random.default_rng(0).normal(size=(2, 20_000, 3))
    >>> found = axis_distance(x, y, level=0.95)
    >>> found.observed < 0.02 < found.upper < 0.05
    True
    """
    n, d = first.shape
    known = _known_distribution(target)
    alpha = (1.0 - level) / d
    # Columns in one piece: of rows they would be read value by value.
    columns = np.ascontiguousarray(first.T)
    if known is None:
        gaps = [
            _between(*pair) for pair in zip(columns, np.ascontiguousarray(second.T), strict=True)
        ]
        radius, unit = _radius(n, len(second), alpha), _radius(1, 1, alpha)
    else:
        gaps = [_from(column, known, i) for i, column in enumerate(columns)]
        radius, unit = (math.sqrt(math.log(2.0 / alpha) / (2.0 * k)) for k in (n, 1))
    worst = int(np.argmax(gaps))
    return AxisDistance(
        observed=float(gaps[worst]),
        upper=min(1.0, float(gaps[worst]) + radius),
        axis=column_name(worst, d),
        tested=n if known is not None else min(n, len(second)),
        # At equal laws no more than a radius is observed, and radii fall as 1/√n.
        points=math.ceil((2.0 * unit / CLOSE) ** 2),
    )


def _known_distribution(target: AbstractMeasure | None) -> Distribution | None:
    """The distribution function of every column, (column, values), where it is known exactly."""
    if isinstance(target, StandardNormal):
        return lambda _, values: ndtr(values)
    if isinstance(target, Gaussian):
        weights, means = np.ones(1), np.asarray(target.mean, float)[None]
        factors = np.asarray(target.factor, float)[None]
    elif isinstance(target, GaussianMixture):
        weights, means = (np.asarray(part, float) for part in (target.weights, target.means))
        factors = np.asarray(target.factors, float)
    else:
        return None
    deviations = np.linalg.norm(factors, axis=2)

    def distribution(column: int, values: np.ndarray) -> np.ndarray:
        standard = (values[:, None] - means[:, column]) / deviations[:, column]
        return ndtr(standard) @ weights

    return distribution


def _between(first: np.ndarray, second: np.ndarray) -> float:
    """sup|F_n − G_m| of two samples (n,) and (m,), ties included."""
    n, m = len(first), len(second)
    pooled = np.concatenate([np.sort(first), np.sort(second)])
    order = np.argsort(pooled, kind="stable")  # merges the two runs
    values = pooled[order]
    gaps = np.cumsum(np.where(order < n, 1.0 / n, -1.0 / m))
    last = np.append(values[1:] != values[:-1], True)  # of equal values
    return float(np.abs(gaps[last]).max())


def _from(sample: np.ndarray, distribution: Distribution, column: int) -> float:
    """sup|F_n − G| of a sample (n,) and a continuous G."""
    n = len(sample)
    expected = distribution(column, np.sort(sample))
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - expected).max(), (expected - steps[:-1]).max()))


def _radius(n: int, m: int, alpha: float) -> float:
    """ε with P(A + B > ε) ≤ alpha for independent A, B whose tails are 2 exp(−2na²), 2 exp(−2mb²).

    About √2 below the sum of the two bounds at alpha/2 each, which it never exceeds.
    """

    def tail(size: int, a: np.ndarray) -> np.ndarray:
        return np.minimum(1.0, 2.0 * np.exp(-2.0 * size * a**2))

    def beyond(epsilon: float) -> float:
        # A between two steps is taken for the higher one: the sum is never too small.
        a = np.linspace(0.0, epsilon, _STEPS + 1)
        own = tail(n, a)
        return float(own[-1] + np.sum((own[:-1] - own[1:]) * tail(m, a[::-1][1:])))

    low, high = 0.0, sum(math.sqrt(math.log(4.0 / alpha) / (2.0 * k)) for k in (n, m))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if beyond(middle) <= alpha else (middle, high)
    return high
