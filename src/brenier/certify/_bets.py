"""Bounds of means by averaged bets: their level holds at every law and every number of draws."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import brentq
from scipy.special import rel_entr
from scipy.stats import beta

# Shares of the wealth that are bet: on a mean below, and on one above.
_BELOW = np.array([0.95, 0.8, 0.6, 0.35, 0.2, 0.1, 0.05, 0.02])
_ABOVE = 0.98 * 2.0 ** -np.arange(12)
# Among these is the one that serves the pilot rows best.
_FINE = 0.98 * 2.0 ** (-np.arange(23) / 2.0)
# Multiples of κ at which values are cut, in parts of their mean.
_CUTS = np.array([0.5, 1.0, 2.0, 4.0, 8.0])
# Bounds are found to this part of themselves, on their safe side; those of a pilot by bisection.
_CLOSE, _ROUGH = 1e-7, 24
# From m (or one for each λ in a column) and λ in a column: the log of the wealth of each λ.
_Logs: TypeAlias = Callable[[Any, np.ndarray], np.ndarray]
# A mean that is bounded by no multiple of the sample's up to this one is not bounded.
_FARTHEST = 1e6
# A mean is not looked for below this part of the largest.
_LEAST = 1e-12


def mean_from_below(
    draws: Sequence[np.ndarray],
    alpha: float,
    weights: Sequence[float] | None = None,
    masses: Sequence[np.ndarray | float] | None = None,
) -> float:
    """L with P(L > θ) ≤ α, from sets of independent V_b ≥ 0 with E V_b ≤ θ.

    L = inf{m : K(m) < 1/α}, K(m) the mean over sets and λ of Π_b (1 − λ + λ V_b/m): at m = θ its
    expectation is at most 1 (Markov). Sets may depend on each other, as partitions of the same
    rows do. L is at most the largest mean of a set; ``weights`` of the sets are equal where None.

    With ``masses`` of the sets, s_b in [0, 1] each, E V_b ≤ θ E s_b is enough, and a factor is
    1 + λ (V_b/m − s_b): no ratio of two means whose errors are forgotten. (6.19)

    >>> round(mean_from_below([np.ones(64)], 0.025), 2)
    0.92

    Theory (6.6).
    """
    shares = np.repeat(np.ones(len(draws)) if weights is None else weights, len(_BELOW))
    if masses is None:
        masses = [1.0] * len(draws)
    pairs = list(zip(draws, masses, strict=True))
    most = max(
        (float(own.mean()) / float(np.mean(s)) for own, s in pairs if np.any(s)), default=0.0
    )
    if most * _LEAST <= np.finfo(float).tiny:
        return 0.0

    def wealth(m: float) -> float:
        logs = [np.log1p(_BELOW[:, None] * (own / m - s)).sum(axis=1) for own, s in pairs]
        return _log_mean(np.concatenate(logs), shares)

    return _first_below(wealth, _LEAST * most, most, -np.log(alpha))


def mean_from_above(
    values: np.ndarray,
    most: float,
    alpha: float,
    pilot: np.ndarray,
    weights: np.ndarray | None = None,
) -> float:
    """U with P(U < E Y) ≤ α, from independent 0 ≤ Y ≤ τ (``most``); at least their mean.

    U = sup{m : K(m) < 1/α}, K(m) the mean over λ of Π_i (1 + λ (m − Y_i)/(τ − m)). Half the weight
    is on the λ that serves the ``pilot``, other draws of Y, best.

    With ``weights`` 0 ≤ u ≤ 1 of the values, not of the pilot, of the mean E[u Y]/E u: a factor is
    1 + λ u_i (m − Y_i)/(τ − m), whose mean at m = E[u Y]/E u is 1. (6.19)

    Theory (6.7).
    """
    mean = float(np.average(values, weights=weights))
    if most <= 0.0 or mean >= most:
        return most

    def logs(own: np.ndarray, weights: Any) -> _Logs:
        return lambda m, bets: np.log1p(bets * (weights * ((m - own) / (most - m)))).sum(axis=1)

    before = logs(np.clip(pilot, 0.0, most), _mean_weight(weights))
    return _last_below(logs(values, _own_weights(weights)), before, mean, most, alpha)


def mean_under_kurtosis(
    values: np.ndarray, kurtosis: float, alpha: float, weights: np.ndarray | None = None
) -> float:
    """U with P(U < E G) ≤ α, from independent G ≥ 0 with E G² ≤ κ (E G)²; infinite for few.

    For R = θκ and q = 1 − 1/(4θ) every m ≤ E G has E min(G/m, R) ≥ q, as (g − t)₊ ≤ g²/(4t):
    U = sup{m : K(m) < 1/α}, K(m) the mean over θ and λ of Π_i (1 + λ(q − min(G_i/m, R))/(R − q)).
    ``weights`` as of ``mean_from_above``: what is bet is multiplied by u_i.

    Theory (6.9).
    """
    if not np.isfinite(values).all():
        return float("inf")
    cuts, means = (part[:, None, None] for part in (_CUTS * kurtosis, 1.0 - 0.25 / _CUTS))
    level, own = -np.log(alpha), _own_weights(weights)

    def wealth(m: float) -> float:
        off = own * ((means - np.minimum(values / m, cuts)) / (cuts - means))
        return _log_mean(np.log1p(_ABOVE[:, None] * off).sum(axis=2).ravel())

    if not values.any():
        # All m have one wealth: that of so many zeros proves a mean of 0, or nothing.
        return 0.0 if wealth(1.0) >= level else float("inf")
    low = high = least = float(np.average(values, weights=weights))
    while wealth(high) < level:
        low, high = high, 2.0 * high
        if high > _FARTHEST * least:
            return float("inf")
    return _end_above(lambda m: bool(wealth(m) < level), low, high)


def share_from_above(
    gaps: np.ndarray,
    costs: np.ndarray,
    most: float,
    alpha: float,
    pilot: tuple[np.ndarray, np.ndarray],
    weights: np.ndarray | None = None,
) -> float:
    """U with P(U < E G/E C) ≤ α, from independent pairs 0 ≤ G ≤ τ (``most``), C ≥ 0; at most 1.

    U = sup{q : K(q) < 1/α}, K(q) the mean over λ of Π_i (1 − λ (G_i − q C_i)/τ): no ratio of two
    means whose errors are forgotten. ``weights`` as of ``mean_from_above``.

    Theory (6.17).
    """
    total = float(np.average(costs, weights=weights))
    if total <= 0.0:
        return 1.0
    if most <= 0.0:
        return 0.0

    def logs(gaps: np.ndarray, costs: np.ndarray, weights: Any) -> _Logs:
        return lambda q, bets: np.log1p(-bets * (weights * ((gaps - q * costs) / most))).sum(axis=1)

    mean = min(float(np.average(gaps, weights=weights)) / total, 1.0)
    before = logs(np.clip(pilot[0], 0.0, most), pilot[1], _mean_weight(weights))
    return _last_below(logs(gaps, costs, _own_weights(weights)), before, mean, 1.0, alpha)


def probability_from_above(count: int, draws: int, alpha: float) -> float:
    """Clopper and Pearson's bound of a probability, after ``count`` of so many draws.

    >>> round(probability_from_above(0, 1000, 0.0125), 4)
    0.0044
    """
    return 1.0 if count >= draws else float(beta.ppf(1.0 - alpha, count + 1, draws - count))


def mean_of_pairs_from_above(mean: float, half: int, alpha: float) -> float:
    """U with P(U < p) ≤ α, of the mean of an indicator over all pairs of 2 ``half`` draws.

    Its moments are those of ``half`` disjoint pairs or less (Hoeffding 1963, section 5), so that
    Chernoff's bound of those holds: U = max{p : half · KL(mean | p) ≤ log(1/α)}.

    >>> round(mean_of_pairs_from_above(0.0, 500, 0.05), 4)
    0.006
    """
    if half < 1 or mean >= 1.0:
        return 1.0
    most = -np.log(alpha) / half

    def apart(p: float) -> float:
        return float(rel_entr(mean, p) + rel_entr(1.0 - mean, 1.0 - p)) - most

    top = 1.0 - np.finfo(float).eps
    return float(brentq(apart, mean, top)) if apart(top) > 0 else 1.0


def _own_weights(weights: np.ndarray | None) -> Any:
    """What is bet on each value, in parts of what is bet on one without weights."""
    return 1.0 if weights is None else weights


def _mean_weight(weights: np.ndarray | None) -> float:
    """The same of each value of a pilot, which are drawn by their weights."""
    return 1.0 if weights is None else float(weights.mean())


def _log_mean(logs: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The logarithm of the mean of exp(logs)."""
    top = float(logs.max())
    if not np.isfinite(top):
        return top
    return top + float(np.log(np.average(np.exp(logs - top), weights=weights)))


