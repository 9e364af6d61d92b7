"""Rows that count more or less than others: draws by weight, and what is left of levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brenier._checks import as_frame, check_points
from brenier._frames import Frame
from brenier._row_checks import FEWEST, check_row_weights
from brenier._types import Key
from brenier.certify._rows import one_of_each
from brenier.maps import EntropicGrowth
from brenier.measures import AbstractMeasure
from brenier.numerics import random_order, row_weights

# What every level rests on, where rows have weights.
LARGEST = "no weight of the law is above the largest of the rows"
# Copies of a row at most: an assignment of more of the same would take long and show nothing.
_MOST_COPIES = 32


@dataclass(frozen=True)
class Shares:
    """Weights of rows in parts of the largest: u = w / max w, in (0, 1].

    Rows (x, w) are independent draws, and E[w 1{x ∈ A}] = E[w] μ(A): the law that is audited.

    Attributes:
        values: u (n,).
        counts: how many rows each stands for (n,), as ``numerics.row_weights`` has it.

    >>> shares = Shares(np.array([1.0, 1.0, 0.5]), np.array([2.0, 2.0, 1.0]))
    >>> round(shares.effective, 3), shares.per_row
    (2.778, 1)
    """

    values: np.ndarray
    counts: np.ndarray

    @classmethod
    def of_weights(cls, weights: np.ndarray, growth: np.ndarray | None = None) -> "Shares":
        """Those of weights (n,) above 0, times a growth (n,) above 0 where there is one.

        >>> own = Shares.of_weights(np.array([2.0, 1.0]), np.array([0.5, 1.0]))
        >>> own.values.tolist(), own.counts.round(3).tolist()
        ([1.0, 1.0], [1.333, 1.333])
        """
        masses = weights if growth is None else weights * growth
        return cls(masses / masses.max(), row_weights(weights, growth))

    @property
    def effective(self) -> float:
        """Kish's effective number of rows, (Σw)²/Σw²."""
        return float(self.values.sum() ** 2 / np.sum(self.values**2))

    @property
    def per_row(self) -> int:
        """q: copies of the heaviest row, so that there are about as many copies as rows."""
        return min(max(1, round(1.0 / float(self.values.mean()))), _MOST_COPIES)

    def of(self, rows: Any) -> "Shares":
        """Those of some rows, in parts of the same largest weight."""
        return Shares(self.values[rows], self.counts[rows])

    def accepted(self, random: np.random.Generator) -> np.ndarray:
        """Rows that are independent draws of μ: each is taken with probability u."""
        return np.flatnonzero(random.random(len(self.values)) < self.values)

    def rounded(self, per_row: int, random: np.random.Generator) -> np.ndarray:
        """Whole numbers N_j of mean q u_j, at most q each: counts of copies; (n,)."""
        ends = np.floor(per_row * np.cumsum(self.values) + random.random())
        return np.minimum(np.diff(ends, prepend=0.0), per_row).astype(int)

    def copies(self, count: int, random: np.random.Generator) -> np.ndarray:
        """So many rows, each as often as its share of all weights says, in random order."""
        total = float(self.values.sum())
        ends = np.cumsum(self.values) / total * count
        rows = np.searchsorted(ends, np.arange(count) + random.random(), side="right")
        return random.permutation(np.minimum(rows, len(self.values) - 1))

    def drawn_again(self, parts: Sequence[slice], random: np.random.Generator) -> np.ndarray:
        """All rows (n,), but those of these parts drawn again by weight from the same part."""
        rows = np.arange(len(self.values))
        for part in parts:
            own = rows[part]
            rows[part] = own[self.of(part).copies(len(own), random)]
        return rows

    def mean(self, terms: np.ndarray) -> float:
        """Σ w t / Σ w of terms (n,)."""
        return float(np.average(terms, weights=self.values))

    def stderr(self, terms: np.ndarray) -> float:
        """The standard error of that mean, a ratio of two, for many rows."""
        off = self.values * (terms - self.mean(terms))
        left = 1.0 - 1.0 / self.effective
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.sqrt(np.sum(off**2) / left) / self.values.sum())


