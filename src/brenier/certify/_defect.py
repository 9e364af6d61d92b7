"""Bounds on the optimality defect D(T) = E‖X − T(X)‖² − W₂²(μ, T#μ), each with its level."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brenier._types import Key
from brenier.certify._bets import mean_from_below
from brenier.certify._companion import companion
from brenier.certify._core import Core, Split, core_of, lower_draws
from brenier.certify._gaps import fitted_gaps
from brenier.certify._orbits import Orbits
from brenier.certify._pair_savings import Cycle, PairSavings, pair_savings
from brenier.numerics import numpy_generator

# Beyond this many times the spread an offset has eaten the digits of what is compared.
_DIGITS = 1e7
# A displacement below this part of the spread is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Growth:
    """The mean of the lower statistic Δ_n over ``batches`` batches of ``n`` pairs."""

    n: int
    batches: int
    mean: float


@dataclass(frozen=True)
class Bound:
    """One number of the certificate, and what it rests on.

    Attributes:
        quantity: what is bounded, in words.
        side: "lower" or "upper".
        value: the bound.
        level: "exact" (holds at every law and number of rows), "asymptotic" (for many rows) or
            "declared: ..." (where what was declared is true).
        by: which bound it is.
    """

    quantity: str
    side: str
    value: float
    level: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Defect:
    """D(T) between two bounds, each holding with probability at least (1 + level)/2.

    Attributes:
        lower: of D of the whole map; never above ``upper`` (``lowered`` says where that acted).
        upper: of D of the core, where there is one, else of the whole map; infinite where nothing
            bounds it.
        core: the rows that ``upper`` is of, and how little mass lies outside; None for the whole.
        level: of the interval.
        relative_lower, relative_upper: of D / W₂², on the core.
        matched, matched_stderr: Δ_k, the mean saving of the largest batches, and its error.
        gap, gap_stderr: the mean Fenchel-Young gap on the core, and its standard error.
        potential: which convex potential gave the upper bound, in words.
        n, points_moved: pairs, and how many of them the cheaper permutations moved.
        growth: Δ_k at smaller k; it rises to D, slowly.
        estimate: Δ_k extrapolated to k → ∞: an estimate and no bound; NaN where the growth does not
            allow it.
        lowered: whether ``lower`` was brought down to ``upper``.
        digits_lost: whether offsets are so large that nothing is left to compare.
        one_shift: whether all points are moved by one vector, up to rounding.
        cycle: sampled points whose images would rather be passed on: D > 0 with certainty.
        bounds: every bound, with its level and what it rests on.
    """

    lower: float
    upper: float
    core: Core | None = None
    level: float
    relative_lower: float
    relative_upper: float
    matched: float
    matched_stderr: float
    gap: float
    gap_stderr: float
    potential: str
    n: int
    points_moved: int
    growth: tuple[Growth, ...]
    estimate: float
    lowered: bool = False
    digits_lost: bool = False
    one_shift: bool = False
    cycle: Cycle | None = None
    bounds: tuple[Bound, ...] = ()


def defect_bounds(
    x: np.ndarray,
    tx: np.ndarray,
    key: Key,
    *,
    level: float,
    tolerance: float,
    budget: float,
    optimal: bool = False,
    precision: float = float(np.finfo(np.float64).eps),
    orbits: Sequence[Orbits] = (),
) -> Defect:
    """MATH_6 (6.6) to (6.17) from pairs (x_i, T(x_i)), float64 of shape (n, d).

    All is computed in clouds that are centred and divided by one common scale.

    Args:
        level, tolerance: of the certificate.
        budget: about how many seconds the fits of potentials may take.
        optimal: whether T is the gradient of a convex function by construction: then D is 0.
        precision: the machine epsilon of the map's values.
        orbits: of a declared source.
    """
    random = numpy_generator(key)
    order = random.permutation(len(x))
    x, tx = x[order], tx[order]
    centres = x.mean(axis=0), tx.mean(axis=0)
    a, b = x - centres[0], tx - centres[1]
    spread = float(np.sqrt(np.mean(np.sum(a * a, axis=1)) + np.mean(np.sum(b * b, axis=1))))
    scale = spread if spread > 0 else 1.0
    lost = any(float(np.abs(centre).max()) > _DIGITS * scale for centre in centres)
    a, b, offset = a / scale, b / scale, (centres[1] - centres[0]) / scale
    # Entries of the images are known to their own rounding, offsets included.
    noise = precision * float(np.abs(tx).max(initial=0.0)) / scale
    alpha = 1.0 - level
    savings = pair_savings(a, b, random, noise=noise)
    if optimal:
        return _optimal(savings, len(x), level, scale)
    orbits = [own.centred(*centres, scale) for own in orbits]
    split = Split.of(len(x))
    candidates = fitted_gaps(a[split.fit], b[split.fit], random, seconds=budget)
    core = core_of(
        a,
        b,
        offset,
        candidates,
        random,
        alpha=alpha,
        tolerance=tolerance,
        noise=noise,
        orbits=orbits,
    )
    draws, weights = lower_draws(savings, [own.savings(noise) for own in orbits])
    lower = mean_from_below(draws, alpha / 2.0, weights)
    upper = float("inf") if core is None else core.upper
    own = companion(a, b, alpha / 2.0, random)
    by, held = "cheaper permutations (6.10)", "exact"
    if orbits:
        by = " and ".join([by, *(kind.by for kind in orbits)])
        held = "declared: the law of the source"
    at_once = f"all of {own.n:,} pairs at once"
    bounds = [
        Bound("D", "lower", lower * scale**2, held, by),
        Bound("D", "lower", own.lower * scale**2, "asymptotic", at_once),
    ]
    if core is not None:
        core = core.scaled(scale**2)
        bounds += _core_bounds(core)
    growth = _growth(savings, scale**2)
    relative = (0.0, float("inf")) if core is None else core.wasted.of_optimal
    return Defect(
        lower=min(lower, upper) * scale**2,
        upper=upper * scale**2,
        core=core,
        level=level,
        relative_lower=relative[0],
        relative_upper=relative[1],
        matched=growth[-1].mean if growth else 0.0,
        matched_stderr=_stderr(savings) * scale**2,
        gap=float("inf") if core is None else core.mean_gap,
        gap_stderr=float("nan") if core is None else core.gap_stderr,
        potential="none" if core is None else core.potential,
        n=len(x),
        points_moved=savings.moved,
        growth=tuple(growth),
        estimate=_extrapolated(growth),
        lowered=lower > upper,
        digits_lost=lost,
        one_shift=core is not None and core.reach <= _still(x.shape[1], noise) * scale**2,
        cycle=None if savings.cycle is None else savings.cycle.placed(*centres, scale),
        bounds=tuple(bounds),
    )


def _still(dimension: int, noise: float) -> float:
    """A squared displacement that is rounding, where the spread is 1."""
    return dimension * max(_ROUNDING, 8.0 * noise) ** 2


def _optimal(savings: PairSavings, n: int, level: float, scale: float) -> Defect:
    """Of a map that is the gradient of a convex function by construction."""
    growth = _growth(savings, scale**2)
    return Defect(
        lower=0.0,
        upper=0.0,
        level=level,
        relative_lower=0.0,
        relative_upper=0.0,
        matched=growth[-1].mean if growth else 0.0,
        matched_stderr=_stderr(savings) * scale**2,
        gap=0.0,
        gap_stderr=0.0,
        potential="the map's own",
        n=n,
        points_moved=savings.moved,
        growth=tuple(growth),
        estimate=float("nan"),
        bounds=(Bound("D", "upper", 0.0, "exact", "the gradient of a convex function"),),
    )


def _core_bounds(core: Core) -> list[Bound]:
    gaps, both = f"gaps of a potential: {core.potential} (6.13)", "gaps and costs together (6.17)"
    rows = [
        Bound("D on the core", "lower", core.lower, "exact", "cheaper permutations (6.10)"),
        Bound("D on the core", "upper", core.upper, "exact", gaps),
    ]
    for name, share in (
        ("of all that is moved", core.wasted),
        ("beyond one common shift", core.wasted_beyond_shift),
    ):
        quantity = f"wasted share {name}, on the core"
        rows.append(
            Bound(quantity, "lower", share.lower, "exact", "permutations over costs (6.17)")
        )
        rows.append(Bound(quantity, "upper", share.upper, "exact", both))
    return rows


def _growth(savings: PairSavings, unit: float) -> list[Growth]:
    """Δ_k of each size of batch, the smallest first."""
    rows = []
    for size in sorted(set(savings.sizes)):
        own = [s for s, k in zip(savings.sets, savings.sizes, strict=True) if k == size]
        rows.append(Growth(size, len(own[0]), unit * float(np.mean(own))))
    return rows


def _stderr(savings: PairSavings) -> float:
    """Of the mean of the largest batches."""
    if not savings.sizes:
        return float("nan")
    own = savings.sets[int(np.argmax(savings.sizes))]
    return float(own.std(ddof=1) / np.sqrt(len(own)))


def _extrapolated(growth: list[Growth]) -> float:
    """D of Δ_k = D − c k^{-a} through the last three sizes, each twice the one before."""
    if len(growth) < 3:
        return float("nan")
    first, second, third = (row.mean for row in growth[-3:])
    rise, next_rise = second - first, third - second
    if not 0 < next_rise < rise:
        return float("nan")
    return third + next_rise**2 / (rise - next_rise)
