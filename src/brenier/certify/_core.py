"""Two-sided bounds of the defect on a core of stated mass, at any law and any number of rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from brenier.certify._bets import (
    mean_from_above,
    mean_from_below,
    mean_under_kurtosis,
    probability_from_above,
    share_from_above,
)
from brenier.certify._gaps import AbstractGap
from brenier.certify._orbits import Orbits
from brenier.certify._pair_savings import PairSavings, pair_savings
from brenier.certify._weights import Shares
from brenier.certify._work import Work

# Shares of the rows that potentials are fitted to, and by which one is picked.
_FIT, _PILOT = 0.4, 0.1
# The core reaches so many times the largest gap of the pilot rows, and displacement of the fit.
_REACH = 2.0
# A potential whose gap on the pilot rows is below this part of the tolerance is good enough, or
# below this multiple of what the rows of the fit show of D.
_ENOUGH, _CLOSE = 0.1, 1.15
# The weight of pairs beside orbits, which see more where there are some.
_PAIRS_SHARE = 0.2

# From pairs (n, d), (n, d): which of them lie in a core, (n,).
Members: TypeAlias = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Share:
    """A share of what is moved that is wasted, between two bounds; of the core. Theory (6.16).

    Attributes:
        lower, upper: of D/E‖T(X) − X − b‖², between 0 and 1; of D/W₂² it is q/(1 − q).

    >>> Share(0.2, 0.5).of_optimal
    (0.25, 1.0)
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
    """Outside a set of mass at most ``outside``: lower ≤ D of the core ≤ upper. Theory (6.13).

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
        members: which pairs (n, d), (n, d) lie in A; None where it was read from a file.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> core = audit_pairs(x, -x, budget=0.1).defect.core
    >>> core.rows_outside, core.outside < 0.03
    (0, True)
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
    members: Members | None = field(
        default=None, repr=False, compare=False, metadata={"written": False}
    )

    def placed(self, source: np.ndarray, target: np.ndarray, scale: float) -> "Core":
        """The same in the units of the data, of centres (d,) and a scale."""
        names = ("lower", "upper", "gap", "reach", "mean_gap", "gap_stderr")
        values = {name: scale**2 * getattr(self, name) for name in names}
        own = self.members
        if own is None:
            return replace(self, **values)

        def members(x: np.ndarray, tx: np.ndarray) -> np.ndarray:
            return own((x - source) / scale, (tx - target) / scale)

        return replace(self, **values, members=members)


@dataclass(frozen=True)
class Parts:
    """What the bounds from above are of.

    Attributes:
        core: the rows of small gap and displacement.
        whole: the whole map, where a box is declared; the same numbers, and nothing outside.
        under_kurtosis: an upper bound of D of the whole map, where a kurtosis is declared.
    """

    core: Core
    whole: Core | None = None
    under_kurtosis: float | None = None

    def placed(self, source: np.ndarray, target: np.ndarray, scale: float) -> "Parts":
        """The same in the units of the data, of centres (d,) and a scale."""
        own = (source, target, scale)
        whole = None if self.whole is None else self.whole.placed(*own)
        tail = None if self.under_kurtosis is None else scale**2 * self.under_kurtosis
        return Parts(self.core.placed(*own), whole, tail)


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


def parts_of(
    x: np.ndarray,
    tx: np.ndarray,
    offset: np.ndarray,
    candidates: Iterable[AbstractGap],
    random: np.random.Generator,
    work: Work,
    *,
    alpha: float,
    tolerance: float,
    shown: float,
    noise: float,
    orbits: Sequence[Orbits] = (),
    widths: np.ndarray | None = None,
    kurtosis: float | None = None,
    shares: Shares | None = None,
) -> Parts | None:
    """The bounds by the potential that serves the pilot rows best; None where none is finite.

    Args:
        x, tx: pairs (n, d) in random order, each cloud centred.
        offset: what centring took from T(x) − x, (d,).
        candidates: potentials fitted to the rows of ``Split.of(n).fit``, cheapest first.
        random: of the batches.
        work: what batches may cost.
        alpha: one minus the level of the whole certificate.
        tolerance: p: potentials are no longer tried where the gap is far below this share.
        shown: what the rows of the fit show of D: nor where the gap is close to that.
        noise: the largest error of an entry of tx.
        orbits: of a declared source, in the same coordinates.
        widths: of a box that all points and images lie in (d,), where one is declared.
        kurtosis: of gaps, where it is declared.
        shares: of the weights of the rows that are evaluated, where they have some; those before
            are drawn by theirs.
    """
    split = Split.of(len(x))
    shift = np.mean((tx - x)[split.fit], axis=0)
    moved = np.sum((tx - x - shift) ** 2, axis=1)
    enough = max(_ENOUGH * tolerance * float(moved[split.pilot].mean()), _CLOSE * shown)
    picked = _picked(x[split.pilot], tx[split.pilot], moved[split.pilot], candidates, enough)
    if picked is None:
        return None
    gap, pilot_gaps = picked
    middles = [np.mean(cloud[split.fit], axis=0) for cloud in (x, tx)]
    seen = _Seen(
        gaps=np.concatenate([pilot_gaps, gap(x[split.evaluated], tx[split.evaluated])]),
        costs=np.sum((tx - x + offset) ** 2, axis=1)[split.fit.stop :],
        moved=moved[split.fit.stop :],
        apart=np.sum((x - middles[0]) ** 2 + (tx - middles[1]) ** 2, axis=1)[split.fit.stop :],
        pilot=len(pilot_gaps),
        shares=shares,
    )
    known = pilot_gaps[np.isfinite(pilot_gaps)]
    displaced = float(np.linalg.norm(offset + shift))
    most = _REACH * float(known.max(initial=0.0))
    most = max(most, tolerance * float(moved[split.fit].mean()))
    reach = _REACH * float(moved[split.fit].max())

    def members(x: np.ndarray, tx: np.ndarray) -> np.ndarray:
        inside = np.sum((tx - x - shift) ** 2, axis=1) <= reach
        return np.asarray(inside & (gap(x, tx) <= most))

    def within(inside: np.ndarray, orbits: Sequence[np.ndarray]) -> Draws:
        savings = pair_savings(
            x[split.evaluated],
            tx[split.evaluated],
            random,
            work,
            inside=inside,
            noise=noise,
            shares=shares,
        )
        return lower_draws(savings, orbits)

    # Each of two statements at half the error.
    alpha = alpha if widths is None else 0.5 * alpha
    inside = (seen.gaps <= most) & (seen.moved <= reach)
    own = [found.savings(noise, _orbit_inside(found, members)) for found in orbits]
    core = _bounded(
        seen.cut(inside),
        within(inside[seen.pilot :], own),
        alpha,
        _Ends(most, (np.sqrt(reach) + displaced) ** 2, reach),
        gap.name,
        members,
    )
    whole = None
    if widths is not None:
        # Of conjugates on the box no gap is larger, whatever the potential.
        ends = _Ends(
            2.0 * float(np.sum(widths**2)),
            float(np.sum(widths**2)),
            float(np.sum((widths + np.abs(offset + shift)) ** 2)),
        )
        all_of = replace(seen, gaps=np.fmin(seen.gaps, ends.gap))
        own = [found.savings(noise) for found in orbits]
        every = np.ones(len(inside), bool)
        whole = _bounded(
            all_of.cut(every), within(every[seen.pilot :], own), alpha, ends, gap.name, None
        )
        whole = replace(whole, outside=0.0, mass=1.0)
    tail = None
    if kurtosis is not None:
        tail = mean_under_kurtosis(seen.gaps[seen.pilot :], kurtosis, alpha / 2.0, seen.weights)
    return Parts(core, whole, tail)


@dataclass(frozen=True)
class _Seen:
    """Numbers of the rows that no potential was fitted to, the pilot's first."""

    gaps: np.ndarray
    costs: np.ndarray
    moved: np.ndarray
    apart: np.ndarray
    pilot: int
    inside: np.ndarray | None = None
    shares: Shares | None = None

    @property
    def weights(self) -> np.ndarray | None:
        """Of the rows behind the pilot, in parts of the largest."""
        return None if self.shares is None else self.shares.values

    def cut(self, inside: np.ndarray) -> "_Seen":
        """The same, 0 outside."""
        gaps, costs, moved, apart = (
            np.where(inside, own, 0.0) for own in (self.gaps, self.costs, self.moved, self.apart)
        )
        return _Seen(gaps, costs, moved, apart, self.pilot, inside, self.shares)

    def outside_at_most(self, alpha: float) -> float:
        """The bound of the mass outside, of the rows behind the pilot."""
        assert self.inside is not None
        outside = ~self.inside[self.pilot :]
        if self.weights is None:
            return probability_from_above(int(np.sum(outside)), len(outside), alpha)
        before = (~self.inside[: self.pilot]).astype(float)
        return mean_from_above(outside.astype(float), 1.0, alpha, before, self.weights)


