"""A network of the way there or of the way back: whichever is learned better."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from brenier.estimators.candidates._kinds import AbstractKind
from brenier.estimators.candidates._trial import Fold, Trial
from brenier.potentials.host import HostPotential

# Held-out points that tell which way is nearer: far from equal, most of the time.
_TOLD = 2048


@dataclass(frozen=True, eq=False)
class NearerKind(AbstractKind):
    """A kind of the map, or of its inverse: of whichever has the lower J after as many steps.

    The smoother of the two is learned better, by up to five times in many dimensions: all the work
    that is left goes to it. So early J tells that better than ``error_difference``: the map
    that is nearer then may be the one that gets no nearer.

    Args:
        name: of both.
        begun: the kind of the map, or, reversed, that of its inverse, as far as it tells which;
            after so many steps, or for None after a part of the work.
        ways: the two.
    """

    name: str
    begun: Callable[[bool, int | None], AbstractKind]
    ways: tuple[AbstractKind, AbstractKind]

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        few = [fold.fewer_held(_TOLD) for fold in folds]
        there = next(self.begun(False, None).trials(few, random), None)
        reverse = False
        if there is not None:
            # Not as many seconds: in the first's there were those of compilation.
            back = next(self.begun(True, there.settings["steps"]).trials(few, random))
            reverse = back.dual < there.dual
        yield from self.ways[reverse].trials(folds, random)

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        return self.ways[trial.reverse].refitted(trial, folds, whole)
