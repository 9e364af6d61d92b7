"""Bounds on the optimality defect D(T) = E‖X − T(X)‖² − W₂²(μ, T#μ), each with its level."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from brenier._types import Key
from brenier.certify._bets import mean_from_below
from brenier.certify._companion import companion, saving_at_once
from brenier.certify._core import Core, Parts, Split, lower_draws, parts_of
from brenier.certify._declared import Declared
from brenier.certify._gaps import fitted_gaps
from brenier.certify._orbits import Orbits, asymptotic_from_symmetry
from brenier.certify._pair_savings import Cycle, PairSavings, pair_savings
from brenier.certify._weights import LARGEST, Shares
from brenier.certify._work import Work
from brenier.numerics import numpy_generator

# Beyond this many times the spread an offset has eaten the digits of what is compared.
_DIGITS = 1e7
# A displacement below this part of the spread is rounding.
_ROUNDING = 1e-12
_INDEPENDENT = "independent rows"
# A bound of the whole map leads where it is below this multiple of the cost.
_USEFUL = 2.0


@dataclass(frozen=True)
class Growth:
    """The mean of the lower statistic Δ_n over ``batches`` batches of ``n`` pairs.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> growth = audit_pairs(x, -x, budget=0.1).defect.growth
    >>> growth[0].n < growth[-1].n, growth[0].mean < growth[-1].mean < 8.0  # D = 8
    (True, True)
    """

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
            "declared: ..." (exact where what was declared is true).
        by: which bound it is.
        assumes: what it rests on, in words.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> bound = audit_pairs(x, -x, budget=0.1).defect.bounds[0]
    >>> bound.side, bound.level, bound.by
    ('lower', 'exact', 'cheaper permutations')
    """

    quantity: str
    side: str
    value: float
    level: str
    by: str
    assumes: str = _INDEPENDENT


