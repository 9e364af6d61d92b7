"""The potentials that a conditional one is mixed from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np

from brenier._progress import ProgressCallback
from brenier._types import RowWeights
from brenier.estimators.candidates import CandidateTable, Effort, Request, fit_pair, kept_training
from brenier.estimators.conditional._sides import Sides
from brenier.estimators.data import FEW, Layout, read_pair
from brenier.numerics import Coordinates
from brenier.potentials import (
    AbstractConditionalPotential,
    AbstractPotential,
    Blended,
    ConditionalGaussian,
    Quadratic,
    Unconditional,
)
from brenier.potentials.host import between

# Seconds that a network is worth beginning with, most of which go into compilation.
_LEAST_SECONDS = 60.0
# Points of a condition that a potential of its own is learned from, at least.
_FEWEST = 40
# Below so many it is of these kinds, which take a second.
_MANY, _OF_FEW = 200, ("gaussian", "separable")


@dataclass(frozen=True, eq=False)
class Learner:
    """Learns potentials of clouds in standard coordinates.

    Args:
        coordinates: those, of all points.
        effort: as a user asked for it. Only "auto" and "best" look for other maps than quick ones
            in a part; "best" and seconds train one network for all conditions.
        seed: of all randomness.
        tell: of progress.
        names: the kinds to choose from; None for all.
        checkpoint: a folder where what takes long is kept; None for nowhere.
    """

    coordinates: Coordinates
    effort: Effort
    seed: int
    tell: ProgressCallback
    names: tuple[str, ...] | None = None
    checkpoint: Path | None = None

    def pooled(self, sides: Sides) -> tuple[Unconditional, CandidateTable]:
        """One map for all, whatever the condition."""
        own = sides.balanced(np.random.default_rng(self.seed))
        (u, v), weights = (side.points for side in own.both), _weights(own)
        potential, table = self.learned(u, v, weights, "pooled")
        return Unconditional(potential, sides.layout), table

    def shared(
        self, sides: Sides, gaussian: ConditionalGaussian
    ) -> tuple[ConditionalGaussian, CandidateTable]:
        """The Gaussian map of each condition, and one potential for what they leave."""
        own = sides.balanced(np.random.default_rng(self.seed))
        left = _left_of(own, gaussian)
        u, v = (side.points for side in left.both)
        potential, table = self.learned(u, v, _weights(left), "shared")
        return _after(gaussian, Unconditional(potential, sides.layout)), table

    def own(self, sides: Sides, gaussian: ConditionalGaussian) -> list[AbstractPotential]:
        """A potential of every condition for what its Gaussian map leaves."""
        found: list[AbstractPotential] = []
        for k, code in enumerate(sides.codes):
            u, v = _left(gaussian, code, *sides.points(k))
            few = min(len(u), len(v)) < _FEWEST
            few = few or not min(side.std(axis=0).min() for side in (u, v)) > 0
            learner = replace(self, names=_OF_FEW) if len(u) < _MANY else self
            if few:
                found.append(Quadratic.identity(u.shape[1]))
                continue
            found.append(learner.learned(u, v, sides.masses(k), f"own-{k}")[0])
        return found

    def trains(self, sides: Sides) -> bool:
        """Whether a network is trained: for the best, or where seconds are left."""
        enough = min(len(side.of) for side in sides.both) >= FEW
        name = self.effort.name
        return enough and (
            name == "best" or (name == "seconds" and self.effort.left > _LEAST_SECONDS)
        )

    def network(
        self, sides: Sides, gaussian: ConditionalGaussian, share: float
    ) -> ConditionalGaussian:
        """The Gaussian map of each condition, and one network for what they leave.

        ``share`` is of the seconds that are left, where they are counted.
        """
        from brenier.estimators.conditional._network import network_of, small_network

        counted = self.effort.name == "seconds"
        seconds = max(share * self.effort.left, 1.0) if counted else None
        key = jax.random.fold_in(jax.random.key(self.seed), len(sides))
        left = _left_of(sides, gaussian)
        points = min(len(side.of) for side in left.both)
        method, initial = small_network(points, left.dimension, key)
        sides_told = [part for side in left.both for part in (side.points, side.of, side.masses)]
        told = (*sides_told, left.codes, self.seed, counted)
        found = network_of(
            left,
            method,
            initial,
            key=key,
            tell=self.tell,
            seconds=seconds,
            checkpoint=None if self.checkpoint is None else kept_training(self.checkpoint, *told),
        )
        return _after(gaussian, found)

    def learned(
        self, u: np.ndarray, v: np.ndarray, weights: tuple[RowWeights, RowWeights], part: str
    ) -> tuple[AbstractPotential, CandidateTable]:
        """The best of the kinds of ``MongeMap`` between two clouds."""
        home = self.coordinates.on_host()
        pair = read_pair(
            home.decode_source(u),
            home.decode_target(v),
            Layout(None, None, None),
            outliers="keep",
            random_state=self.seed,
            key=jax.random.key(self.seed),
            weights=weights,
        )
        own = pair.coordinates
        patient = self.effort.name in ("auto", "best")
        effort = Effort("auto" if patient else "quick")
        folder = None if self.checkpoint is None else self.checkpoint / part
        request = Request(None, effort, self.names, None, None, folder)
        keys = list(jax.random.split(jax.random.key(self.seed), 4))
        choice = fit_pair(pair, own, request, keys=keys, seed=self.seed, callback=self.tell)
        return between(choice.potential, pair.in_units(own), home), choice.table


def blended(
    gaussian: ConditionalGaussian, potentials: Sequence[AbstractPotential], sides: Sides
) -> ConditionalGaussian:
    """The Gaussian map of each condition, then potentials of the conditions, blended between."""
    return _after(gaussian, Blended(potentials, sides.codes, sides.layout))


def _after(
    gaussian: ConditionalGaussian, residual: AbstractConditionalPotential
) -> ConditionalGaussian:
    return ConditionalGaussian(residual, gaussian.logarithm, gaussian.shift)


def _weights(sides: Sides) -> tuple[RowWeights, RowWeights]:
    return sides.source.weights, sides.target.weights


def _left_of(sides: Sides, gaussian: ConditionalGaussian) -> Sides:
    """All points in the coordinates in which the Gaussian map of their condition is the identity.

    They stand condition after condition.
    """
    parts = [_left(gaussian, code, *sides.points(k)) for k, code in enumerate(sides.codes)]
    order = [np.argsort(side.of, kind="stable") for side in sides.both]
    own = sides.rows(*order)
    u, v = (np.concatenate(side) for side in zip(*parts, strict=True))
    return replace(own, source=replace(own.source, points=u), target=replace(own.target, points=v))


def _left(
    gaussian: ConditionalGaussian, code: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a condition in the coordinates in which its Gaussian map is the identity."""
    own = gaussian.at(code).coordinates.on_host()
    return own.encode_source(u), own.encode_target(v)
