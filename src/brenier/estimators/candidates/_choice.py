"""The choice among candidates: by cross-validation of the semi-dual, and by stacking."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.cluster.vq import ClusterError
from threadpoolctl import threadpool_limits

from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result
from brenier.estimators.candidates._combination import CombinationKind
from brenier.estimators.candidates._direction import nearer
from brenier.estimators.candidates._effort import Effort
from brenier.estimators.candidates._kinds import AbstractKind, GaussianKind
from brenier.estimators.candidates._record import Record, Tried
from brenier.estimators.candidates._table import CandidateRow, CandidateTable
from brenier.estimators.candidates._trial import Fold, Trial
from brenier.potentials import AbstractPotential
from brenier.potentials.host import compiled

# Duals that differ by less are equal.
_TIE = 1e-9
# Families that double are given up where so many times the last gain would not make them the best.
_HOPE = 3.0
# Shares of a map below this are left out.
_NO_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Choice:
    """The map that was chosen, and what from.

    Args:
        potential: convex, in standard coordinates.
        reverse: whether it is of the way back, from the target to the source.
        table: the candidates.
        result: whether it was interrupted.
        stats: what the choice measured.
    """

    potential: AbstractPotential
    table: CandidateTable
    result: Result
    stats: dict[str, Any]
    reverse: bool = False


@dataclass(eq=False)
class _Kept:
    """A kind's best trial so far, or why there is none."""

    kind: AbstractKind
    best: Trial | None = None
    seconds: float = 0.0
    error: str = ""


