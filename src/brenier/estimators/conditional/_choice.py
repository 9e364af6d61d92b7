"""How much of each part a conditional potential is, by rows and by conditions held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._types import RowWeights
from brenier.estimators.candidates import CandidateTable
from brenier.estimators.conditional._gaussian_part import gaussian_part
from brenier.estimators.conditional._parts import Learner, blended
from brenier.estimators.conditional._sides import Sides
from brenier.numerics import row_mean
from brenier.potentials import AbstractConditionalPotential, AbstractPotential, ConditionalMixture
from brenier.potentials.host import (
    HostMixture,
    HostPotential,
    host_conjugates,
    on_host,
    stacking_weights,
)

PARTS = ("pooled", "gaussian", "shared", "own", "network")
# Kinds that tell, in a second, how much of each part there is; all are tried once that is known.
_QUICK = ("gaussian", "separable")
# Conditions are left out in so many groups at most, and potentials of so many are blended.
_GROUPS, _MOST_OWN = 4, 32
# Points of a side that tell, at most, of each condition.
_TOLD = 250
# Of the seconds that are left, what a network on trial takes, and the one of all points.
_TRIAL, _WHOLE = 0.45, 0.85


@dataclass(frozen=True)
class ConditionalRow:
    """One part: J on what was held out, and its weights.

    Attributes:
        name: of the part.
        rows: mean J over conditions, on rows held out; NaN where it was not tried.
        conditions: mean J over conditions that were left out; NaN where it was not tried.
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
        parts: a row for each that was tried.
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
    """Potentials of one condition, learned without what was held out of it, and that.

    Args:
        condition: which one.
        potentials: by the names of the parts.
        points, weights: source and target that were held out.
    """

    condition: int
    potentials: dict[str, HostPotential]
    points: tuple[np.ndarray, np.ndarray]
    weights: tuple[RowWeights, RowWeights] = (None, None)

    def of(self, names: Sequence[str]) -> "_Held":
        """With the parts of these names alone."""
        return replace(self, potentials={name: self.potentials[name] for name in names})

    def dual(self, name: str) -> float:
        """J of one part."""
        return self._dual(self.potentials[name])

    def mixed(self, weights: Mapping[str, float]) -> float:
        """J of a mixture of parts."""
        used = [name for name in self.potentials if weights[name]]
        own = np.array([weights[name] for name in used])
        return self._dual(HostMixture(tuple(self.potentials[name] for name in used), own))

    def _dual(self, phi: HostPotential) -> float:
        (u, v), (a, b) = self.points, self.weights
        return float(row_mean(phi.value(u), a) + row_mean(host_conjugates(phi, v).values, b))


def choose(
    sides: Sides, learner: Learner, tell: ProgressCallback
) -> tuple[AbstractConditionalPotential, ConditionalTable]:
    """The mixture of parts of least J on what is held out: of rows, and of conditions."""
    random = np.random.default_rng(learner.seed)
    quick = replace(learner, names=_QUICK, tell=lambda now: None, checkpoint=None)
    learn, held = sides.split(random)
    groups = _groups(sides, random)
    steps = len(groups) + 2
    tell(Progress(0, steps, "rows held out"))
    names: tuple[str, ...] = PARTS[:4] if len(sides) <= _MOST_OWN else PARTS[:3]
    rows = _held(_fitted(learn, quick, names), held)
    seen = _stacked(rows, names, {"gaussian": 1.0})
    # Where a potential beyond the Gaussian maps is of no use to conditions that were seen, it is
    # of none to others.
    names = tuple(n for n in names if n in ("pooled", "gaussian") or seen[n] > 0)
    own = quick.own(sides, gaussian_part(sides)) if groups and "own" in names else None
    conditions: list[_Held] = []
    for step, group in enumerate(groups):
        tell(Progress(step + 1, steps, "conditions left out"))
        rest = sides.without(group)
        given = None if own is None else [own[k] for k in range(len(sides)) if k not in group]
        conditions += _held(_fitted(rest, quick, names, given), sides, group)
    unseen = _stacked(conditions, names, {"pooled": 1.0} if any(sides.layout) else seen)
    if any(sides.layout) and conditions:
        unseen = _held_back(conditions, unseen)
    else:  # numbers: between two that were seen lies what was not
        unseen = seen = _stacked([*(one.of(names) for one in rows), *conditions], names, seen)
    if learner.trains(learn):
        tell(Progress(steps - 1, steps, "a network"))
        left_out = groups[0] if groups and not any(sides.layout) else []
        rows, conditions = _with_network(learner, (learn, held), sides, left_out, rows, conditions)
        told = [one for one in (*rows, *conditions) if "network" in one.potentials]
        found = _stacked(told, (*names, "network"), seen)
        gain, stderr = _gain(told, seen, found)
        if gain > 2.0 * stderr:
            seen = found
        unseen = unseen if any(sides.layout) else seen
    tell(Progress(steps - 1, steps, "all points"))
    used = [name for name in PARTS if seen[name] or unseen[name]]
    parts, shared, pooled = _final(sides, learner, used)
    weights = jnp.array([[one[name] for name in used] for one in (seen, unseen)])
    potential = ConditionalMixture(
        [parts[name] for name in used], weights, jnp.asarray(sides.codes)
    )
    return potential, ConditionalTable(_rows(seen, unseen, rows, conditions), shared, pooled)


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
    sides: Sides,
    quick: Learner,
    names: Sequence[str],
    own: Sequence[AbstractPotential] | None = None,
) -> dict[str, AbstractConditionalPotential]:
    """The parts of these names, learned from these rows."""
    gaussian = gaussian_part(sides)
    parts: dict[str, AbstractConditionalPotential] = {"gaussian": gaussian}
    if "pooled" in names:
        parts["pooled"], _ = quick.pooled(sides)
    if "shared" in names:
        parts["shared"], _ = quick.shared(sides, gaussian)
    if "own" in names:
        potentials = quick.own(sides, gaussian) if own is None else own
        parts["own"] = blended(gaussian, potentials, sides)
    return {name: parts[name] for name in names}


