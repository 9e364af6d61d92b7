"""Folds of the data, and what became of a candidate on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from brenier.estimators.data import shrunk_covariance
from brenier.numerics import Coordinates
from brenier.potentials.host import HostPotential, host_conjugates


@dataclass(frozen=True, eq=False)
class Fold:
    """Points to learn from and points held out, on both sides, in coordinates of the former.

    Coordinates of all points would know the moments of those held out, to the advantage of the
    Gaussian map.

    Args:
        u, v: source (n, d) and target (m, d) to learn from.
        u_held, v_held: source (k, d) and target (l, d) held out.
        coordinates: what they were encoded by.
    """

    u: np.ndarray
    v: np.ndarray
    u_held: np.ndarray
    v_held: np.ndarray
    coordinates: Coordinates

    @classmethod
    def encoded(
        cls,
        learn: tuple[np.ndarray, np.ndarray],
        held: tuple[np.ndarray, np.ndarray],
        coordinates: Coordinates,
    ) -> "Fold":
        """The fold of these source and target points, in these coordinates."""
        (x, y), (x_held, y_held) = learn, held
        return cls(
            coordinates.encode_source(x),
            coordinates.encode_target(y),
            coordinates.encode_source(x_held),
            coordinates.encode_target(y_held),
            coordinates,
        )

    def reversed(self) -> "Fold":
        """The same for the way back, from the target to the source."""
        coordinates = self.coordinates.reversed().on_host()
        return Fold(self.v, self.u, self.v_held, self.u_held, coordinates)

    def fewer_held(self, most: int) -> "Fold":
        """The same with at most so many points held out on a side."""
        return replace(self, u_held=self.u_held[:most], v_held=self.v_held[:most])


def cut_folds(
    x: np.ndarray,
    y: np.ndarray,
    coordinates: Coordinates,
    random: np.random.Generator,
    *,
    count: int,
    parts: int,
    sound: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[Fold]:
    """``count`` of ``parts`` folds of points (n, d) and (m, d), each holding out a part of both.

    ``coordinates`` are those of all points; they serve where a column is constant in a fold. The
    others are of the ``sound`` points, (n,) and (m,) bool; of all where None.
    """
    sides = [(points, random.permutation(np.arange(len(points)) % parts)) for points in (x, y)]
    bulks = sides
    if sound is not None:
        bulks = [(z[good], part[good]) for (z, part), good in zip(sides, sound, strict=True)]
    folds = []
    for k in range(count):
        (x, y), held = (
            tuple(points[(part == k) == out] for points, part in sides) for out in (False, True)
        )
        own, bulk = coordinates, [points[part != k] for points, part in bulks]
        if all((points.std(axis=0) > 0).all() for points in bulk):
            moments = (
                part for points in bulk for part in (points.mean(axis=0), shrunk_covariance(points))
            )
            own = Coordinates.gaussian(*moments).on_host()
        folds.append(Fold.encoded((x, y), held, own))
    return folds


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
    """

    kind: str
    settings: Mapping[str, Any]
    potentials: Sequence[HostPotential]
    heights: Sequence[np.ndarray]
    conjugates: Sequence[np.ndarray]
    points: Sequence[np.ndarray] = field(repr=False)
    reverse: bool = False

    def reversed(self, kind: str) -> "Trial":
        """The trial on reversed folds as one on the folds themselves: J is the same both ways."""
        return replace(
            self, kind=kind, heights=self.conjugates, conjugates=self.heights, reverse=True
        )

    @property
    def dual(self) -> float:
        """J(φ), the mean over the folds; infinite where it is no number."""
        own = [a.mean() + b.mean() for a, b in zip(self.heights, self.conjugates, strict=True)]
        value = float(np.mean(own))
        return value if np.isfinite(value) else np.inf

    def stderr_beside(self, other: "Trial") -> float:
        """The standard error of the difference of J to that of another, on the same points."""
        # Within each fold: a potential is known up to a constant, another one in each.
        variances = [
            np.var(own - their) / len(own)
            for mine, yours in ((self.heights, other.heights), (self.conjugates, other.conjugates))
            for own, their in zip(mine, yours, strict=True)
        ]
        return float(np.sqrt(np.sum(variances)) / len(self.heights))


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
    return Trial(kind, settings, potentials, heights, conjugates, points)
