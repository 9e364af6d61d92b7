"""The candidate that bends: an input-convex network, trained by any method of ``flows``."""

import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._types import Key
from brenier.estimators.candidates._candidate import AbstractCandidate, Fit
from brenier.estimators.candidates._selection import Look, best_stop
from brenier.estimators.data import StandardData
from brenier.flows import AbstractMethod, HeldOutDual, solve
from brenier.maps import GradientMap
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import cast_floats
from brenier.potentials import ICNN

# How sharply the units bend at the start, over d: in few dimensions they can tell fine details.
_SHARPNESS, _LEAST_SHARPNESS, _MOST_SHARPNESS = 20.0, 2.0, 10.0
# In the plane more of them than the map has bends cost accuracy.
_PIECES_A_DIMENSION, _FEWEST_PIECES, _MOST_PIECES = 16, 32, 128


class NetworkCandidate(AbstractCandidate):
    """A network that starts as the Gaussian map and that a method evolves from there.

    Of the maps on the way ``best_stop`` keeps one, by points held out.

    Args:
        method: what evolves the potential; it says itself which precision it needs and whether it
            follows a target's density or wants its points.
        initial: the network, near ½‖·‖².
    """

    method: AbstractMethod
    initial: ICNN

    @classmethod
    def near_identity(
        cls,
        method: AbstractMethod,
        dimension: int,
        *,
        widths: tuple[int, ...],
        pieces: int | None,
        key: Key,
    ) -> "NetworkCandidate":
        """A random network whose gradient is about the identity; ``pieces`` None for a default."""
        if pieces is None:
            pieces = int(np.clip(_PIECES_A_DIMENSION * dimension, _FEWEST_PIECES, _MOST_PIECES))
        sharpness = float(np.clip(_SHARPNESS / dimension, _LEAST_SHARPNESS, _MOST_SHARPNESS))
        initial = ICNN.identity(
            key, dimension, widths, activation="squareplus", pieces=pieces, sharpness=sharpness
        )
        return cls(method, initial)

    @property
    def precision(self) -> np.dtype:
        return np.dtype(np.float32 if self.method.single_precision else np.float64)

    def fit(self, data: StandardData, *, key: Key, callback: ProgressCallback) -> Fit:
        target: AbstractMeasure = Empirical(data.v)
        if data.density is not None and self.method.uses_density:
            target = data.density
        looks: list[Look] = []

        def look(progress: Progress) -> None:
            assert isinstance(progress.map, GradientMap)
            looks.append(Look(progress.map.potential, progress.metric))
            callback(progress)

        solution = solve(
            Empirical(data.u),
            target,
            method=self.method,
            initial=GradientMap(cast_floats(self.initial, data.u.dtype)),
            key=key,
            metric=HeldOutDual(data.u_held, data.v_held),
            callback=look,
            throw=False,
        )
        kept = best_stop(looks, data.u_held, data.v_held)
        if kept is None:
            return Fit(solution.map.potential, solution.result, solution.stats)
        stats = {**solution.stats, "best_metric": kept.dual}
        return Fit(kept.potential, solution.result, stats)
