"""Two-sided bounds of the defect on a core of stated mass, at any law and any number of rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from brenier.certify._bets import (
    mean_from_above,
    mean_from_below,
    probability_from_above,
    share_from_above,
)
from brenier.certify._gaps import AbstractGap
from brenier.certify._orbits import Orbits
from brenier.certify._pair_savings import PairSavings, pair_savings

# Shares of the rows that potentials are fitted to, and by which one is picked.
_FIT, _PILOT = 0.4, 0.1
# The core reaches so many times the largest gap of the pilot rows, and displacement of the fit.
_REACH = 2.0
# A potential whose gap on the pilot rows is below this part of the tolerance is good enough.
_ENOUGH = 0.1
# The weight of pairs beside orbits, which see more where there are some.
_PAIRS_SHARE = 0.2


@dataclass(frozen=True)
class Share:
    """A share of what is moved that is wasted, between two bounds; of the core. MATH_6 (6.16).

    Attributes:
        lower, upper: of D/E‖T(X) − X − b‖², between 0 and 1; of D/W₂² it is q/(1 − q).
    """

    lower: float
    upper: float

    @property
    def of_optimal(self) -> tuple[float, float]:
        """The same of W₂², which is what is moved less what is wasted."""
        below, above = (
            q / (1.0 - q) if q < 1.0 else float("inf") for q in (self.lower, self.upper)
        )
        return below, above


@dataclass(frozen=True, kw_only=True)
class Core:
    """Outside a set of mass at most ``outside``: lower ≤ D of the core ≤ upper. MATH_6 (6.13).

    D of the core is E[‖X − T(X)‖²; A] − W₂²(μ|A, T#μ|A), at most D; A holds the rows of gap at most
    ``gap`` and of displacement beyond the mean one at most ``reach``.

    Attributes:
        lower, upper: of D of the core.
        outside: δ, an upper bound of the mass outside A.
        mass: of A, at least.
        rows, rows_outside: that were evaluated, and how many of them lie outside.
        gap, reach: τ and the bound of ‖T(x) − x − b‖².
        potential: whose gaps they are, in words.
        mean_gap, gap_stderr: of the gap on A, and its standard error.
        wasted: of all that is moved, b = 0.
        wasted_beyond_shift: of what is moved beyond one common shift, that of the rows of the fit.
        of_spread: an upper bound of D over Var X + Var T(X).
    """

    lower: float
    upper: float
    outside: float
    mass: float
    rows: int
    rows_outside: int
    gap: float
    reach: float
    potential: str
    mean_gap: float
    gap_stderr: float
    wasted: Share
    wasted_beyond_shift: Share
    of_spread: float

    def scaled(self, unit: float) -> "Core":
        """The same where squared lengths are so many times as large."""
        names = ("lower", "upper", "gap", "reach", "mean_gap", "gap_stderr")
        return replace(self, **{name: unit * getattr(self, name) for name in names})


@dataclass(frozen=True)
class Split:
    """The rows of a fit, of a pilot and of the evaluation: 40, 10 and 50 %."""

    fit: slice
    pilot: slice
    evaluated: slice

    @classmethod
    def of(cls, n: int) -> "Split":
        fit, pilot = int(_FIT * n), max(1, int(_PILOT * n))
        return cls(slice(0, fit), slice(fit, fit + pilot), slice(fit + pilot, n))


def core_of(
    x: np.ndarray,
    tx: np.ndarray,
    offset: np.ndarray,
    candidates: Iterable[AbstractGap],
    random: np.random.Generator,
    *,
    alpha: float,
    tolerance: float,
    noise: float,
    orbits: Sequence[Orbits] = (),
) -> Core | None:
    """The bounds by the potential that serves the pilot rows best; None where none is finite.

    Args:
        x, tx: pairs (n, d) in random order, each cloud centred.
        offset: what centring took from T(x) − x, (d,).
        candidates: potentials fitted to the rows of ``Split.of(n).fit``, cheapest first.
        random: of the batches.
        alpha: one minus the level of the whole certificate.
        tolerance: p: potentials are no longer tried where the gap is far below this share.
        noise: the largest error of an entry of tx.
        orbits: of a declared source, in the same coordinates.
    """
    split = Split.of(len(x))
    shift = np.mean((tx - x)[split.fit], axis=0)
    moved = np.sum((tx - x - shift) ** 2, axis=1)
    reach, spread = _REACH * float(moved[split.fit].max()), float(moved[split.fit].mean())
    picked = _picked(x[split.pilot], tx[split.pilot], moved[split.pilot], candidates, tolerance)
    if picked is None:
        return None
    gap, pilot_gaps = picked
    costs = np.sum((tx - x + offset) ** 2, axis=1)
    middles = [np.mean(cloud[split.fit], axis=0) for cloud in (x, tx)]
    apart = np.sum((x - middles[0]) ** 2 + (tx - middles[1]) ** 2, axis=1)
    known = pilot_gaps[np.isfinite(pilot_gaps)]
    most = max(_REACH * float(known.max(initial=0.0)), tolerance * spread)

    def on_core(part: slice, gaps: np.ndarray) -> _OnCore:
        inside = (gaps <= most) & (moved[part] <= reach)
        numbers = (gaps, costs[part], moved[part], apart[part])
        return _OnCore(inside, *(np.where(inside, own, 0.0) for own in numbers))

    pilot = on_core(split.pilot, pilot_gaps)
    rows = on_core(split.evaluated, gap(x[split.evaluated], tx[split.evaluated]))
    count = int(np.sum(~rows.inside))
    outside = probability_from_above(count, len(rows.inside), alpha / 4.0)
    upper = mean_from_above(rows.gaps, most, alpha / 4.0, pilot.gaps)
    savings = pair_savings(
        x[split.evaluated], tx[split.evaluated], random, inside=rows.inside, noise=noise
    )
    within = [own.savings(noise, _orbit_inside(own, gap, shift, most, reach)) for own in orbits]
    draws, weights = lower_draws(savings, within)
    surely = mean_from_below(draws, alpha / 4.0, weights)

    def share(own: np.ndarray, before: np.ndarray, largest: float) -> Share:
        most_moved = mean_from_above(own, largest, alpha / 4.0, before)
        below = surely / most_moved if surely > 0 else 0.0
        above = share_from_above(rows.gaps, own, most, alpha / 4.0, (pilot.gaps, before))
        return Share(min(below, above), above)

    widest = (np.sqrt(reach) + float(np.linalg.norm(offset + shift))) ** 2
    return Core(
        lower=min(mean_from_below(draws, alpha / 2.0, weights), upper),
        upper=upper,
        outside=outside,
        mass=1.0 - outside,
        rows=len(rows.inside),
        rows_outside=count,
        gap=most,
        reach=reach,
        potential=gap.name,
        mean_gap=float(rows.gaps.mean()),
        gap_stderr=float(rows.gaps.std() / np.sqrt(len(rows.gaps))),
        wasted=share(rows.costs, pilot.costs, widest),
        wasted_beyond_shift=share(rows.moved, pilot.moved, reach),
        of_spread=share_from_above(
            rows.gaps, rows.apart, most, alpha / 4.0, (pilot.gaps, pilot.apart)
        ),
    )


def lower_draws(
    savings: PairSavings, orbits: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[float]]:
    """The savings of batches and of orbits, and their weights: most on orbits, where there are."""
    pairs = list(savings.sets)
    share = _PAIRS_SHARE if orbits else 1.0
    weights = [share / max(len(pairs), 1)] * len(pairs)
    weights += [(1.0 - share) / max(len(orbits), 1)] * len(orbits)
    return [*pairs, *orbits], weights


def _orbit_inside(
    orbits: Orbits, gap: AbstractGap, shift: np.ndarray, most: float, reach: float
) -> np.ndarray:
    """Which points of the orbits lie in the core, (b, k)."""
    x, tx = (part.reshape(-1, len(shift)) for part in (orbits.points, orbits.images))
    inside = (gap(x, tx) <= most) & (np.sum((tx - x - shift) ** 2, axis=1) <= reach)
    return inside.reshape(orbits.points.shape[:2])


@dataclass(frozen=True)
class _OnCore:
    """Rows that lie inside a core, and their numbers, 0 outside."""

    inside: np.ndarray
    gaps: np.ndarray
    costs: np.ndarray
    moved: np.ndarray
    apart: np.ndarray


def _picked(
    x: np.ndarray,
    tx: np.ndarray,
    costs: np.ndarray,
    candidates: Iterable[AbstractGap],
    tolerance: float,
) -> tuple[AbstractGap, np.ndarray] | None:
    """The potential of the least mean gap on pilot rows, and its gaps there.

    A gap above the cost counts as the cost, which ½‖x‖² would give.
    """
    best, least = None, np.inf
    for gap in candidates:
        with np.errstate(all="ignore"):
            gaps = gap(x, tx)
        mean = float(np.mean(np.where(gaps <= costs, gaps, costs)))
        if mean < least or (best is None and np.isfinite(gaps).any()):
            best, least = (gap, gaps), mean
        if least <= _ENOUGH * tolerance * float(costs.mean()):
            break
    return best
