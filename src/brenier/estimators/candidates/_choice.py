"""The choice among candidates: by cross-validation of the semi-dual, and by stacking."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result
from brenier.estimators.candidates._compiled import compiled
from brenier.estimators.candidates._effort import Effort
from brenier.estimators.candidates._kinds import AbstractKind, GaussianKind
from brenier.estimators.candidates._table import CandidateRow, CandidateTable
from brenier.estimators.candidates._trial import Fold, Trial, judged
from brenier.estimators.host import HostMixture, HostPotential, stacking_weights
from brenier.potentials import AbstractPotential

# Duals that differ by less are equal.
_TIE = 1e-9
# Held-out points a side that weights of a combination are found on.
_STACKED = 2048


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
        u, v: all points (n, d), (m, d), in standard coordinates of their own.
        random: where the fits start.
        tell: of progress; one step a kind.
    """

    folds: Sequence[Fold]
    u: np.ndarray
    v: np.ndarray
    random: np.random.Generator
    tell: ProgressCallback
    _kept: list[_Kept] = field(default_factory=list)

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
        try:
            for step, kind in enumerate(kinds):
                if self._kept and effort.spent:
                    break
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

    def _try(self, kind: AbstractKind, effort: Effort) -> None:
        kept = _Kept(kind)
        self._kept.append(kept)
        began = time.perf_counter()
        try:
            for trial in kind.trials(self.folds, self.random):
                # Ties go to what came first, the simpler one; rounding decides none.
                bar = np.inf if kept.best is None else kept.best.dual - _TIE
                if trial.dual < bar:
                    kept.best = trial
                if effort.spent:
                    break
            if kept.best is None:
                kept.error = kind.nothing
        except (np.linalg.LinAlgError, FloatingPointError, ValueError) as error:
            kept.error = str(error)
        finally:
            kept.seconds = time.perf_counter() - began

    def _combined(self) -> tuple[Trial, np.ndarray, float] | None:
        """A combination of the best of each kind: its trial, weights and seconds."""
        trials = [best for _, best in self._found if not best.reverse]
        if len(trials) < 2:
            return None
        began = time.perf_counter()
        weights = stacking_weights(
            [[trial.potentials[k] for trial in trials] for k in range(len(self.folds))],
            [(fold.u_held[:_STACKED], fold.v_held[:_STACKED]) for fold in self.folds],
        )
        if np.count_nonzero(weights) < 2:
            return None
        mixtures = [
            HostMixture(*_without_zeros([trial.potentials[k] for trial in trials], weights))
            for k in range(len(self.folds))
        ]
        parts = {t.kind: float(w) for t, w in zip(trials, weights, strict=True) if w > 0}
        nearest = min(trials, key=lambda trial: trial.dual)
        trial = judged("combination", parts, mixtures, self.folds, nearest)
        if not trial.dual < min(best.dual for _, best in self._found):
            return None
        return trial, weights, time.perf_counter() - began

    def _chosen(
        self, combination: tuple[Trial, np.ndarray, float] | None, result: Result
    ) -> Choice:
        found = self._found
        if not found:
            errors = "; ".join(f"{kept.kind.name}: {kept.error}" for kept in self._kept)
            if result is Result.interrupted:
                raise KeyboardInterrupt
            raise ValueError(f"X: no kind of map could be fitted ({errors}).")
        winner = min((best for _, best in found), key=lambda trial: trial.dual)
        affine = self._affine()
        if affine is not None and self._tied(
            affine, winner if combination is None else combination[0]
        ):
            winner, combination = affine, None
        if combination is None:
            parts, weights = [pair for pair in found if pair[1] is winner], np.ones(1)
        else:
            winner, weights, _ = combination
            forward = [pair for pair in found if not pair[1].reverse]
            parts = [pair for pair, w in zip(forward, weights, strict=True) if w > 0]
            weights = weights[weights > 0]
        fits = [kept.kind.refitted(best, self.folds, self.u, self.v) for kept, best in parts]
        potential = compiled(HostMixture(tuple(fits), weights))
        table = self._table(winner, combination)
        return Choice(potential, table, result, self._stats(winner), winner.reverse)

    def _table(
        self, winner: Trial, combination: tuple[Trial, np.ndarray, float] | None
    ) -> CandidateTable:
        rows = [
            CandidateRow(
                kept.kind.name,
                {} if kept.best is None else dict(kept.best.settings),
                np.nan if kept.best is None else kept.best.dual,
                np.nan if kept.best is None else kept.best.stderr_beside(winner),
                kept.seconds,
                kept.best is winner,
                kept.error,
            )
            for kept in self._kept
        ]
        if combination is not None:
            trial, _, seconds = combination
            rows.append(
                CandidateRow(trial.kind, dict(trial.settings), trial.dual, 0.0, seconds, True)
            )
        return CandidateTable(tuple(rows))

    def _stats(self, winner: Trial) -> dict[str, Any]:
        stats: dict[str, Any] = {"kind": winner.kind, "dual": winner.dual}
        affine = self._affine()
        if affine is not None:
            stats["gain"] = affine.dual - winner.dual
            stats["gain_stderr"] = affine.stderr_beside(winner)
        return stats

    @property
    def _found(self) -> list[tuple[_Kept, Trial]]:
        """The kinds that gave something, and their best."""
        return [(kept, kept.best) for kept in self._kept if kept.best is not None]

    def _affine(self) -> Trial | None:
        """The trial of the Gaussian map, where it was tried."""
        return next((k.best for k in self._kept if isinstance(k.kind, GaussianKind)), None)

    @staticmethod
    def _tied(affine: Trial, other: Trial) -> bool:
        """Whether another map is better than the affine one by less than a standard error.

        Its settings were chosen by the same points, so by chance it is as much better as that.
        """
        return affine.dual - other.dual < affine.stderr_beside(other)


def _without_zeros(
    potentials: Sequence[HostPotential], weights: np.ndarray
) -> tuple[tuple[HostPotential, ...], np.ndarray]:
    used = weights > 0
    return tuple(phi for phi, use in zip(potentials, used, strict=True) if use), weights[used]
