"""The kinds of maps that are fitted on the host, cheapest first."""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from brenier.estimators.candidates._trial import Fold, Trial, judged
from brenier.numerics import row_variance
from brenier.potentials.host import (
    HostLogSumExp,
    HostPotential,
    HostQuadratic,
    SoftPieces,
    entropic_offsets,
    fit_separable,
    fit_soft_pieces,
    gaussian_potential,
    median_square,
    sinkhorn_ladder,
    soft_hinges,
    soft_maximum,
)

# ε of the entropic map over the median squared distance, and the shares of ½‖·‖² in its potential.
_EPSILONS, _SHARES, _FIRST_SHARE = (
    (0.32, 0.16, 0.08, 0.04, 0.02, 0.01, 0.005),
    (0.02, 0.05, 0.2, 0.4, 0.7),
    0.1,
)
# Atoms of the entropic map at most, and numbers in the Hessians that its conjugates take.
_ATOMS, _FEWEST_ATOMS, _HESSIAN_WORK = 2000, 100, 2e9
_MEDIAN_OF = 300
# Rungs below the best ε that are looked at.
_PAST_BEST = 2
# Blocks of quantiles of a monotone map.
_BLOCKS = (6, 25, 150)
_SIZES = (4, 8, 16, 32, 64)
# Steps from a start, from pieces that were split, and from the fit of a fold.
_STEPS, _SPLIT_STEPS, _MORE_STEPS = 25, 15, 8
# From so many points on the least number of pieces is not worth its time; each wants so many.
_ENOUGH, _POINTS_A_PIECE, _LEAST_POINTS = 1000, 20, 160
_PARAMETERS_A_POINT = 2
# The least spread of a column, in parts of the largest number.
_LEAST_SPREAD = 1e-9
# Points that pieces are fitted to, at most.
_FITTED = 4000


class AbstractKind(abc.ABC):
    """A family of convex potentials, and how its settings are searched.

    ``nothing`` says why there may be no trial at all, ``doubling`` whether each trial is of the
    family of the one before, doubled: it costs the more and gains the less.
    """

    name: str
    nothing: str = "no finite value on held-out points"
    doubling: bool = False

    @abc.abstractmethod
    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        """Settings tried one after the other, each on all folds."""

    @abc.abstractmethod
    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        """The potential with the settings of a trial on the whole of the points."""


@dataclass(frozen=True, eq=False)
class ReversedKind(AbstractKind):
    """A kind of map from the target to the source, whose inverse is the map.

    Args:
        kind: the kind.
        name: of it and the direction.
    """

    kind: AbstractKind
    name: str

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        for trial in self.kind.trials([fold.reversed() for fold in folds], random):
            yield trial.reversed(self.name)

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        return self.kind.refitted(trial, [fold.reversed() for fold in folds], whole.reversed())


class GaussianKind(AbstractKind):
    """The closed-form map between Gaussians, its covariances shrunk or those of the sample.

    With shrunk ones it is the identity in standard coordinates.
    """

    name = "gaussian"

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        d = folds[0].u.shape[1]
        shrunk = [HostQuadratic.identity(d) for _ in folds]
        yield judged(self.name, {"covariance": "shrunk"}, shrunk, folds)
        fits = [gaussian_potential(fold.u, fold.v, *fold.weights) for fold in folds]
        sample = [fit for fit in fits if fit is not None]
        if len(sample) == len(folds):
            yield judged(self.name, {"covariance": "sample"}, sample, folds)

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        fit = None
        if trial.settings["covariance"] == "sample":
            fit = gaussian_potential(whole.u, whole.v, *whole.weights)
        return fit or HostQuadratic.identity(whole.u.shape[1])


@dataclass(frozen=True, eq=False)
class SeparableKind(AbstractKind):
    """Monotone maps of single coordinates: of the data's own columns, or after the Gaussian map.

    Args:
        columns: the matrix (d, d) from standard coordinates to the data's columns, up to scales.
    """

    columns: np.ndarray
    name = "separable"

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        fewest = max(int(min(count for fold in folds for count in fold.counts)), 1)
        names = ("columns", "standard") if len(self.columns) > 1 else ("columns",)
        for axes in names:
            for blocks in sorted({min(blocks, fewest) for blocks in _BLOCKS}):
                fits = [self._fit(fold, axes, blocks) for fold in folds]
                yield judged(self.name, {"axes": axes, "blocks": blocks}, fits, folds)

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        return self._fit(whole, trial.settings["axes"], trial.settings["blocks"])

    def _fit(self, fold: Fold, axes: str, blocks: int) -> HostPotential:
        u, v, (u_weights, v_weights) = fold.u, fold.v, fold.weights
        if axes == "standard":
            return fit_separable(u, v, np.eye(u.shape[1]), blocks, u_weights, v_weights)
        z, w = u @ self.columns.T, np.linalg.solve(self.columns.T, v.T).T
        # Both sides of one spread, so that slopes are about 1; a column may be constant in a fold.
        spreads = [
            np.maximum(np.sqrt(row_variance(part, own)), _LEAST_SPREAD * np.abs(part).max())
            for part, own in ((w, v_weights), (z, u_weights))
        ]
        scales = np.sqrt(spreads[0] / spreads[1])
        return fit_separable(u, v, scales[:, None] * self.columns, blocks, u_weights, v_weights)


