"""Two clouds in standard coordinates, whose rows are of conditions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from brenier._types import RowWeights
from brenier.numerics import row_weights

# Rows of a condition that hold some out, at least, and the share that is.
_SPARED, _SHARE = 8, 4


@dataclass(frozen=True, eq=False)
class Side:
    """Points of one side, in standard coordinates of all.

    Args:
        points: (n, d).
        of: the condition of each, (n,).
        sound: (n,), which count for moments.
        weights: (n,), how many rows each stands for; None for one each.
    """

    points: np.ndarray
    of: np.ndarray
    sound: np.ndarray
    weights: RowWeights = None

    def rows(self, keep: np.ndarray) -> "Side":
        """Some of the rows."""
        own = None if self.weights is None else self.weights[keep]
        return Side(self.points[keep], self.of[keep], self.sound[keep], own)

    def at(self, k: int) -> tuple[np.ndarray, RowWeights]:
        """The points of one condition, and their weights."""
        rows = self.of == k
        return self.points[rows], None if self.weights is None else self.weights[rows]

    def counts(self, conditions: int) -> np.ndarray:
        """How many rows stand for each condition, (k,)."""
        return np.bincount(self.of, self.weights, conditions).astype(float)

    @property
    def masses(self) -> np.ndarray:
        """The weights, 1 where there are none, (n,)."""
        return np.ones(len(self.of)) if self.weights is None else self.weights


@dataclass(frozen=True, eq=False)
class Sides:
    """Points of source and target, and the conditions that they are of.

    Args:
        source, target: the points.
        codes: of the conditions, (k, e).
        layout: of a code.
    """

    source: Side
    target: Side
    codes: np.ndarray
    layout: tuple[int, ...]

    @property
    def dimension(self) -> int:
        return self.source.points.shape[1]

    def __len__(self) -> int:
        """Conditions."""
        return len(self.codes)

    @property
    def both(self) -> tuple[Side, Side]:
        return self.source, self.target

    @property
    def counts(self) -> np.ndarray:
        """How many rows of source and target stand for each condition, (k, 2)."""
        return np.stack([side.counts(len(self)) for side in self.both], axis=1)

    def points(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of one condition."""
        return self.source.at(k)[0], self.target.at(k)[0]

    def masses(self, k: int) -> tuple[RowWeights, RowWeights]:
        """The weights of source and target of one condition."""
        return self.source.at(k)[1], self.target.at(k)[1]

    def each(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Source and target of each condition in turn."""
        return (self.points(k) for k in range(len(self)))

    def rows(self, keep_u: np.ndarray, keep_v: np.ndarray) -> "Sides":
        """Those rows of both sides."""
        return replace(self, source=self.source.rows(keep_u), target=self.target.rows(keep_v))

    def without(self, left_out: Sequence[int]) -> "Sides":
        """All but some of the conditions."""
        kept = np.setdiff1d(np.arange(len(self)), left_out)
        place = np.full(len(self), -1)
        place[kept] = np.arange(len(kept))
        own, other = (side.rows(place[side.of] >= 0) for side in self.both)
        own, other = (replace(side, of=place[side.of]) for side in (own, other))
        return Sides(own, other, self.codes[kept], self.layout)

    def split(self, random: np.random.Generator, share: int = _SHARE) -> tuple["Sides", "Sides"]:
        """Rows to learn from, and one in ``share`` of every condition that has enough, held out."""
        held = []
        sizes = np.stack([np.bincount(side.of, minlength=len(self)) for side in self.both])
        for side in self.both:
            out = np.zeros(len(side.of), bool)
            for k in range(len(self)):
                own = random.permutation(np.flatnonzero(side.of == k))
                if sizes[:, k].min() >= _SPARED:
                    out[own[: len(own) // share]] = True
            held.append(out)
        return self.rows(~held[0], ~held[1]), self.rows(*held)

    def balanced(self, random: np.random.Generator) -> "Sides":
        """As many rows as leave every condition the same share of both sides.

        What is learned from all conditions together would else carry mass from one to another. Of
        rows with weights none are left out: they count for less.
        """
        counts = self.counts
        ratio = float(np.median(counts[:, 0] / counts[:, 1]))
        if self.source.weights is not None or self.target.weights is not None:
            return self._reweighted(ratio)
        keep = [np.zeros(len(side.of), bool) for side in self.both]
        for k, (n, m) in enumerate(counts):
            most = int(min(n, np.ceil(ratio * m))), int(min(m, np.ceil(n / ratio)))
            for own, side, count in zip(keep, self.both, most, strict=True):
                own[random.permutation(np.flatnonzero(side.of == k))[:count]] = True
        return self.rows(keep[0], keep[1])

    def evened(self) -> "Sides":
        """All rows, with weights by which every condition has the same mass on both sides."""
        return self._reweighted(1.0)

    def _reweighted(self, ratio: float) -> "Sides":
        """With weights by which every condition has so many times the mass of its target."""
        counts = self.counts
        least = np.stack([counts[:, 0], ratio * counts[:, 1]]).min(axis=0)
        counts = np.where(counts > 0.0, counts, 1.0)  # of none of whose rows a factor is asked
        factors = least / counts[:, 0], least / (ratio * counts[:, 1])
        own, other = (
            replace(side, weights=side.masses * factor[side.of])
            for side, factor in zip(self.both, factors, strict=True)
        )
        return replace(self, source=own, target=other)


def within_conditions(weights: RowWeights, of: np.ndarray, conditions: int) -> RowWeights:
    """Weights whose sum over a condition is how many rows of it they stand for, (n,).

    Whole numbers count rows. Of others only the ratios within a condition matter to its map.

    >>> within_conditions(np.array([0.5, 0.5, 9.0]), np.array([0, 0, 1]), 2).tolist()
    [1.0, 1.0, 1.0]
    """
    if weights is None or (weights == np.rint(weights)).all():
        return weights
    found = np.empty(len(weights))
    for k in range(conditions):
        own = weights[of == k]
        found[of == k] = row_weights(own / own.max())
    return found