def shares_of(
    name: str, weights: Any, count: int, growth: np.ndarray | None = None
) -> tuple[np.ndarray, Shares | None]:
    """Which of so many rows have a positive weight, and their shares: None where all are equal.

    Weights are multiplied by the growth (n,) of the rows, where there is one; None for 1 each.

    Raises:
        ValueError: weights that are none (``check_row_weights``), or positive in fewer rows than an
            audit takes.
    """
    found = np.ones(count) if weights is None else check_row_weights(name, weights, count)
    masses = found if growth is None else check_row_weights(name, found * growth, count)
    kept = np.flatnonzero(masses)
    if len(kept) < FEWEST:
        raise ValueError(
            f"{name}: got {len(kept)} rows of positive weight; wants at least {FEWEST}."
        )
    shares = Shares.of_weights(found[kept], None if growth is None else growth[kept])
    return kept, None if (shares.values == shares.values[0]).all() else shares


def named_weights(argument: str, name: str, value: Any, weights: Any) -> tuple[Any, Any]:
    """The points less the column that holds their weights, and it; both as they are without a name.

    ``argument`` is that of the weights, ``name`` that of the points.

    Raises:
        ValueError: a name beside what has no such column.
    """
    if not isinstance(weights, str):
        return value, weights
    frame = as_frame(name, value)
    if not isinstance(frame, Frame):
        raise ValueError(
            f"{argument}: got the name {weights!r} beside {type(value).__name__}, which has no "
            "named columns; wants one weight a row."
        )
    return frame.without(argument, weights)


def weighed(
    name: str, value: Any, weights: Any, groups: Any = None, growth: EntropicGrowth | None = None
) -> tuple[Any, Any, Shares | None]:
    """The points of positive weight, their labels where there are some, and their shares.

    As they are where there are no weights, and no growth.

    Raises:
        ValueError: as ``shares_of``; weights or growth beside a measure, which has its own.
    """
    if weights is None and growth is None:
        return value, groups, None
    argument = "growth" if weights is None else f"{name}_weights"
    if isinstance(value, AbstractMeasure):
        raise ValueError(
            f"{argument}: got {argument.rpartition('_')[2]} beside {type(value).__name__}, a "
            "measure; wants points (n, d)."
        )
    points = check_points(name, value)
    of_side = None if growth is None else {"source": growth.source, "target": growth.target}[name]
    grown = None if of_side is None else of_side(points)
    kept, shares = shares_of(argument, weights, len(points), grown)
    return points[kept], kept_labels(groups, kept, len(points)), shares


def kept_labels(groups: Any, kept: np.ndarray, count: int) -> Any:
    """The labels of some of so many rows."""
    if groups is None:
        return None
    labels = np.asarray(groups, dtype=object)
    if labels.shape != (count,):
        raise ValueError(
            f"groups: got shape {labels.shape}; wants a label for each of {count} points."
        )
    return labels[kept].tolist()


def drawn_rows(
    points: np.ndarray, shares: Shares, groups: Any, keys: tuple[Key, Key], samples: int
) -> tuple[np.ndarray, Shares]:
    """One row of each label, at most so many, in random order, with its own weight; float64."""
    rows = one_of_each(groups, np.arange(len(points)), keys[0])
    rows = rows[random_order(keys[1], len(rows))[:samples]]
    return points[rows].astype(np.float64), shares.of(rows)


@dataclass(frozen=True)
class EffectiveRows:
    """What weights leave of the rows of a cloud.

    Attributes:
        rows: of positive weight, that were audited.
        effective: Kish's number, (Σw)²/Σw²: so many of equal weight vary as much.
        accepted: about how many are independent draws of the weighted law, each of the rows
            accepted with probability w / max w: what tests take.
        largest: the largest weight, in parts of the mean.
        counted: how many rows they stand for where whole weights repeat rows, as a fit has it
            (``MongeMap.n_effective_``); levels do not. None where an older brenier wrote it.

    >>> found = EffectiveRows.of(Shares.of_weights(np.array([2.0, 1.0, 1.0])))
    >>> found.largest, round(found.effective, 3), found.counted
    (1.5, 2.667, 4.0)
    """

    rows: int
    effective: float
    accepted: int
    largest: float
    counted: float | None = None

    @classmethod
    def of(cls, shares: Shares) -> "EffectiveRows":
        own = shares.values
        return cls(
            rows=len(own),
            effective=shares.effective,
            accepted=max(1, round(float(own.sum()))),
            largest=1.0 / float(own.mean()),
            counted=float(shares.counts.sum()),
        )

    def said(self) -> tuple[str, str]:
        """The number, and how it came about."""
        remark = f"Kish's (Σw)²/Σw²; the largest weight is {self.largest:.3g} times the mean"
        if self.counted is not None and not np.isclose(self.counted, self.effective):
            remark += f"; {self.counted:,.4g} where whole weights repeat rows, as in a fit"
        return f"{self.effective:,.4g} of {self.rows:,}", remark


