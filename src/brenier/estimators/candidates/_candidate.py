"""What a candidate for the map is: a way from data to one convex potential."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np

from brenier._progress import ProgressCallback
from brenier._solution import Result
from brenier._types import Key
from brenier.estimators.data import StandardData
from brenier.potentials import AbstractPotential


@dataclass(frozen=True, eq=False)
class Fit:
    """What became of a candidate.

    Args:
        potential: convex, in standard coordinates.
        result: how the fit ended.
        stats: what it measured on the way.
    """

    potential: AbstractPotential
    result: Result
    stats: dict[str, Any]


class AbstractCandidate(eqx.Module):
    """A way to get a convex potential from data in standard coordinates.

    A candidate is frozen configuration. It may look at held-out points to stop, but does not
    compare itself with other candidates: ``select`` does.
    """

    @property
    @abc.abstractmethod
    def precision(self) -> np.dtype:
        """The floating type that it needs its data in."""

    @abc.abstractmethod
    def fit(self, data: StandardData, *, key: Key, callback: ProgressCallback) -> Fit:
        """The potential; where the fit fails or is interrupted, the best one seen."""


def common_precision(candidates: Sequence[AbstractCandidate]) -> np.dtype:
    """The widest type that any of them needs: all are compared on the same numbers."""
    return np.result_type(*(candidate.precision for candidate in candidates))


def fit_all(
    candidates: Sequence[AbstractCandidate],
    data: StandardData,
    *,
    key: Key,
    callback: ProgressCallback,
) -> list[Fit]:
    """One fit a candidate, in their order; an interruption ends the list."""
    fits: list[Fit] = []
    for candidate in candidates:
        fits.append(candidate.fit(data, key=key, callback=callback))
        if fits[-1].result is Result.interrupted:
            break
    return fits