def _first_below(falling: Callable[[float], float], low: float, high: float, level: float) -> float:
    """inf{m : wealth(m) < level} of a falling function, from below; 0 where even ``low`` is."""
    if falling(low) < level:
        return 0.0
    while high > low * (1.0 + _CLOSE):
        middle = float(np.sqrt(low) * np.sqrt(high))
        if not low < middle < high:
            break
        low, high = (low, middle) if falling(middle) < level else (middle, high)
    return low


def _last_below(own: _Logs, pilot: _Logs, low: float, high: float, alpha: float) -> float:
    """sup{m : K(m) < 1/α} from above, K the mean over λ of exp(own), which rises with m.

    Half of the weight is on the λ whose bound from the pilot alone is the least.
    """
    level = -np.log(alpha)
    lows, highs = np.full(len(_FINE), low), np.full(len(_FINE), high)
    for _ in range(_ROUGH):
        middles = 0.5 * (lows + highs)
        with np.errstate(divide="ignore", invalid="ignore"):
            under = pilot(middles[:, None], _FINE[:, None]) < level
        lows, highs = np.where(under, middles, lows), np.where(under, highs, middles)
    bets = np.append(_ABOVE, _FINE[int(np.argmin(highs))])[:, None]
    weights = np.append(np.full(len(_ABOVE), 0.5 / len(_ABOVE)), 0.5)

    def under_own(m: float) -> bool:
        with np.errstate(divide="ignore"):
            return bool(_log_mean(own(m, bets), weights) < level)

    return _end_above(under_own, low, high)


def _end_above(under: Callable[[float], bool], low: float, high: float) -> float:
    """sup{m : under(m)} from above, of what holds at ``low`` and, once it fails, for no more."""
    while high - low > _CLOSE * high:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        low, high = (middle, high) if under(middle) else (low, middle)
    return float(high)
