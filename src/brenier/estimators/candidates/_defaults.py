"""Which kinds of maps are worth a trial for the data at hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from brenier.estimators.candidates._effort import Effort
from brenier.estimators.candidates._kinds import (
    AbstractKind,
    EntropicKind,
    GaussianKind,
    LogSumExpKind,
    ReversedKind,
    RidgesKind,
    SeparableKind,
)
from brenier.estimators.candidates._table import REVERSED
from brenier.estimators.data import FEW
from brenier.numerics import Coordinates

if TYPE_CHECKING:
    from brenier.flows import AbstractMethod

KINDS = ("gaussian", "separable", "entropic", "log-sum-exp", "ridges", "network")
# Kinds that are tried in seconds, however many the points.
QUICK = (GaussianKind, SeparableKind, EntropicKind)
# Efforts that look at maps of the way back too.
PATIENT = ("best", "seconds")
# The share of a network's work that tells which way is learned better, where there are so many
# seconds for it: of fewer too large a part goes into compilation.
BEGUN, WORTH_BOTH = 0.125, 200.0
# Points a side from which on a network is better than what is fitted on the host, by default.
MANY = 4000
# Below this many points a side none can be spared for a comparison.
_FEWEST = 12
# Folds for so many points a side; beyond, one split with a quarter held out.
_FOLDS, _SPLIT = ((100, 5), (1500, 3)), 4
# Steps for each point of the smaller cloud: few points are learned by heart in many steps.
# For the best of them so many times the most.
_STEPS_A_POINT, _FEWEST_STEPS, _MOST_STEPS, _PATIENCE = 0.25, 1000, 5000, 3
# Points a step: half of them where there are few, so that a step is not the same each time.
_BATCH, _LEAST_BATCH = 1024, 64
# The rate over 1/d: more is unstable in many dimensions, and no faster in few.
_RATE, _LEAST_RATE, _MOST_RATE = 2.5, 0.02, 0.07
# Coordinates a step, at most: past 128 dimensions a step costs no more than there.
_BATCH_FLOATS = 2**17


def checked_names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """The kinds that a user wants tried, in their order of cost.

    Raises:
        ValueError: a name that is none, or no name.
    """
    if names is None:
        return None
    known = isinstance(names, Sequence) and not isinstance(names, str)
    if not known or not names or not set(names) <= set(KINDS):
        raise ValueError(
            f"candidates: got {names!r}; wants some of {list(KINDS)}, as ['gaussian', 'entropic']."
        )
    return tuple(name for name in KINDS if name in names)


def host_kinds(
    coordinates: Coordinates, names: tuple[str, ...] | None, both_ways: bool
) -> list[AbstractKind]:
    """The kinds that are fitted on the host, simplest first; of these names, where given.

    Both ways, also in the other direction, where that is another family.
    """
    columns = np.linalg.inv(np.asarray(coordinates.matrix))
    kinds = [GaussianKind(), SeparableKind(columns), EntropicKind(), LogSumExpKind(), RidgesKind()]
    kinds = [kind for kind in kinds if names is None or kind.name in names]
    if not both_ways:
        return kinds
    back = [kind for kind in kinds if isinstance(kind, EntropicKind | LogSumExpKind | RidgesKind)]
    return kinds + [ReversedKind(kind, kind.name + REVERSED) for kind in back]


def wants_network(effort: Effort, names: tuple[str, ...] | None, points: int) -> bool:
    """Whether a network is trained: by name, for the best, or by default where points are many.

    Not of a few points, of which none are held out. Where seconds are counted it comes last, and is
    trained where any are left.
    """
    if names is not None:
        return "network" in names
    if effort.name == "auto":
        return points > MANY
    return effort.name in PATIENT and points >= FEW


def fold_counts(points: int) -> tuple[int, int]:
    """How many folds are fitted, and of how many parts; (0, 0) where none can be held out.

    >>> fold_counts(300), fold_counts(3000), fold_counts(5)
    ((3, 3), (1, 4), (0, 0))
    """
    if points < _FEWEST:
        return 0, 0
    for most, folds in _FOLDS:
        if points < most:
            return folds, folds
    return 1, _SPLIT


def default_method(
    has_density: bool, points: int, dimension: int, effort: Effort, share: float = 1.0
) -> "AbstractMethod":
    """The method for a target with a density, or for so many points a side.

    Of its steps for the points, this share.
    """
    from brenier.flows import ConstrainedDrift, SemiDual

    if has_density:
        return ConstrainedDrift(step_size=0.4, final_step_size=0.05, steps=40, particles=512)
    most = _MOST_STEPS * (_PATIENCE if effort.name == "best" else 1)
    steps = int(share * np.clip(_STEPS_A_POINT * points, _FEWEST_STEPS, most))
    most = max(_LEAST_BATCH, min(_BATCH, _BATCH_FLOATS // dimension))
    batch = int(np.clip(points // 2, _LEAST_BATCH, most))
    rate = float(np.clip(_RATE / dimension, _LEAST_RATE, _MOST_RATE))
    return SemiDual(steps=steps, batch=batch, learning_rate=rate)
