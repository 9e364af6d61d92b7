"""A network of the way there or of the way back: whichever is learned better."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from brenier.estimators.candidates._kinds import AbstractKind
from brenier.estimators.candidates._trial import Fold, Trial
from brenier.potentials.host import HostPotential


@dataclass(frozen=True, eq=False)
class NearerKind(AbstractKind):
    """A kind of the map, or of its inverse: of whichever has the lower J after a part of the work.

    The smoother of the two is learned better, by up to five times in many dimensions: all the work
    that is left goes to it. So early J tells that better than ``error_difference``: the map
    that is nearer then may be the one that gets no nearer.

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
        reverse = min(found, key=lambda trial: trial.dual).reverse if found else False
        yield from self.ways[reverse].trials(folds, random)

    def refitted(
        self, trial: Trial, folds: Sequence[Fold], u: np.ndarray, v: np.ndarray
    ) -> HostPotential:
        return self.ways[trial.reverse].refitted(trial, folds, u, v)
