"""Folds of the data, and what became of a candidate on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from brenier._types import RowWeights
from brenier.estimators.data import shrunk_covariance
from brenier.numerics import Coordinates, row_count, row_mean, row_mean_error
from brenier.potentials.host import HostPotential, host_conjugates

# Of source and of target points.
Masses: TypeAlias = tuple[RowWeights, RowWeights]


@dataclass(frozen=True, eq=False)
class Fold:
    """Points to learn from and points held out, on both sides, in coordinates of the former.

    Coordinates of all points would know the moments of those held out, to the advantage of the
    Gaussian map.

    Args:
        u, v: source (n, d) and target (m, d) to learn from.
        u_held, v_held: source (k, d) and target (l, d) held out.
        coordinates: what they were encoded by.
        weights: of u and of v, (n,) and (m,): how many rows each point stands for.
        held_weights: of those held out.
    """

    u: np.ndarray
    v: np.ndarray
    u_held: np.ndarray
    v_held: np.ndarray
    coordinates: Coordinates
    weights: Masses = (None, None)
    held_weights: Masses = (None, None)

    @classmethod
    def encoded(
        cls,
        learn: tuple[np.ndarray, np.ndarray],
        held: tuple[np.ndarray, np.ndarray],
        coordinates: Coordinates,
        weights: Masses = (None, None),
        held_weights: Masses = (None, None),
    ) -> "Fold":
        """The fold of these source and target points, in these coordinates."""
        (x, y), (x_held, y_held) = learn, held
        return cls(
            coordinates.encode_source(x),
            coordinates.encode_target(y),
            coordinates.encode_source(x_held),
            coordinates.encode_target(y_held),
            coordinates,
            weights,
            held_weights,
        )

    def reversed(self) -> "Fold":
        """The same for the way back, from the target to the source."""
        coordinates = self.coordinates.reversed().on_host()
        weights, held_weights = self.weights[::-1], self.held_weights[::-1]
        return Fold(self.v, self.u, self.v_held, self.u_held, coordinates, weights, held_weights)

    def first(self, most: int) -> "Fold":
        """The same with at most so many points to learn from on a side."""
        return replace(self, u=self.u[:most], v=self.v[:most], weights=_first(self.weights, most))

    def fewer_held(self, most: int) -> "Fold":
        """The same with at most so many points held out on a side."""
        return replace(
            self,
            u_held=self.u_held[:most],
            v_held=self.v_held[:most],
            held_weights=_first(self.held_weights, most),
        )

    def judged_on_itself(self) -> "Fold":
        """The same with the points that are learned from in the place of those held out."""
        return replace(self, u_held=self.u, v_held=self.v, held_weights=self.weights)

    @property
    def counts(self) -> tuple[float, float]:
        """How many rows the points to learn from stand for on both sides."""
        return row_count(self.u, self.weights[0]), row_count(self.v, self.weights[1])


def _first(weights: Masses, most: int) -> Masses:
    source, target = (None if own is None else own[:most] for own in weights)
    return source, target


def cut_folds(
    x: np.ndarray,
    y: np.ndarray,
    coordinates: Coordinates,
    random: np.random.Generator,
    *,
    count: int,
    parts: int,
    sound: tuple[np.ndarray, np.ndarray] | None = None,
    weights: Masses = (None, None),
) -> list[Fold]:
    """``count`` of ``parts`` folds of points (n, d) and (m, d), each holding out a part of both.

    ``coordinates`` are those of all points; they serve where a column is constant in a fold. The
    others are of the ``sound`` points, (n,) and (m,) bool; of all where None. ``weights`` say how
    many rows each point stands for.
    """
    sides = [
        (points, random.permutation(np.arange(len(points)) % parts), own)
        for points, own in zip((x, y), weights, strict=True)
    ]
    bulks = sides
    if sound is not None:
        bulks = [
            (z[good], part[good], None if own is None else own[good])
            for (z, part, own), good in zip(sides, sound, strict=True)
        ]
    folds = []
    for k in range(count):
        learn, held = (
            [_of_part(*side, part=k, inside=inside) for side in sides] for inside in (False, True)
        )
        own, bulk = coordinates, [_of_part(*side, part=k, inside=False) for side in bulks]
        if all((points.std(axis=0) > 0).all() for points, _ in bulk):
            moments = (
                part
                for points, own_weights in bulk
                for part in (row_mean(points, own_weights), shrunk_covariance(points, own_weights))
            )
            own = Coordinates.gaussian(*moments).on_host()
        (x, x_weights), (y, y_weights) = learn
        (x_held, x_held_weights), (y_held, y_held_weights) = held
        folds.append(
            Fold.encoded(
                (x, y),
                (x_held, y_held),
                own,
                (x_weights, y_weights),
                (x_held_weights, y_held_weights),
            )
        )
    return folds


def _of_part(
    points: np.ndarray, parts: np.ndarray, weights: RowWeights, *, part: int, inside: bool
) -> tuple[np.ndarray, RowWeights]:
    """The points inside of a part, or those outside of it, and their weights."""
    rows = (parts == part) == inside
    return points[rows], None if weights is None else weights[rows]


@dataclass(frozen=True, eq=False)
class Trial:
    """One kind of map with one setting, fitted on every fold and judged on what was held out.

    Args:
        kind: its name.
        settings: what was chosen within the kind.
        potentials: one a fold.
        heights: φ at the held-out source points of every fold.
        conjugates: φ* at the held-out target points of every fold.
        points: the conjugate points of every fold, where a similar trial may start from.
        reverse: whether the potentials are of the way back, and the map the inverse of theirs.
        weights: of the heights and of the conjugates of every fold; none where they are equal.
    """

    kind: str
    settings: Mapping[str, Any]
    potentials: Sequence[HostPotential]
    heights: Sequence[np.ndarray]
    conjugates: Sequence[np.ndarray]
    points: Sequence[np.ndarray] = field(repr=False)
    reverse: bool = False
    weights: Sequence[Masses] = field(default=(), repr=False)

    def reversed(self, kind: str) -> "Trial":
        """The trial on reversed folds as one on the folds themselves: J is the same both ways."""
        return replace(
            self,
            kind=kind,
            heights=self.conjugates,
            conjugates=self.heights,
            reverse=True,
            weights=[own[::-1] for own in self.weights],
        )

    @property
    def dual(self) -> float:
        """J(φ), the mean over the folds; infinite where it is no number."""
        own = [
            row_mean(a, a_weights) + row_mean(b, b_weights)
            for a, b, (a_weights, b_weights) in zip(
                self.heights, self.conjugates, self._masses, strict=True
            )
        ]
        value = float(np.mean(own))
        return value if np.isfinite(value) else np.inf

    def stderr_beside(self, other: "Trial") -> float:
        """The standard error of the difference of J to that of another, on the same points."""
        # Within each fold: a potential is known up to a constant, another one in each.
        variances = [
            row_mean_error(own - their, weights[side])
            for side, (mine, yours) in enumerate(
                ((self.heights, other.heights), (self.conjugates, other.conjugates))
            )
            for own, their, weights in zip(mine, yours, self._masses, strict=True)
        ]
        return float(np.sqrt(np.sum(variances)) / len(self.heights))

    @property
    def _masses(self) -> Sequence[Masses]:
        return self.weights or [(None, None)] * len(self.heights)


def judged(
    kind: str,
    settings: Mapping[str, Any],
    potentials: Sequence[HostPotential],
    folds: Sequence[Fold],
    near: Trial | None = None,
) -> Trial:
    """The trial of potentials fitted on the folds; conjugates start from those of a trial near."""
    heights, conjugates, points = [], [], []
    for k, (potential, fold) in enumerate(zip(potentials, folds, strict=True)):
        start = None if near is None else near.points[k]
        x, y = (held.astype(potential.precision) for held in (fold.u_held, fold.v_held))
        with np.errstate(all="ignore"):  # what overflows is no candidate: its dual is infinite
            heights.append(potential.value(x).astype(np.float64))
            found = host_conjugates(potential, y, start)
        conjugates.append(found.values.astype(np.float64))
        points.append(found.points)
    weights = [fold.held_weights for fold in folds]
    return Trial(kind, settings, potentials, heights, conjugates, points, weights=weights)
