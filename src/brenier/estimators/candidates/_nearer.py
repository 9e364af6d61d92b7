"""A network of the way there or of the way back: whichever is learned better."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from brenier.estimators.candidates._direction import nearer
from brenier.estimators.candidates._kinds import AbstractKind
from brenier.estimators.candidates._trial import Fold, Trial
from brenier.potentials.host import HostPotential


@dataclass(frozen=True, eq=False)
class NearerKind(AbstractKind):
    """A kind of the map, or of its inverse: of whichever is nearer after a part of the work.

    The smoother of the two is learned better, by up to five times in many dimensions: all the work
    that is left goes to it.

    Args:
        name: of both.
        begun: how the kind of the map, and that of its inverse, begin.
        ways: the two.
    """

    name: str
    begun: tuple[AbstractKind, AbstractKind]
    ways: tuple[AbstractKind, AbstractKind]

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        found = [trial for kind in self.begun for trial in kind.trials(folds, random)]
        reverse = len(found) == len(self.begun) and nearer(found[0], found[1], folds).reverse
        yield from self.ways[reverse].trials(folds, random)

    def refitted(
        self, trial: Trial, folds: Sequence[Fold], u: np.ndarray, v: np.ndarray
    ) -> HostPotential:
        return self.ways[trial.reverse].refitted(trial, folds, u, v)