def _held(
    parts: Mapping[str, AbstractConditionalPotential],
    sides: Sides,
    conditions: Sequence[int] | None = None,
) -> list[_Held]:
    """What is held out, condition by condition, with the potentials there."""
    found = []
    for k in range(len(sides)) if conditions is None else conditions:
        u, v = (points[:_TOLD] for points in sides.points(k))
        if len(u) and len(v):
            code = sides.codes[k]
            a, b = (None if own is None else own[:_TOLD] for own in sides.masses(k))
            potentials = {n: on_host(part.at(code)) for n, part in parts.items()}
            found.append(_Held(k, potentials, (u, v), (a, b)))
    return found


def _with_network(
    learner: Learner,
    split: tuple[Sides, Sides],
    sides: Sides,
    left_out: Sequence[int],
    rows: Sequence[_Held],
    conditions: Sequence[_Held],
) -> tuple[list[_Held], list[_Held]]:
    """What was held out, with the network of the other rows and conditions where it may be judged.

    It is trained once, without the rows that are held out and without some conditions.
    """
    learn = split[0].without(left_out)
    part = {"network": learner.network(learn, gaussian_part(learn), _TRIAL)}
    own = {one.condition: one for one in _held(part, split[1])}
    others = {one.condition: one for one in _held(part, sides, left_out)}
    kept = {k: one for k, one in own.items() if k not in left_out}
    first, second = (
        [
            replace(one, potentials={**one.potentials, **found[one.condition].potentials})
            if one.condition in found
            else one
            for one in told
        ]
        for told, found in ((rows, kept), (conditions, others))
    )
    return first, second


def _stacked(
    held: Sequence[_Held], names: Sequence[str], otherwise: dict[str, float]
) -> dict[str, float]:
    """The weight of every part."""
    found = dict.fromkeys(PARTS, 0.0)
    if not held:
        return found | otherwise
    potentials = [[one.potentials[name] for name in names] for one in held]
    own = stacking_weights(potentials, [one.points for one in held], [one.weights for one in held])
    if not np.isfinite(own).all():
        return found | otherwise
    return found | dict(zip(names, own.tolist(), strict=True))


def _gain(
    held: Sequence[_Held], old: Mapping[str, float], new: Mapping[str, float]
) -> tuple[float, float]:
    """By how much J falls from one mixture to another, and a standard error between conditions."""
    gains = [one.mixed(old) - one.mixed(new) for one in held]
    if len(gains) < 2:
        return 0.0, 0.0
    return float(np.mean(gains)), float(np.std(gains, ddof=1) / np.sqrt(len(gains)))


def _held_back(held: Sequence[_Held], weights: dict[str, float]) -> dict[str, float]:
    """The weights for categories not seen, held towards the map that needs no category.

    What is gained over that map varies from condition to condition, few were left out, and a new
    one may be like none of them: of a mean gain g with a standard error s between them the share
    1 − 4s²/g² is kept, and nothing below two standard errors.
    """
    if len(held) < 2:
        return weights
    gain, stderr = _gain(held, dict.fromkeys(PARTS, 0.0) | {"pooled": 1.0}, weights)
    share = max(1.0 - 4.0 * (stderr / gain) ** 2, 0.0) if gain > 0 else 0.0
    kept = {name: share * weight for name, weight in weights.items()}
    return kept | {"pooled": kept["pooled"] + 1.0 - share}


def _final(
    sides: Sides, learner: Learner, used: Sequence[str]
) -> tuple[dict[str, AbstractConditionalPotential], CandidateTable | None, CandidateTable | None]:
    """The parts that have a weight, learned from all rows, all kinds tried."""
    gaussian = gaussian_part(sides)
    parts: dict[str, AbstractConditionalPotential] = {"gaussian": gaussian}
    shared = pooled = None
    if "pooled" in used:
        parts["pooled"], pooled = learner.pooled(sides)
    if "shared" in used:
        parts["shared"], shared = learner.shared(sides, gaussian)
    if "own" in used:
        parts["own"] = blended(gaussian, learner.own(sides, gaussian), sides)
    if "network" in used:
        parts["network"] = learner.network(sides, gaussian, _WHOLE)
    return parts, shared, pooled


def _rows(
    seen: dict[str, float],
    unseen: dict[str, float],
    rows: Sequence[_Held],
    conditions: Sequence[_Held],
) -> tuple[ConditionalRow, ...]:
    return tuple(
        ConditionalRow(name, _mean(rows, name), _mean(conditions, name), seen[name], unseen[name])
        for name in PARTS
        if seen[name] or unseen[name] or any(name in one.potentials for one in rows)
    )


def _mean(held: Sequence[_Held], name: str) -> float:
    """Mean J of one part; NaN where it was not tried."""
    duals = [one.dual(name) for one in held if name in one.potentials]
    return float(np.mean(duals)) if duals else np.nan
