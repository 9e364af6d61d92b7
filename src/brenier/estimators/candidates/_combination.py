"""The combination of the best of each kind: stacking."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from brenier.estimators.candidates._kinds import AbstractKind
from brenier.estimators.candidates._trial import Fold, Trial, judged
from brenier.potentials.host import HostMixture, HostPotential, stacking_weights

# Held-out points a side that weights of a combination are found on.
_STACKED = 2048


@dataclass(frozen=True, eq=False)
class CombinationKind(AbstractKind):
    """A convex combination of potentials of several kinds, with weights that minimise held-out J.

    Args:
        parts: the kinds, each with the trial that is combined; none of the way back.
    """

    parts: Sequence[tuple[AbstractKind, Trial]]
    name = "combination"

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        """One, where more than one part has a weight; its settings are the weights."""
        if len(self.parts) < 2:
            return
        few = [fold.fewer_held(_STACKED) for fold in folds]
        held = [(fold.u_held, fold.v_held) for fold in few]
        masses = [fold.held_weights for fold in few]
        weights = stacking_weights(self._potentials(folds), held, masses)
        if np.count_nonzero(weights) > 1:
            names = [trial.kind for _, trial in self.parts]
            yield self.weighted(dict(zip(names, weights, strict=True)), folds)

    def weighted(self, weights: Mapping[str, float], folds: Sequence[Fold]) -> Trial:
        """The trial with these weights by name of the part; 0 for those that are not named."""
        trials = [trial for _, trial in self.parts]
        own = np.array([weights.get(trial.kind, 0.0) for trial in trials])
        mixtures = [HostMixture.of(potentials, own) for potentials in self._potentials(folds)]
        named = {t.kind: float(w) for t, w in zip(trials, own, strict=True) if w > 0}
        nearest = min(trials, key=lambda trial: trial.dual)
        return judged(self.name, named, mixtures, folds, nearest)

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        used = [(kind, own) for kind, own in self.parts if own.kind in trial.settings]
        fits = tuple(kind.refitted(own, folds, whole) for kind, own in used)
        return HostMixture(fits, np.array([trial.settings[own.kind] for _, own in used]))

    def _potentials(self, folds: Sequence[Fold]) -> list[list[HostPotential]]:
        """Of every fold, the potential of each part."""
        return [[trial.potentials[k] for _, trial in self.parts] for k in range(len(folds))]
