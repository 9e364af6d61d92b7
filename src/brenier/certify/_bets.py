"""Bounds of means by averaged bets: their level holds at every law and every number of draws."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import beta

# Shares of the wealth that are bet: on a mean below, and on one above.
_BELOW = np.array([0.95, 0.8, 0.6, 0.35, 0.2, 0.1, 0.05, 0.02])
_ABOVE = 0.98 * 2.0 ** -np.arange(12)
# Among these is the one that serves the pilot rows best.
_FINE = 0.98 * 2.0 ** (-np.arange(23) / 2.0)
_BISECTIONS = 100
# A mean is not looked for below this part of the largest.
_LEAST = 1e-12


def mean_from_below(
    draws: Sequence[np.ndarray], alpha: float, weights: Sequence[float] | None = None
) -> float:
    """L with P(L > θ) ≤ α, from sets of independent V_b ≥ 0 with E V_b ≤ θ.

    L = inf{m : K(m) < 1/α}, K(m) the mean over sets and λ of Π_b (1 − λ + λ V_b/m): at m = θ its
    expectation is at most 1 (Markov). Sets may depend on each other, as partitions of the same
    rows do. L is at most the largest mean of a set; ``weights`` of the sets are equal where None.

    >>> round(mean_from_below([np.ones(64)], 0.025), 2)
    0.92

    MATH_6 (6.6).
    """
    shares = np.repeat(np.ones(len(draws)) if weights is None else weights, len(_BELOW))
    most = max((float(own.mean()) for own in draws), default=0.0)
    if most * _LEAST <= np.finfo(float).tiny:
        return 0.0

    def wealth(m: float) -> float:
        logs = [np.log1p(_BELOW[:, None] * (own / m - 1.0)).sum(axis=1) for own in draws]
        return _log_mean(np.concatenate(logs), shares)

    return _first_below(wealth, _LEAST * most, most, -np.log(alpha))


def mean_from_above(values: np.ndarray, most: float, alpha: float, pilot: np.ndarray) -> float:
    """U with P(U < E Y) ≤ α, from independent 0 ≤ Y ≤ τ (``most``); at least their mean.

    U = sup{m : K(m) < 1/α}, K(m) the mean over λ of Π_i (1 + λ (m − Y_i)/(τ − m)). Half the weight
    is on the λ that serves the ``pilot``, other draws of Y, best.

    MATH_6 (6.7).
    """
    mean = float(values.mean())
    if most <= 0.0 or mean >= most:
        return most

    def wealth(own: np.ndarray, bets: np.ndarray) -> Callable[[float], np.ndarray]:
        def logs(m: float) -> np.ndarray:
            with np.errstate(divide="ignore"):
                return np.log1p(bets[:, None] * ((m - own) / (most - m))).sum(axis=1)

        return logs

    bets, weights = _bets(lambda own: wealth(np.clip(pilot, 0.0, most), own), mean, most, alpha)
    own = wealth(values, bets)
    return _last_below(lambda m: _log_mean(own(m), weights), mean, most, -np.log(alpha))


def share_from_above(
    gaps: np.ndarray,
    costs: np.ndarray,
    most: float,
    alpha: float,
    pilot: tuple[np.ndarray, np.ndarray],
) -> float:
    """U with P(U < E G/E C) ≤ α, from independent pairs 0 ≤ G ≤ τ (``most``), C ≥ 0; at most 1.

    U = sup{q : K(q) < 1/α}, K(q) the mean over λ of Π_i (1 − λ (G_i − q C_i)/τ): no ratio of two
    means whose errors are forgotten.

    MATH_6 (6.17).
    """
    total = float(costs.mean())
    if total <= 0.0:
        return 1.0
    if most <= 0.0:
        return 0.0

    def wealth(
        own: tuple[np.ndarray, np.ndarray], bets: np.ndarray
    ) -> Callable[[float], np.ndarray]:
        gaps, costs = own

        def logs(q: float) -> np.ndarray:
            with np.errstate(divide="ignore"):
                return np.log1p(-bets[:, None] * ((gaps - q * costs) / most)).sum(axis=1)

        return logs

    mean = min(float(gaps.mean()) / total, 1.0)
    clipped = (np.clip(pilot[0], 0.0, most), pilot[1])
    bets, weights = _bets(lambda own: wealth(clipped, own), mean, 1.0, alpha)
    own = wealth((gaps, costs), bets)
    return _last_below(lambda q: _log_mean(own(q), weights), mean, 1.0, -np.log(alpha))


def probability_from_above(count: int, draws: int, alpha: float) -> float:
    """Clopper and Pearson's bound of a probability, after ``count`` of so many draws.

    >>> round(probability_from_above(0, 1000, 0.0125), 4)
    0.0044
    """
    return 1.0 if count >= draws else float(beta.ppf(1.0 - alpha, count + 1, draws - count))


def _bets(
    wealth: Callable[[np.ndarray], Callable[[float], np.ndarray]],
    low: float,
    high: float,
    alpha: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The λ and their weights: half on the one whose bound from the pilot is the least."""

    def bound(one: float) -> float:
        own = wealth(np.array([one]))
        return _last_below(lambda m: float(own(m)[0]), low, high, -np.log(alpha))

    bounds = [bound(one) for one in _FINE]
    best = _FINE[int(np.argmin(bounds))]
    spread = np.full(len(_ABOVE), 0.5 / len(_ABOVE))
    return np.append(_ABOVE, best), np.append(spread, 0.5)


def _log_mean(logs: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The logarithm of the mean of exp(logs)."""
    top = float(logs.max())
    if not np.isfinite(top):
        return top
    return top + float(np.log(np.average(np.exp(logs - top), weights=weights)))


def _first_below(rising: Callable[[float], float], low: float, high: float, level: float) -> float:
    """inf{m : wealth(m) < level} of a falling function, from below; 0 where even ``low`` is."""
    if rising(low) < level:
        return 0.0
    for _ in range(_BISECTIONS):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if rising(middle) < level else (middle, high)
    return float(low)


def _last_below(rising: Callable[[float], float], low: float, high: float, level: float) -> float:
    """sup{m : wealth(m) < level} of a rising function, from above."""
    most = high
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return min(float(high), most)