class EntropicKind(AbstractKind):
    """(1 − α) ε log Σ_j b_j exp((⟨x, y_j⟩ + g_j − ½‖y_j‖²)/ε) + (α/2)‖x‖², g from Sinkhorn.

    The quadratic makes φ* finite outside the hull of the y_j, undoes part of the entropic
    shrinkage, and α = 1 is the Gaussian map.
    """

    name = "entropic"
    nothing = "too many dimensions"

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        d = folds[0].u.shape[1]
        held = max(len(fold.v_held) for fold in folds)
        atoms = int(min(_ATOMS, _HESSIAN_WORK / (held * d * d)))
        if atoms < _FEWEST_ATOMS:
            return
        ladders = [_Ladder(fold.first(atoms), _EPSILONS) for fold in folds]
        tried: dict[tuple[int, float], Trial] = {}

        def attempt(rung: int, share: float, near: Trial | None) -> Iterator[Trial]:
            if (rung, share) not in tried and 0 <= rung < len(_EPSILONS):
                settings = {"epsilon": _EPSILONS[rung], "share": share}
                # In single precision, far finer than what so many points can tell of J.
                fits = [ladder.potential(rung, share).astype(np.float32) for ladder in ladders]
                tried[rung, share] = judged(self.name, settings, fits, folds, near)
                yield tried[rung, share]

        def best() -> tuple[int, float]:
            return min(tried, key=lambda key: tried[key].dual)

        last = None
        for rung in range(len(_EPSILONS)):
            yield from attempt(rung, _FIRST_SHARE, last)
            last = tried[rung, _FIRST_SHARE]
            if rung >= best()[0] + _PAST_BEST:
                break
        # The best share at the best ε, then once more the best ε at that share.
        rung, near = best()[0], tried[best()]
        for other in _SHARES:
            yield from attempt(rung, other, near)
        share = best()[1]
        for other in (rung - 1, rung + 1):
            yield from attempt(other, share, near)

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        last = _EPSILONS.index(trial.settings["epsilon"])
        ladder = _Ladder(whole.first(_ATOMS), _EPSILONS[: last + 1])
        return ladder.potential(last, trial.settings["share"])


class _Ladder:
    """Sinkhorn's potentials at falling ε between two clouds."""

    def __init__(self, fold: Fold, ratios: Sequence[float]):
        (own, given), self.v = fold.weights, fold.v
        self.weights = (
            np.full(len(self.v), 1.0 / len(self.v)) if given is None else given / given.sum()
        )
        few = None if given is None else given[:_MEDIAN_OF]
        self.epsilons = median_square(self.v[:_MEDIAN_OF], few) * np.asarray(ratios)
        self._solving = sinkhorn_ladder(fold.u, self.v, self.weights, self.epsilons, own)
        self._solved: list[np.ndarray] = []

    def potential(self, rung: int, share: float) -> HostLogSumExp:
        while len(self._solved) <= rung:  # the smaller ε is, the longer it takes
            self._solved.append(next(self._solving))
        epsilon, rest = self.epsilons[rung], 1.0 - share
        offsets = entropic_offsets(self.v, self.weights, self._solved[rung], epsilon)
        return HostLogSumExp(rest * self.v, rest * offsets, rest * epsilon, share)


class AbstractPieces(AbstractKind):
    """Few soft pieces by Gauss-Newton; more of them as long as that is better."""

    doubling = True
    nothing = "too few points for so many dimensions"

    def trials(self, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Trial]:
        best, d = np.inf, folds[0].v.shape[1]
        fewest = min(min(len(fold.u), len(fold.v), *fold.counts) for fold in folds)
        clouds = [fold.first(_FITTED) for fold in folds]
        different = min(len(np.unique(cloud.v, axis=0)) for cloud in clouds)
        fits: list[SoftPieces] = []
        for size in _SIZES if fewest < _ENOUGH else _SIZES[1:]:
            many = size * _POINTS_A_PIECE > max(fewest, _LEAST_POINTS) and size > _SIZES[0]
            if many or size * (d + 1) > _PARAMETERS_A_POINT * fewest or size > different:
                return
            steps = _SPLIT_STEPS if fits else _STEPS
            starts = [fit.split(random) for fit in fits] or [
                self.start(cloud, size, random) for cloud in clouds
            ]
            fits = [
                fit_soft_pieces(start, cloud.u, cloud.v, steps=steps, weights=cloud.weights)
                for start, cloud in zip(starts, clouds, strict=True)
            ]
            trial = judged(self.name, {"pieces": size}, fits, folds)
            yield trial
            if not trial.dual < best:
                return
            best = trial.dual

    def refitted(self, trial: Trial, folds: Sequence[Fold], whole: Fold) -> HostPotential:
        """From the folds' fits the one that is best on all points: no other optimum is found."""
        few = whole.first(_FITTED).judged_on_itself()
        first = min(trial.potentials, key=lambda fit: judged("", {}, [fit], [few]).dual)
        assert isinstance(first, SoftPieces)
        return fit_soft_pieces(first, few.u, few.v, steps=_MORE_STEPS, weights=few.weights)

    @abc.abstractmethod
    def start(self, fold: Fold, size: int, random: np.random.Generator) -> SoftPieces:
        """Where Gauss-Newton starts."""


class LogSumExpKind(AbstractPieces):
    """One soft maximum: for targets of several modes, and maps that jump."""

    name = "log-sum-exp"

    def start(self, fold: Fold, size: int, random: np.random.Generator) -> SoftPieces:
        return soft_maximum(fold.u, fold.v, size, random, *fold.weights)


class RidgesKind(AbstractPieces):
    """A sum of soft hinges, an ``ICNN`` of one layer: for smooth maps in several dimensions."""

    name = "ridges"

    def start(self, fold: Fold, size: int, random: np.random.Generator) -> SoftPieces:
        return soft_hinges(fold.u, fold.v, size, random, fold.weights[0])
