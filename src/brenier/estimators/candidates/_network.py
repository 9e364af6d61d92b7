"""The most elaborate candidate: an input-convex network, trained by any method of ``flows``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result
from brenier._types import Key
from brenier.estimators.candidates._best_stop import Look, best_stop
from brenier.estimators.candidates._effort import Effort
from brenier.estimators.candidates._kinds import AbstractKind
from brenier.estimators.candidates._record import Record
from brenier.estimators.candidates._trial import Fold, Trial, judged
from brenier.estimators.data import StandardData
from brenier.flows import AbstractMethod, HeldOutDual, solve
from brenier.io import Checkpoint
from brenier.maps import GradientMap
from brenier.measures import Empirical
from brenier.numerics import Coordinates, cast_floats
from brenier.potentials import ICNN, AbstractPotential
from brenier.potentials.host import CompiledPotential, HostMixture, HostPotential, between

# Depth tells more than width: with two layers, of whatever width, errors are two to four times as
# large, from 8,192 points on and in 2 to 64 dimensions.
_WIDTHS = (64, 64, 64, 64)
# How sharply the units bend at the start, over d: in few dimensions they can tell fine details.
_SHARPNESS, _LEAST_SHARPNESS, _MOST_SHARPNESS = 20.0, 2.0, 10.0
# From so many points on details are finer by the root of their number, and half as many pieces do
# if the units are quadratic in x; of fewer points these learn too much.
_PLENTY, _QUADRATIC = 2**15, 0.5
# In the plane more of them than the map has bends cost accuracy.
_PIECES_A_DIMENSION, _FEWEST_PIECES, _MOST_PIECES, _MOST_OF_PLENTY = 16, 32, 128, 64
# Seconds that are worth beginning with, most of which go into compilation.
_LEAST_SECONDS = 60.0
# Looks on the way, and at what is only begun.
_LOOKS, _LOOKS_OF_SECONDS, _LOOKS_OF_BEGUN = 20, 12, 2
# Of the seconds; the rest judges what came of them.
_TRAINING = 0.9
# Points of a fold that tell where to stop.
_STOPPING = 8


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """What became of a network.

    Args:
        potential: convex, in standard coordinates; where the fit failed or was interrupted, the
            best one seen.
        result: how the fit ended.
        stats: what it measured on the way.
    """

    potential: AbstractPotential
    result: Result
    stats: dict[str, Any]


class Network(eqx.Module):
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
        points: int,
        *,
        widths: tuple[int, ...] | None,
        pieces: int | None,
        key: Key,
    ) -> "Network":
        """A random network whose gradient is about the identity, for so many points a side.

        ``widths`` and ``pieces`` None for a default.
        """
        plenty = points > _PLENTY
        if pieces is None:
            most = _MOST_OF_PLENTY if plenty else _MOST_PIECES
            pieces = int(np.clip(_PIECES_A_DIMENSION * dimension, _FEWEST_PIECES, most))
        finer = np.sqrt(points / _PLENTY) if plenty else 1.0
        sharpness = finer * _SHARPNESS / dimension
        initial = ICNN.identity(
            key,
            dimension,
            _WIDTHS if widths is None else widths,
            activation="squareplus",
            pieces=pieces,
            sharpness=float(np.clip(sharpness, _LEAST_SHARPNESS, _MOST_SHARPNESS)),
            quadratic=_QUADRATIC if plenty else 0.0,
        )
        return cls(method, initial)

    @property
    def precision(self) -> np.dtype:
        return np.dtype(np.float32 if self.method.single_precision else np.float64)

    def fit(
        self,
        data: StandardData,
        *,
        key: Key,
        callback: ProgressCallback,
        checkpoint: Checkpoint | None = None,
        seconds: float | None = None,
        begun: bool = False,
    ) -> NetworkFit:
        """The network after its steps, or after what seconds leave of them.

        Only ``begun``, it is the one of the lowest dual, whether or not its images are too large.
        """
        source, target = data.measures
        if self.method.uses_density and not target.has_density:
            target = Empirical(data.v, data.weights[1])
        looks: list[Look] = []
        blocks = _LOOKS if seconds is None else _LOOKS_OF_SECONDS

        def look(progress: Progress) -> None:
            assert isinstance(progress.map, GradientMap)
            looks.append(Look(progress.map.potential, progress.metric))
            callback(progress)

        initial = cast_floats(self.initial, data.u.dtype)
        solution = solve(
            source,
            target,
            method=self.method,
            initial=GradientMap(initial),
            key=key,
            metric=HeldOutDual(data.u_held, data.v_held, *data.held_weights),
            blocks=_LOOKS_OF_BEGUN if begun else blocks,
            seconds=seconds,
            callback=look,
            checkpoint=None if checkpoint is None else _WithLooks(checkpoint, looks, initial),
            throw=False,
        )
        held = data.u_held, data.v_held, *data.held_weights
        kept = None if begun else best_stop(looks, *held)
        if kept is None:
            return NetworkFit(solution.map.potential, solution.result, solution.stats)
        stats = {**solution.stats, "best_metric": kept.dual}
        return NetworkFit(kept.potential, solution.result, stats)


@dataclass(frozen=True, eq=False)
class _WithLooks:
    """Keeps the looks on the way of a training beside the driver's own state.

    Args:
        checkpoint: where.
        looks: so far, one a block of steps; what was kept is put back there.
        initial: a potential of their shape.
    """

    checkpoint: Checkpoint
    looks: list[Look]
    initial: AbstractPotential

    @property
    def every(self) -> int:
        return self.checkpoint.every

    def save(self, state: Any) -> None:
        done = int(state.blocks)
        if len(self.looks) < done:  # Ctrl-C came between a block and the look at it
            return
        looks = self.looks[:done]
        kept = [look.potential for look in looks]
        kept += [self.initial] * (self._most(state) - done)
        duals = np.full(self._most(state), np.nan)
        duals[:done] = [look.dual for look in looks]
        self.checkpoint.save((state, kept, duals))

    def load(self, template: Any) -> Any | None:
        most = self._most(template)
        stored = self.checkpoint.load((template, [self.initial] * most, np.full(most, np.nan)))
        if stored is None:
            return None
        state, kept, duals = stored
        done = int(state.blocks)
        self.looks[:] = [
            Look(potential, float(dual))
            for potential, dual in zip(kept[:done], duals[:done], strict=True)
        ]
        return state

    def _most(self, state: Any) -> int:
        """Looks that there may be: the history of the metric begins with the start's."""
        return len(state.history) - 1