@dataclass(frozen=True, kw_only=True)
class Defect:
    """D(T) between two bounds, each holding with probability at least (1 + level)/2.

    Attributes:
        lower: of D of the whole map; never above ``upper`` (``lowered`` says where that acted).
        upper: of D of the core, where there is one, else of the whole map; infinite where nothing
            bounds it.
        core: the rows that ``upper`` is of, and how little mass lies outside; None where ``upper``
            is of the whole map: what was declared gave a bound that is not far above the cost.
        whole: the numbers of the whole map, where a box was declared: nothing lies outside.
        beside: the core beside an upper bound of the whole map, where something was declared.
        declared: what the caller said of source and pairs, in words.
        withdrawn: of that, what the rows contradict, with the reason.
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
        largest_weight: of the rows, in parts of the mean, where they have weights: then all bounds
            are asymptotic.
        bounds: every bound, with its level and what it rests on.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> defect = audit_pairs(x, -x, budget=0.1).defect  # −X has the law of X: D = E‖2X‖² = 8
    >>> defect.lower < 8.0 < defect.upper
    True
    """

    lower: float
    upper: float
    core: Core | None = None
    whole: Core | None = None
    beside: Core | None = None
    declared: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
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
    largest_weight: float | None = None
    bounds: tuple[Bound, ...] = ()

    @property
    def parts(self) -> tuple[Core, ...]:
        """Of which shares are known, that of ``upper`` first: the core, the whole map of a box."""
        return tuple(part for part in (self.core, self.whole, self.beside) if part is not None)


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
    declared: Declared | None = None,
    shares: Shares | None = None,
) -> Defect:
    """Theory (6.6) to (6.17) from pairs (x_i, T(x_i)), float64 of shape (n, d), in random order.

    All is computed in clouds that are centred and divided by one common scale.

    Args:
        level, tolerance: of the certificate.
        budget: about how many seconds it may take.
        optimal: whether T is the gradient of a convex function by construction: then D is 0.
        precision: the machine epsilon of the map's values.
        orbits: of a declared source.
        declared: what else the caller says.
        shares: of the weights of the rows, where they have some.
    """
    declared = Declared() if declared is None else declared
    random = numpy_generator(key)
    centres = x.mean(axis=0), tx.mean(axis=0)
    a, b = x - centres[0], tx - centres[1]
    spread = float(np.sqrt(np.mean(np.sum(a * a, axis=1)) + np.mean(np.sum(b * b, axis=1))))
    scale = spread if spread > 0 else 1.0
    lost = any(float(np.abs(centre).max()) > _DIGITS * scale for centre in centres)
    a, b, offset = a / scale, b / scale, (centres[1] - centres[0]) / scale
    # Entries of the images are known to their own rounding, offsets included.
    noise = precision * float(np.abs(tx).max(initial=0.0)) / scale
    alpha = 1.0 - level
    work = Work.of(x.shape[0], x.shape[1], budget)
    savings = pair_savings(a, b, random, work, noise=noise, shares=shares)
    if optimal:
        return _optimal(savings, len(x), level, scale, declared)
    orbits = [own.centred(*centres, scale) for own in orbits]
    split = Split.of(len(x))
    still = _still(a, b, noise)
    if shares is not None:
        rows = shares.drawn_again([split.fit, split.pilot], random)  # potentials may be of any
        a, b = a[rows], b[rows]
    candidates = fitted_gaps(a[split.fit], b[split.fit], random, seconds=work.fit_seconds)
    # No potential has a mean gap below D, of which rows that are not evaluated show this much.
    shown = saving_at_once(a[split.fit], b[split.fit], work.rows_at_once)
    parts = parts_of(
        a,
        b,
        offset,
        candidates,
        random,
        work,
        alpha=alpha,
        tolerance=tolerance,
        shown=shown,
        noise=noise,
        orbits=orbits,
        widths=None if declared.box is None else (declared.box[1] - declared.box[0]) / scale,
        kurtosis=declared.kurtosis,
        shares=None if shares is None else shares.of(split.evaluated),
    )
    sets, weights, masses = lower_draws(savings, [own.savings(noise) for own in orbits])
    lower = scale**2 * mean_from_below(sets, alpha / 2.0, weights, masses)
    below = _from_below(orbits, declared)
    bounds = [Bound("D", "lower", lower, *below)]
    if shares is None:
        own = companion(a, b, alpha / 2.0, random, work.rows_at_once)
        at_once = f"all of {own.n:,} pairs at once"
        bounds.append(Bound("D", "lower", own.lower * scale**2, "asymptotic", at_once))
    if shares is not None and declared.symmetries:
        rows = shares.drawn_again([slice(len(x) // 2)], random)
        x, tx = x[rows], tx[rows]
    for symmetry in declared.symmetries:
        value = asymptotic_from_symmetry(x, tx, symmetry, float(-ndtri(alpha / 2.0)), shares)
        by = f"what moving the points by a symmetry gains: {symmetry.name}"
        basis = _Basis.of(by, *declared.of_source)._replace(level="asymptotic")
        bounds.append(Bound("D", "lower", value, *basis))
    upper, of_whole, judged = float("inf"), False, None
    if parts is not None:
        parts = parts.placed(*centres, scale)
        cost = float(np.mean(np.sum((tx - x) ** 2, axis=1)))
        upper, of_whole, own_bounds = _from_above(parts, declared, below, cost)
        bounds += own_bounds
        judged = (parts.whole if of_whole else None) or parts.core
    if shares is not None:
        bounds = [_weighted(bound) for bound in bounds]
    growth = _growth(savings, scale**2)
    relative = (0.0, float("inf")) if judged is None else judged.wasted.of_optimal
    return Defect(
        lower=min(lower, upper),
        upper=upper,
        core=None if parts is None or of_whole else parts.core,
        whole=None if parts is None else parts.whole,
        beside=parts.core if parts is not None and of_whole else None,
        declared=declared.said,
        withdrawn=declared.withdrawn,
        level=level,
        relative_lower=relative[0],
        relative_upper=relative[1],
        matched=growth[-1].mean if growth else 0.0,
        matched_stderr=savings.stderr() * scale**2,
        gap=float("inf") if judged is None else judged.mean_gap,
        gap_stderr=float("nan") if judged is None else judged.gap_stderr,
        potential="none" if judged is None else judged.potential,
        n=len(x),
        points_moved=savings.moved,
        growth=tuple(growth),
        estimate=_extrapolated(growth),
        lowered=lower > upper,
        digits_lost=lost,
        one_shift=judged is not None and still,
        cycle=None if savings.cycle is None else savings.cycle.placed(*centres, scale),
        largest_weight=None if shares is None else 1.0 / float(shares.values.mean()),
        bounds=tuple(bounds),
    )


def _weighted(bound: Bound) -> Bound:
    """The same of rows with weights: their largest one is read off them."""
    return replace(bound, level="asymptotic", assumes=f"{bound.assumes}; {LARGEST}")


def _still(x: np.ndarray, tx: np.ndarray, noise: float) -> bool:
    """Whether all is moved by one vector, up to rounding, where the spread is 1."""
    return float(np.abs(tx - x).max()) <= max(_ROUNDING, 8.0 * noise)


def _optimal(
    savings: PairSavings, n: int, level: float, scale: float, declared: Declared
) -> Defect:
    """Of a map that is the gradient of a convex function by construction."""
    growth = _growth(savings, scale**2)
    return Defect(
        lower=0.0,
        upper=0.0,
        level=level,
        relative_lower=0.0,
        relative_upper=0.0,
        matched=growth[-1].mean if growth else 0.0,
        matched_stderr=savings.stderr() * scale**2,
        gap=0.0,
        gap_stderr=0.0,
        potential="the map's own",
        n=n,
        points_moved=savings.moved,
        growth=tuple(growth),
        estimate=float("nan"),
        declared=declared.said,
        withdrawn=declared.withdrawn,
        bounds=(Bound("D", "upper", 0.0, "exact", "the gradient of a convex function", "nothing"),),
    )


class _Basis(NamedTuple):
    """What a bound rests on."""

    level: str
    by: str
    assumes: str

    @classmethod
    def of(cls, by: str, *said: str) -> "_Basis":
        """Exact, or exact where what is said is true."""
        level = f"declared: {'; '.join(said)}" if said else "exact"
        return cls(level, by, "; ".join([_INDEPENDENT, *said]))

    def under(self, said: str) -> "_Basis":
        """The same where something else is declared, too."""
        known = self.assumes.split("; ")[1:]
        return _Basis.of(self.by, *known, said)


def _from_below(orbits: Sequence[Orbits], declared: Declared) -> _Basis:
    """Of savings of permutations, and of orbits where there are some."""
    by = " and ".join(dict.fromkeys(["cheaper permutations", *(own.by for own in orbits)]))
    return _Basis.of(by, *(declared.of_source if orbits else ()))


def _from_above(
    parts: Parts, declared: Declared, below: _Basis, cost: float
) -> tuple[float, bool, list[Bound]]:
    """The least upper bound, whether it is of the whole map, and every bound of the parts."""
    gaps = _Basis.of(f"gaps of a potential: {parts.core.potential}")
    rows, ends = _part_bounds(parts.core, "on the core", below, gaps), []
    if parts.whole is not None:
        own = (below.under(declared.of_box), gaps.under(declared.of_box))
        rows += _part_bounds(parts.whole, "of the whole map", *own)
        ends.append(parts.whole.upper)
    if parts.under_kurtosis is not None:
        basis = _Basis.of(f"gaps of a potential: {parts.core.potential}", declared.of_gaps)
        rows.append(Bound("D of the whole map", "upper", parts.under_kurtosis, *basis))
        ends.append(parts.under_kurtosis)
    # One far above the cost of the rows says less than the core does.
    of_whole = bool(ends) and min(ends) <= _USEFUL * cost
    return min(ends) if of_whole else parts.core.upper, of_whole, rows


def _part_bounds(part: Core, of: str, below: _Basis, above: _Basis) -> list[Bound]:
    rows = [
        Bound(f"D {of}", "lower", part.lower, *below),
        Bound(f"D {of}", "upper", part.upper, *above),
    ]
    for name, share in (
        ("of all that is moved", part.wasted),
        ("beyond one common shift", part.wasted_beyond_shift),
    ):
        quantity = f"wasted share {name}, {of}"
        by = "savings over costs", "gaps and costs together"
        rows.append(Bound(quantity, "lower", share.lower, *below._replace(by=by[0])))
        rows.append(Bound(quantity, "upper", share.upper, *above._replace(by=by[1])))
    return rows


def _growth(savings: PairSavings, unit: float) -> list[Growth]:
    """Δ_k of each size of batch, the smallest first."""
    rows = []
    for size in sorted(set(savings.sizes)):
        batches, mean = savings.mean(size)
        rows.append(Growth(size, batches, unit * mean))
    return rows


def _extrapolated(growth: list[Growth]) -> float:
    """D of Δ_k = D − c k^{-a} through the last three sizes, each twice the one before."""
    if len(growth) < 3:
        return float("nan")
    first, second, third = (row.mean for row in growth[-3:])
    rise, next_rise = second - first, third - second
    if not 0 < next_rise < rise:
        return float("nan")
    return third + next_rise**2 / (rise - next_rise)
