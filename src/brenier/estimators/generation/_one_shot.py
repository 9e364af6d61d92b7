"""Sinkhorn's flow from a Gaussian among the kinds of maps that are chosen from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from brenier._solution import Solution
from brenier._types import RowWeights
from brenier.estimators.candidates import AbstractKind, Fold, Trial, judged
from brenier.estimators.generation._choice import RATIOS
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import Gaussian
from brenier.numerics import Coordinates, half_shift_covariance, row_count
from brenier.potentials.host import (
    CompiledPotential,
    HostLogSumExp,
    HostMixture,
    HostPotential,
    HostQuadratic,
    between,
    entropic_offsets,
    sinkhorn_ladder,
)

# Multiples of the rule's ε past the best one that are looked at.
_PAST_BEST = 2
# Data of a trial, at most.
_ATOMS = 2000


@dataclass(frozen=True, eq=False)
class OneShotKind(AbstractKind):
    """φ(x) = ε log Σ_j exp((⟨x, y_j⟩ + g_j − ½‖y_j‖²)/ε) + (ε/4)⟨x − a, C_ε⁻¹(x − a)⟩.

    What ``flows.sample_sinkhorn_flow`` ends at, the bias of ε taken back. Trials are on the host,
    with fewer iterations, in standard coordinates; what is kept is the flow itself. ε is a multiple
    of the rule's for so many points.

    Args:
        law: of the latent points.
        particles: of it (k, d), for Sinkhorn.
        coordinates: of all points.
        epsilon: the rule's, where n = 1; it falls as n^{-1/2}.
        flow: the flow onto all data, in the coordinates of the law, at a multiple of the rule's ε.
    """

    law: Gaussian
    particles: np.ndarray
    coordinates: Coordinates
    epsilon: float
    flow: Callable[[float], Solution[AbstractMap]]
    name = "one-shot"

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        ladders = [self.ladder(fold.v, fold.coordinates, RATIOS, fold.weights[1]) for fold in folds]
        best, near = None, None
        for rung, ratio in enumerate(RATIOS):
            fits = [next(ladder) for ladder in ladders]
            near = judged(self.name, {"ratio": ratio}, fits, folds, near)
            yield near
            if best is None or near.dual < best[1]:
                best = rung, near.dual
            elif rung >= best[0] + _PAST_BEST:
                return

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        map = self.flow(trial.settings["ratio"]).map
        assert isinstance(map, GradientMap)
        moved = between(map.potential, Coordinates.identity(self.law.dimension), self.coordinates)
        return CompiledPotential(moved, np.dtype(np.float64))

    def ladder(
        self,
        v: np.ndarray,
        coordinates: Coordinates,
        ratios: Sequence[float],
        weights: RowWeights = None,
    ) -> Iterator[HostPotential]:
        """The potentials onto points (n, d) in these coordinates, one a ratio."""
        v, scale = v[:_ATOMS], float(coordinates.scale)
        masses = None if weights is None else weights[:_ATOMS]
        n, d = row_count(v, masses), v.shape[1]
        matrix = np.asarray(coordinates.matrix) / scale
        source = matrix @ np.asarray(self.law.covariance) @ matrix.T
        target = np.cov(v.T, bias=True, aweights=masses).reshape(d, d)
        (centre,) = coordinates.encode_source(np.asarray(self.law.mean)[None])
        # ⟨x, y⟩ is scale² as large as ⟨u, v⟩, hence ε too.
        epsilons = [ratio * self.epsilon / n**0.5 / scale**2 for ratio in ratios]
        u = coordinates.encode_source(self.particles)
        shares = np.full(len(v), 1.0 / n) if masses is None else masses / n
        solved = sinkhorn_ladder(u, v, shares, epsilons)
        for epsilon, g in zip(epsilons, solved, strict=True):
            offsets = entropic_offsets(v, shares, g, epsilon)
            half = np.linalg.inv(half_shift_covariance(source, target, epsilon)) * epsilon / 2.0
            # One part of the quadratic makes the soft maximum strongly convex, the rest is beside.
            modulus = 0.5 * float(np.linalg.eigvalsh(half)[0])
            soft = HostLogSumExp(v, offsets, epsilon, modulus)
            rest = HostQuadratic(half - modulus * np.eye(d), -half @ centre)
            yield HostMixture((soft, rest), np.ones(2))