@dataclass(frozen=True)
class WeightedLevel:
    """What weights make of one level.

    Attributes:
        quantity: what is stated.
        level: "asymptotic", "certain", "exact", "as of repeated rows" or "left out".
        reason: why, in words.

    >>> WeightedLevel("standard errors", "asymptotic", "of a ratio of two means").level
    'asymptotic'
    """

    quantity: str
    level: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Weighting:
    """What becomes of rows and levels where rows have weights. Theory, section 6.7.

    Attributes:
        source, target: what weights leave of either cloud; None where it has none.
        levels: what they make of each level, and what is left out.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> weights = np.where(x[:, 0] > 0.0, 2.0, 1.0)
    >>> found = audit_pairs(x, x + 1.0, source_weights=weights, budget=0.1).weighting
    >>> round(found.source.effective), found.source.rows
    (358, 400)
    """

    source: EffectiveRows | None
    target: EffectiveRows | None
    levels: tuple[WeightedLevel, ...]

    @classmethod
    def of(
        cls, source: Shares | None, target: Shares | None, *, optimal: bool, tested: bool | None
    ) -> "Weighting | None":
        """None where neither has weights; ``tested`` is None where there is no target."""
        if source is None and target is None:
            return None
        clouds = [None if own is None else EffectiveRows.of(own) for own in (source, target)]
        levels = [WeightedLevel("estimates", "as of repeated rows", _REPEATED)]
        if source is not None:
            levels += _of_bounds(optimal=optimal)
        if tested is not None:
            levels.append(_of_tests(clouds, tested=tested))
        return cls(source=clouds[0], target=clouds[1], levels=tuple(levels))

    def rows(self) -> list[tuple[str, str, str]]:
        """(question, answer, remark) of the certificate's table."""
        clouds = (("source", self.source), ("target", self.target))
        return [
            *(
                (f"effective rows of the {name}", *own.said())
                for name, own in clouds
                if own is not None
            ),
            *((f"  weights: {own.quantity}", own.level, own.reason) for own in self.levels),
        ]


_REPEATED = "cost, energy distance, sliced W₂, L2-UVP; rows repeated as whole weights say"
_EXACT_IF = f"exact if {LARGEST}"


def _of_bounds(*, optimal: bool) -> list[WeightedLevel]:
    """What weights of the source make of what is stated about the defect."""
    others = [
        WeightedLevel("a swap or cycle that saves", "certain", "of rows of positive weight"),
        WeightedLevel("standard errors", "asymptotic", "of a ratio of two means"),
        WeightedLevel(
            "share of pairs that swap, checks of what is declared",
            "asymptotic",
            f"on rows accepted with probability w / max w; {_EXACT_IF}",
        ),
    ]
    if optimal:
        reason = "the gradient of a convex function: no row is asked"
        return [WeightedLevel("bounds of the defect", "exact", reason), *others]
    return [
        WeightedLevel(
            "lower bounds",
            "asymptotic",
            "bets on weighted means; the largest weight and batch are read off the rows",
        ),
        WeightedLevel(
            "upper bounds, mass outside the core",
            "asymptotic",
            f"bets on weighted means; {_EXACT_IF}",
        ),
        WeightedLevel(
            "lower bound by all pairs at once",
            "left out",
            "its error is known for equal weights only",
        ),
        *others,
    ]


def _of_tests(clouds: Sequence[EffectiveRows | None], *, tested: bool) -> WeightedLevel:
    """What weights make of the tests of the target."""
    quantity = "tests of the target, bound of columns"
    if not tested:
        few = f"fewer than {FEWEST} rows are accepted with probability w / max w"
        return WeightedLevel(quantity, "left out", few)
    few = " and ".join(
        f"about {own.accepted:,} of the {name}"
        for name, own in zip(("source", "target"), clouds, strict=True)
        if own is not None
    )
    reason = f"on {few}, accepted with probability w / max w; as without weights if {LARGEST}"
    return WeightedLevel(quantity, "asymptotic", reason)
