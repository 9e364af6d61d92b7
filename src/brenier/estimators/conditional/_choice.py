"""How much of each part a conditional potential is, by rows and by conditions held out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.estimators.candidates import CandidateTable
from brenier.estimators.conditional._parts import Learner, blended, gaussian_of
from brenier.estimators.conditional._sides import Sides
from brenier.potentials import (
    AbstractConditionalPotential,
    AbstractPotential,
    ConditionalMixture,
)
from brenier.potentials.host import CompiledPotential, host_conjugates, stacking_weights

PARTS = ("pooled", "gaussian", "shared", "own")
# Kinds that tell, in a second, how much of each part there is; all are tried once that is known.
_QUICK = ("gaussian", "separable")
# Conditions are left out in so many groups at most, and potentials of so many are blended.
_GROUPS, _MOST_OWN = 5, 32
# Points of a side that tell, at most, of each condition.
_TOLD = 500


@dataclass(frozen=True)
class ConditionalRow:
    """One part, or the mixture of all: J on what was held out, and its weights.

    Attributes:
        name: of the part.
        rows: mean J over conditions, on rows held out; NaN where none were.
        conditions: mean J over conditions that were left out; NaN where none were.
        weight: in the map of conditions that were seen.
        weight_unseen: in that of others.

    >>> ConditionalRow("pooled", 1.0, 1.1, 0.3, 1.0).weight
    0.3
    """

    name: str
    rows: float
    conditions: float
    weight: float
    weight_unseen: float


@dataclass(frozen=True)
class ConditionalTable:
    """What a conditional map was mixed from.

    Attributes:
        parts: a row each, "mixture" the last.
        shared: the candidates of what the Gaussian maps leave, where that was learned.
        pooled: those of the map without conditions.

    >>> print(ConditionalTable((ConditionalRow("gaussian", 1.0, 1.25, 1.0, 1.0),)))
    part      J, rows held out  J, conditions left out  weight  of new conditions
    gaussian            1.0000                  1.2500    100%               100%
    """

    parts: tuple[ConditionalRow, ...]
    shared: CandidateTable | None = None
    pooled: CandidateTable | None = None

    def __str__(self) -> str:
        head = ("part", "J, rows held out", "J, conditions left out", "weight", "of new conditions")
        lines = [head] + [
            (
                row.name,
                f"{row.rows:.4f}",
                f"{row.conditions:.4f}",
                f"{row.weight:.0%}",
                f"{row.weight_unseen:.0%}",
            )
            for row in self.parts
        ]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        return "\n".join(
            "  ".join(
                word.rjust(width) if i else word.ljust(width)
                for i, (word, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def to_list(self) -> list[dict[str, Any]]:
        """The rows as plain dictionaries."""
        return [dict(vars(row)) for row in self.parts]


@dataclass(frozen=True, eq=False)
class _Held:
    """Potentials of one condition, learned without what was held out of it, and that."""

    potentials: list[CompiledPotential]
    points: tuple[np.ndarray, np.ndarray]

    def duals(self) -> list[float]:
        u, v = self.points
        return [
            float(phi.value(u).mean() + host_conjugates(phi, v).values.mean())
            for phi in self.potentials
        ]


def choose(
    sides: Sides, learner: Learner, tell: ProgressCallback
) -> tuple[AbstractConditionalPotential, ConditionalTable]:
    """The mixture of parts of least J on what is held out: of rows, and of conditions."""
    random = np.random.default_rng(learner.seed)
    quick = replace(learner, names=_QUICK, tell=lambda now: None)
    learn, held = sides.split(random)
    groups = _groups(sides, random)
    steps = len(groups) + 2
    tell(Progress(0, steps, "rows held out"))
    rows = _held(_fitted(learn, quick), held, learn)
    conditions: list[_Held] = []
    own = quick.own(sides, gaussian_of(sides)) if groups and len(sides) <= _MOST_OWN else None
    for step, group in enumerate(groups):
        tell(Progress(step + 1, steps, "conditions left out"))
        rest = sides.without(group)
        kept = np.setdiff1d(np.arange(len(sides)), group)
        given = None if own is None else [own[k] for k in kept]
        conditions += _held(_fitted(rest, quick, given), sides, rest, group)
    weights = _weights(sides, rows, conditions)
    tell(Progress(steps - 1, steps, "all points"))
    parts, shared, pooled = _final(sides, learner, weights)
    table = ConditionalTable(_rows(weights, rows, conditions), shared, pooled)
    used = np.flatnonzero(weights.any(axis=0))
    potential = ConditionalMixture(
        [parts[PARTS[i]] for i in used], jnp.asarray(weights[:, used]), jnp.asarray(sides.codes)
    )
    return potential, table


def _groups(sides: Sides, random: np.random.Generator) -> list[list[int]]:
    """Conditions that are left out together; of numbers alone none that the others do not span."""
    every = np.arange(len(sides))
    if not any(sides.layout) and len(sides) > 3:
        inside = (sides.codes > sides.codes.min(axis=0)) & (sides.codes < sides.codes.max(axis=0))
        every = np.flatnonzero(inside.all(axis=1))
    if len(sides) < 3 or not len(every):
        return []
    mixed = random.permutation(every)
    return [mixed[i::_GROUPS].tolist() for i in range(min(_GROUPS, len(mixed)))]


def _fitted(
    sides: Sides, quick: Learner, own: Sequence[AbstractPotential] | None = None
) -> list[AbstractConditionalPotential]:
    """Every part, learned from these rows."""
    gaussian = gaussian_of(sides)
    shared, _ = quick.shared(sides, gaussian)
    if own is None and len(sides) <= _MOST_OWN:
        own = quick.own(sides, gaussian)
    mixed = shared if own is None else blended(gaussian, own, sides)
    return [quick.pooled(sides)[0], gaussian, shared, mixed]


def _held(
    parts: Sequence[AbstractConditionalPotential],
    sides: Sides,
    learned: Sides,
    conditions: Sequence[int] | None = None,
) -> list[_Held]:
    """What is held out, condition by condition, with the potentials there."""
    found = []
    for k in range(len(sides)) if conditions is None else conditions:
        u, v = (points[:_TOLD] for points in sides.points(k))
        if len(u) and len(v):
            own = [CompiledPotential(p.at(sides.codes[k]), np.dtype(np.float64)) for p in parts]
            found.append(_Held(own, (u, v)))
    return found


def _weights(sides: Sides, rows: Sequence[_Held], conditions: Sequence[_Held]) -> np.ndarray:
    """(2, parts): of conditions that were seen, and of others."""
    gaussian = np.array([float(name == "gaussian") for name in PARTS])
    seen = _stacked(rows, gaussian)
    unseen = _stacked(conditions, seen)
    if not any(sides.layout):  # numbers: between two that were seen lies what was not
        unseen = seen = _stacked([*rows, *conditions], gaussian)
    return np.stack([seen, unseen])


def _stacked(held: Sequence[_Held], otherwise: np.ndarray) -> np.ndarray:
    if not held:
        return otherwise
    own = stacking_weights([h.potentials for h in held], [h.points for h in held])
    return own if np.isfinite(own).all() else otherwise


def _final(
    sides: Sides, learner: Learner, weights: np.ndarray
) -> tuple[dict[str, AbstractConditionalPotential], CandidateTable | None, CandidateTable | None]:
    """The parts that have a weight, learned from all rows, all kinds tried."""
    used = {name for name, column in zip(PARTS, weights.T, strict=True) if column.any()}
    gaussian = gaussian_of(sides)
    parts: dict[str, AbstractConditionalPotential] = {"gaussian": gaussian}
    shared = pooled = None
    if "pooled" in used:
        parts["pooled"], pooled = learner.pooled(sides)
    if "shared" in used or ("own" in used and len(sides) > _MOST_OWN):
        parts["shared"], shared = learner.shared(sides, gaussian)
    if "own" in used:
        few = len(sides) <= _MOST_OWN
        parts["own"] = (
            blended(gaussian, learner.own(sides, gaussian), sides) if few else parts["shared"]
        )
    return parts, shared, pooled


def _rows(
    weights: np.ndarray, rows: Sequence[_Held], conditions: Sequence[_Held]
) -> tuple[ConditionalRow, ...]:
    columns = []
    for held in (rows, conditions):
        duals = np.array([one.duals() for one in held]).reshape(-1, len(PARTS))
        columns.append(duals.mean(axis=0) if len(duals) else np.full(len(PARTS), np.nan))
    return tuple(
        ConditionalRow(name, float(a), float(b), float(w), float(z))
        for name, a, b, w, z in zip(PARTS, *columns, *weights, strict=True)
    )
