"""Two-sided bounds on the optimality defect D(T) = E‖X − T(X)‖² − W₂²(μ, T#μ)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from brenier._types import Key
from brenier.certify._line_potential import LinePotential
from brenier.certify._matching import cheaper_permutation, sweeps_for
from brenier.certify._potential import fenchel_young, fitted_potentials
from brenier.numerics import numpy_generator
from brenier.potentials import AbstractPotential

# Shares of the sample to which potentials are fitted, and on which the best of them is picked.
_FIT_SHARE, _PICK_SHARE = 0.3, 0.05
_RESAMPLES = 2000
# The bootstrap holds so many floats at once.
_BLOCK_FLOATS = 2**22
# The saving is measured on so many batches of the sample: it grows with their size.
_BATCHES = (16, 4, 1)
_LEAST_BATCH = 10
# Below this share of the cost a difference of costs is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Growth:
    """The mean of the lower statistic Δ_n over ``batches`` batches of ``n`` pairs."""

    n: int
    batches: int
    mean: float


@dataclass(frozen=True, kw_only=True)
class Defect:
    """D(T) between two bounds, each holding with probability at least (1 + level)/2.

    Attributes:
        lower, upper: the certified interval; ``upper`` is infinite where no potential was found.
        level: of the interval.
        relative_lower, relative_upper: of D / W₂²(μ, T#μ).
        variance_share_lower, variance_share_upper: of D / total variance of T#μ.
        matched, matched_stderr: Δ_n (5.2) itself, on the full sample, and its standard error.
        gap, gap_stderr: twice the mean Fenchel-Young gap (5.3), and its standard error.
        potential: which convex potential gave the upper bound, in words.
        n, points_moved: pairs, and how many of them the cheaper permutation moved; where it moved
            none, Δ_n says nothing.
        growth: Δ_n at smaller n; it rises to D, slowly.
        estimate: Δ_n extrapolated to n → ∞: an estimate and no bound; NaN where the growth does not
            allow it.
    """

    lower: float
    upper: float
    level: float
    relative_lower: float
    relative_upper: float
    variance_share_lower: float
    variance_share_upper: float
    matched: float
    matched_stderr: float
    gap: float
    gap_stderr: float
    potential: str
    n: int
    points_moved: int
    growth: tuple[Growth, ...]
    estimate: float


def defect_bounds(
    x: np.ndarray,
    tx: np.ndarray,
    key: Key,
    *,
    level: float,
    budget: float,
    own: AbstractPotential | None = None,
) -> Defect:
    """MATH_5 (5.1) to (5.4) from pairs (x_i, T(x_i)), float64 of shape (n, d).

    Above: a convex potential fitted on the first part of the pairs, picked on a second, evaluated
    on the rest; a BCa bootstrap bounds the mean of its gap. Below: a cheaper permutation of
    all pairs; its normal bound takes the deviation of the gap, the influence function of W₂² (del
    Barrio and Loubes, 2019).

    Args:
        budget: about how many seconds the permutations may take.
        own: a convex φ with ∇φ = T by construction, where there is one: then D is 0.
    """
    n = len(x)
    random = numpy_generator(key)
    order = random.permutation(n)
    x, tx = x[order], tx[order]
    squares = np.sum((x - tx) ** 2, axis=1)
    cost, variance = float(squares.mean()), float(tx.var(axis=0).sum())
    quantile = float(ndtri(0.5 + 0.5 * level))
    fit, pick = int(_FIT_SHARE * n), int((_FIT_SHARE + _PICK_SHARE) * n)
    if own is None:
        name, potential, gaps = _picked(x, tx, fit, pick, key)
        upper = _mean_below(gaps, level, random)
        guess = np.asarray(potential.gradient(x))
    else:
        name, gaps, upper, guess = "the map's own", np.zeros(n - pick), 0.0, tx
    deviation = float(gaps.std(ddof=1))
    sweeps = sweeps_for(n, budget / len(_BATCHES))
    growth, moved = [], 0
    for batches in _BATCHES:
        if n // batches >= _LEAST_BATCH or batches == 1:
            size = n // batches
            savings = []
            for start in range(0, size * batches, size):
                rows = slice(start, start + size)
                permutation = cheaper_permutation(x[rows], tx[rows], guess[rows], sweeps, random)
                savings.append(_saving(x[rows], tx[rows], permutation))
                moved = int(np.sum(permutation != np.arange(size)))
            growth.append(Growth(size, batches, float(np.mean(savings))))
    matched, stderr = growth[-1].mean, float(deviation / np.sqrt(n))
    lower = matched - quantile * stderr
    if lower <= _ROUNDING * cost:
        lower = 0.0
    return Defect(
        lower=lower,
        upper=upper,
        level=level,
        relative_lower=_ratio(lower, cost - lower),
        relative_upper=0.0 if upper <= _ROUNDING * variance else _ratio(upper, cost - upper),
        variance_share_lower=_ratio(lower, variance),
        variance_share_upper=_ratio(upper, variance),
        matched=matched,
        matched_stderr=stderr,
        gap=float(gaps.mean()),
        gap_stderr=float(deviation / np.sqrt(len(gaps))),
        potential=name,
        n=n,
        points_moved=moved,
        growth=tuple(growth),
        estimate=_extrapolated(growth),
    )


def _picked(
    x: np.ndarray, tx: np.ndarray, fit: int, pick: int, key: Key
) -> tuple[str, AbstractPotential | LinePotential, np.ndarray]:
    """The candidate with the smallest gap on the pairs for picking, and its gaps on the rest."""
    variance = tx.var(axis=0).sum()
    one_point = variance <= _ROUNDING**2 * np.mean(x**2 + tx**2)
    scored = []
    for name, potential in fitted_potentials(x[:fit], tx[:fit], key):
        gaps = 2.0 * fenchel_young(potential, x[fit:], tx[fit:])
        scored.append((float(gaps[: pick - fit].mean()), name, potential, gaps[pick - fit :]))
        if one_point or scored[-1][0] <= _ROUNDING * variance:
            break  # no potential with more curvature can do better
    _, name, potential, gaps = min(scored, key=lambda item: item[0])
    return name, potential, gaps


def _mean_below(values: np.ndarray, level: float, random: np.random.Generator) -> float:
    """A bound that the mean is below with probability (1 + level)/2: the BCa bootstrap."""
    n, mean, deviation = len(values), float(values.mean()), float(values.std())
    if deviation <= 1e-14 * abs(mean):
        return mean
    block = max(1, _BLOCK_FLOATS // n)
    means = np.sort(
        np.concatenate(
            [
                values[random.integers(n, size=(min(block, _RESAMPLES - start), n))].mean(axis=1)
                for start in range(0, _RESAMPLES, block)
            ]
        )
    )
    # Efron (1987): the bias of the median, and the acceleration, a sixth of the mean's skewness.
    share = np.clip(np.mean(means < mean), 1.0 / _RESAMPLES, 1.0 - 1.0 / _RESAMPLES)
    bias = ndtri(share)
    skewness = float(np.mean(((values - mean) / deviation) ** 3)) / np.sqrt(n)
    shifted = bias + ndtri(0.5 + 0.5 * level)
    stretched = 1.0 - skewness / 6.0 * shifted
    rank = ndtr(bias + shifted / stretched) if stretched > 0 else 1.0
    return float(np.quantile(means, rank))


def _saving(x: np.ndarray, tx: np.ndarray, permutation: np.ndarray) -> float:
    """mean‖x_i − T(x_i)‖² − mean‖x_i − T(x_σ(i))‖² = 2 mean ⟨x_i, T(x_σ(i)) − T(x_i)⟩."""
    moved = tx[permutation] - tx
    return float(2.0 * np.mean(np.sum((x - x.mean(axis=0)) * moved, axis=1)))


def _extrapolated(growth: list[Growth]) -> float:
    """D of Δ_n = D − c n^{-a} through the last three sizes, each four times the one before."""
    if len(growth) < 3:
        return float("nan")
    first, second, third = (row.mean for row in growth[-3:])
    rise, next_rise = second - first, third - second
    if not 0 < next_rise < rise:
        return float("nan")
    return third + next_rise**2 / (rise - next_rise)


def _ratio(over: float, under: float) -> float:
    """over / under; 0 for 0, infinite where nothing positive stands below."""
    if over == 0.0:
        return 0.0
    return over / under if under > 0 else float("inf")