@dataclass(frozen=True)
class _Ends:
    """What gap, displacement, and displacement beyond the mean one reach at most."""

    gap: float
    cost: float
    moved: float


def _bounded(
    seen: _Seen, saved: "Draws", alpha: float, ends: _Ends, potential: str, members: Members | None
) -> Core:
    """Every bound of a core whose rows' numbers are cut to it."""
    pilot, rows = slice(0, seen.pilot), slice(seen.pilot, None)
    assert seen.inside is not None
    inside, gaps, weights = seen.inside[rows], seen.gaps[rows], seen.weights
    upper = mean_from_above(gaps, ends.gap, alpha / 4.0, seen.gaps[pilot], weights)
    outside = seen.outside_at_most(alpha / 4.0)
    surely = mean_from_below(saved.sets, alpha / 4.0, saved.weights, saved.masses)

    def share(own: np.ndarray, largest: float) -> Share:
        most_moved = mean_from_above(own[rows], largest, alpha / 4.0, own[pilot], weights)
        below = surely / most_moved if surely > 0 else 0.0
        before = (seen.gaps[pilot], own[pilot])
        above = share_from_above(gaps, own[rows], ends.gap, alpha / 4.0, before, weights)
        return Share(min(below, above), above)

    return Core(
        lower=min(mean_from_below(saved.sets, alpha / 2.0, saved.weights, saved.masses), upper),
        upper=upper,
        outside=outside,
        mass=1.0 - outside,
        rows=len(inside),
        rows_outside=int(np.sum(~inside)),
        gap=ends.gap,
        reach=ends.moved,
        potential=potential,
        mean_gap=float(np.average(gaps, weights=weights)),
        gap_stderr=float(gaps.std() / np.sqrt(len(gaps)))
        if seen.shares is None
        else seen.shares.stderr(gaps),
        wasted=share(seen.costs, ends.cost),
        wasted_beyond_shift=share(seen.moved, ends.moved),
        of_spread=share_from_above(
            gaps,
            seen.apart[rows],
            ends.gap,
            alpha / 4.0,
            (seen.gaps[pilot], seen.apart[pilot]),
            weights,
        ),
        members=members,
    )