@dataclass(eq=False)
class Chooser:
    """Tries kinds of maps one after the other on the same folds, and keeps the best.

    Args:
        folds: of the data; none where they are too few to hold any out.
        whole: all points, in standard coordinates of their own.
        random: where the fits start.
        tell: of progress; one step a kind.
        record: where what was tried is kept, and taken up again; None for nowhere.
    """

    folds: Sequence[Fold]
    whole: Fold
    random: np.random.Generator
    tell: ProgressCallback
    record: Record | None = None
    _kept: list[_Kept] = field(default_factory=list)
    _untried: tuple[str, ...] = ()

    def choose(self, kinds: Sequence[AbstractKind], effort: Effort) -> Choice:
        """The kind of the lowest held-out dual, or a combination that is lower.

        A kind that fails is named with its error; an interruption, or seconds that are spent, end
        the trials, and the best so far is the answer.

        Raises:
            ValueError: every kind failed.
        """
        with threadpool_limits(1):  # products this small take longer on many cores than on one
            return self._choose(kinds, effort)

    def _choose(self, kinds: Sequence[AbstractKind], effort: Effort) -> Choice:
        started, result = time.perf_counter(), Result.successful
        self._untried = tuple(kind.name for kind in kinds)
        try:
            for step, kind in enumerate(kinds):
                known = self._taken_up(kind)
                if self._kept and effort.spent and not known:
                    break
                self._untried = self._untried[1:]
                if not known:
                    self._try(kind, effort)
                duals = [kept.best.dual for kept in self._kept if kept.best is not None]
                self.tell(
                    Progress(
                        step + 1,
                        len(kinds),
                        kind.name,
                        duals[-1] if duals else np.nan,
                        min(duals, default=np.nan),
                        time.perf_counter() - started,
                    )
                )
            combination = None if effort.spent else self._combined()
        except KeyboardInterrupt:
            result, combination = Result.interrupted, None
        return self._chosen(combination, result)

    def _taken_up(self, kind: AbstractKind) -> bool:
        """Whether a kind was tried before the fit was interrupted: nothing is then left to do."""
        tried = None if self.record is None else self.record.tried.get(kind.name)
        if tried is None:
            return False
        self._kept.append(_Kept(kind, tried.best, tried.seconds, tried.error))
        self.random.bit_generator.state = tried.random
        return True

    def _try(self, kind: AbstractKind, effort: Effort) -> None:
        kept = _Kept(kind)
        self._kept.append(kept)
        began = time.perf_counter()
        try:
            others = min((best.dual for _, best in self._found), default=np.inf)
            for trial in kind.trials(self.folds, self.random):
                # Ties go to what came first, the simpler one; rounding decides none.
                before = np.inf if kept.best is None else kept.best.dual
                if trial.dual < before - _TIE:
                    kept.best = trial
                behind = kind.doubling and trial.dual - _HOPE * (before - trial.dual) > others
                if behind or effort.spent:
                    break
            if kept.best is None:
                kept.error = kind.nothing
        except (np.linalg.LinAlgError, ClusterError, FloatingPointError, ValueError) as error:
            kept.error = str(error)
        finally:
            kept.seconds = time.perf_counter() - began
        if self.record is not None and not effort.spent:  # else it was cut short
            state = dict(self.random.bit_generator.state)
            self.record.add(kind.name, Tried(kept.best, kept.seconds, kept.error, state))

    def _combined(self) -> tuple[_Kept, Trial] | None:
        """A combination of the best of each kind, where it is better than all of them."""
        began, kind = time.perf_counter(), self._combination()
        trial = next(kind.trials(self.folds, self.random), None)
        if trial is None or not trial.dual < min(best.dual for _, best in self._found):
            return None
        return _Kept(kind, trial, time.perf_counter() - began), trial

    def _chosen(self, combination: tuple[_Kept, Trial] | None, result: Result) -> Choice:
        if not self._found:
            errors = "; ".join(f"{kept.kind.name}: {kept.error}" for kept in self._kept)
            if result is Result.interrupted:
                raise KeyboardInterrupt
            raise ValueError(f"X: no kind of map could be fitted ({errors}).")
        kept, winner = combination or min(self._found, key=lambda pair: pair[1].dual)
        kept, winner = self._held_back(*self._nearer(kept, winner))
        if kept not in self._kept:
            self._kept.append(kept)
        fit = kept.kind.refitted(winner, self.folds, self.whole)
        table, stats = self._table(winner), self._stats(winner)
        return Choice(compiled(fit), table, result, stats, winner.reverse)

    def _nearer(self, kept: _Kept, winner: Trial) -> tuple[_Kept, Trial]:
        """The winner, or the best of the other direction where that is nearer to the Monge map."""
        others = [pair for pair in self._found if pair[1].reverse is not winner.reverse]
        if not others:
            return kept, winner
        rival = min(others, key=lambda pair: pair[1].dual)
        return rival if nearer(winner, rival[1], self.folds) is rival[1] else (kept, winner)

    def _held_back(self, kept: _Kept, winner: Trial) -> tuple[_Kept, Trial]:
        """The winner, held towards the affine map by as much as its gain over that is in doubt.

        Settings and weights were chosen by the same points, so by chance it is better by about a
        standard error s of the gain g. It keeps the share 1 − s²/(2g²) of itself, none below 0
        (the positive part of James and Stein's estimate, with half of their factor).
        """
        affine = self._affine()
        if affine is None or winner is affine[1]:
            return kept, winner
        gain, stderr = affine[1].dual - winner.dual, affine[1].stderr_beside(winner)
        share = 1.0 - 0.5 * (stderr / gain) ** 2
        if share <= _NO_SHARE:
            return affine
        if share >= 1.0 - _NO_SHARE or winner.reverse:  # the way back is no sum with the way there
            return kept, winner
        began, kind = time.perf_counter(), self._combination()
        own = winner.settings if isinstance(kept.kind, CombinationKind) else {winner.kind: 1.0}
        weights = {name: share * weight for name, weight in own.items()}
        weights[affine[1].kind] = weights.get(affine[1].kind, 0.0) + 1.0 - share
        trial = kind.weighted(weights, self.folds)
        return _Kept(kind, trial, kept.seconds + time.perf_counter() - began), trial

    def _combination(self) -> CombinationKind:
        """Of the best of each kind that goes the same way."""
        return CombinationKind([(kept.kind, t) for kept, t in self._found if not t.reverse])

    def _table(self, winner: Trial) -> CandidateTable:
        rows = [
            CandidateRow(
                kept.kind.name if kept.best is None else kept.best.kind,
                {} if kept.best is None else dict(kept.best.settings),
                np.nan if kept.best is None else kept.best.dual,
                np.nan if kept.best is None else kept.best.stderr_beside(winner),
                kept.seconds,
                kept.best is winner,
                kept.error,
            )
            for kept in self._kept
        ]
        return CandidateTable(tuple(rows), self._untried)

    def _stats(self, winner: Trial) -> dict[str, Any]:
        stats: dict[str, Any] = {"kind": winner.kind, "dual": winner.dual}
        affine = self._affine()
        if affine is not None:
            stats["gain"] = affine[1].dual - winner.dual
            stats["gain_stderr"] = affine[1].stderr_beside(winner)
        return stats

    @property
    def _found(self) -> list[tuple[_Kept, Trial]]:
        """The kinds that gave something, and their best."""
        return [(kept, kept.best) for kept in self._kept if kept.best is not None]

    def _affine(self) -> tuple[_Kept, Trial] | None:
        """The Gaussian map, where it was tried."""
        return next((pair for pair in self._found if isinstance(pair[0].kind, GaussianKind)), None)