@dataclass(frozen=True, eq=False)
class NetworkKind(AbstractKind):
    """A network among the kinds that are chosen from.

    It is trained once a fold, and not once more on all points: what is used is the mean of the
    folds' potentials, each of which was stopped by points that it had not seen.

    Args:
        network: what is trained.
        coordinates: of all points.
        key: of the training.
        callback: told of each block of steps.
        effort: the seconds that are left are shared among the folds.
        standard: the data, where they are many and the one fold is of them: it is then stopped by
            what is held out.
        record: where the training is kept.
        way: in the names of its files there.
        share: of the seconds that are left, what may be spent; below 1 the network is only begun.
    """

    network: Network
    coordinates: Coordinates
    key: Key
    callback: ProgressCallback
    effort: Effort
    standard: StandardData | None = None
    record: Record | None = None
    way: str = "there"
    share: float = 1.0
    name = "network"
    nothing = "less than a minute was left"

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        if self.effort.left < _LEAST_SECONDS:
            return
        fits = []
        until = self.effort.left * (1.0 - self.share * _TRAINING)
        for k, (fold, key) in enumerate(
            zip(folds, jax.random.split(self.key, len(folds)), strict=True)
        ):
            data = self.standard or _cut(fold, random, self.network.precision)
            own = self.key if self.standard is not None else key
            seconds = (self.effort.left - until) / (len(folds) - k)
            training = None if self.record is None else self.record.training(f"{self.way}-{k}")
            fit = self.network.fit(
                data,
                key=own,
                callback=self.callback,
                checkpoint=training,
                seconds=max(seconds, 1.0) if np.isfinite(seconds) else None,
                begun=self.share < 1.0,
            )
            if fit.result is Result.interrupted:
                raise KeyboardInterrupt
            fits.append(CompiledPotential(fit.potential, self.network.precision))
            steps = fit.stats["steps"]
        yield judged(self.name, {"steps": steps}, fits, folds)

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        if self.standard is not None:
            return trial.potentials[0]
        parts = []
        for fit, fold in zip(trial.potentials, folds, strict=True):
            assert isinstance(fit, CompiledPotential)
            moved = between(fit.potential, fold.coordinates, self.coordinates)
            parts.append(CompiledPotential(moved, fit.dtype))
        return HostMixture(tuple(parts), np.full(len(parts), 1.0 / len(parts)))


def _cut(fold: Fold, random: np.random.Generator, precision: np.dtype) -> StandardData:
    """The points of a fold, an eighth of which tells where to stop."""
    sides, masses = [], []
    for points, weights in zip((fold.u, fold.v), fold.weights, strict=True):
        rows = random.permutation(len(points))
        shuffled = jnp.asarray(points[rows], precision)
        held = max(len(points) // _STOPPING, 1)
        sides.append((shuffled[held:], shuffled[:held]))
        own = None if weights is None else weights[rows]
        masses.append((None, None) if own is None else (own[held:], own[:held]))
    (u, u_held), (v, v_held) = sides
    (a, a_held), (b, b_held) = masses
    return StandardData(u, v, u_held, v_held, (None, None), (a, b), (a_held, b_held))