class Draws(NamedTuple):
    """Sets of V_b ≥ 0 with E V_b ≤ D, or at most D times the mean of their masses."""

    sets: list[np.ndarray]
    weights: list[float]
    masses: list[np.ndarray | float] | None


def lower_draws(savings: PairSavings, orbits: Sequence[np.ndarray]) -> Draws:
    """The savings of batches and of orbits, and their weights: most on orbits, where there are."""
    pairs = list(savings.sets)
    share = _PAIRS_SHARE if orbits else 1.0
    weights = [share / max(len(pairs), 1)] * len(pairs)
    weights += [(1.0 - share) / max(len(orbits), 1)] * len(orbits)
    masses: list[np.ndarray | float] | None = None
    if savings.masses is not None:
        masses = [*savings.masses, *(1.0 for _ in orbits)]
    return Draws([*pairs, *orbits], weights, masses)


def _orbit_inside(orbits: Orbits, members: Members) -> np.ndarray:
    """Which points of the orbits lie in the core, (b, k)."""
    x, tx = (part.reshape(-1, part.shape[2]) for part in (orbits.points, orbits.images))
    return members(x, tx).reshape(orbits.points.shape[:2])


def _picked(
    x: np.ndarray,
    tx: np.ndarray,
    costs: np.ndarray,
    candidates: Iterable[AbstractGap],
    enough: float,
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
        if least <= enough:
            break
    return best
