"""What cheaper permutations of few pairs save: the lower bound that needs the pairs alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from brenier._types import Float
from brenier.certify._weights import Shares
from brenier.certify._work import BATCHES, Work

# Rounding may make a saving of so many roundings of what is added up.
_ROUNDING = 16.0
# With weights, a batch is taken to be at most so many times as heavy as the heaviest seen.
_HEAVIER = 1.25


@dataclass(frozen=True)
class Cycle:
    """Sampled points that would rather pass their images on: T is not optimal. Theory (6.4).

    Attributes:
        points, images: x_j and T(x_j), (k, d); sending x_j to T(x_{j+1}) costs less in all.
        saving: Σ‖x_j − T(x_j)‖² − Σ‖x_j − T(x_{j+1})‖².
        noise: what rounding and the map's own noise could have made of it.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> cycle = audit_pairs(x, -x, budget=0.1).defect.cycle
    >>> len(cycle.points), bool(cycle.saving > cycle.noise)
    (2, True)
    """

    points: Float[np.ndarray, "k d"]
    images: Float[np.ndarray, "k d"]
    saving: float
    noise: float

    def placed(self, source: np.ndarray, target: np.ndarray, scale: float) -> "Cycle":
        """The same in the units of the data, of centres (d,) and a scale."""
        points, images = source + scale * self.points, target + scale * self.images
        return Cycle(points, images, scale**2 * self.saving, scale**2 * self.noise)

    def proof(self) -> str:
        """The two costs and the conclusion, to be checked by hand."""
        costs = two_costs(self.points, self.images, self.saving, self.noise)
        return f"{len(self.points)} sampled points. {costs}"


def two_costs(points: np.ndarray, images: np.ndarray, saving: float, noise: float) -> str:
    """What x_j to T(x_j) costs, and x_j to T(x_{j+1}), and what follows, in words."""
    kept = float(np.sum((points - images) ** 2))
    return (
        f"Each to its own image costs {kept:.15g} in all; each to the next one's image costs "
        f"{kept - saving:.15g}, less by {saving:.3g} (noise of the map and rounding: {noise:.1g}). "
        "A Monge map never does that."
    )


@dataclass(frozen=True)
class PairSavings:
    """Savings V_b ≥ 0 of the batches of several partitions, with E V_b ≤ D. Theory (6.3), (6.10).

    Attributes:
        sets: V (batches,) of each partition.
        sizes: rows of a batch of each, up to one.
        cycle: the shortest that saves anything, where one does.
        moved: rows that the permutations moved, the most of any partition.
        masses: where rows have weights, the mass s (batches,) of each batch, E V_b ≤ D E s_b.
    """

    sets: Sequence[np.ndarray]
    sizes: Sequence[int]
    cycle: Cycle | None
    moved: int
    masses: Sequence[np.ndarray] | None = None

    def mean(self, size: int) -> tuple[int, float]:
        """How many batches are of that size, and what they save a row in the mean."""
        places = [i for i, k in enumerate(self.sizes) if k == size]
        every = np.concatenate([self.sets[i] for i in places])
        if self.masses is None:
            return len(every), float(every.mean())
        total = sum(float(self.masses[i].sum()) for i in places)
        return len(every), float(every.sum()) / total if total > 0.0 else 0.0

    def stderr(self) -> float:
        """The standard error of the mean of the largest batches."""
        if not self.sizes:
            return float("nan")
        place = int(np.argmax(self.sizes))
        own = self.sets[place]
        if self.masses is not None and self.masses[place].any():
            mass = self.masses[place]
            own = (own - own.mean() / mass.mean() * mass) / mass.mean()
        return float(own.std(ddof=1) / np.sqrt(len(own)))


def pair_savings(
    x: np.ndarray,
    tx: np.ndarray,
    random: np.random.Generator,
    work: Work,
    *,
    inside: np.ndarray | None = None,
    noise: float = 0.0,
    shares: Shares | None = None,
) -> PairSavings:
    """(1/k)[Σ c_j − min_σ Σ‖x_j − T(x_σ(j))‖²] of every batch of about k rows, exactly.

    With weights of shares u_j of the largest, a batch holds N_j copies of a row, at random with
    E N_j = q u_j; all of it is divided by q, and the mass of a batch is Σ_j N_j/(q k).

    Args:
        x, tx: independent pairs (n, d), centred.
        random: of the partitions.
        work: how many partitions, and rows of a batch.
        inside: the rows of a core (n,): only those are permuted, and k counts all.
        noise: the largest error of an entry of tx.
        shares: of the weights of the rows, where they have some.
    """
    n = len(x)
    sets, sizes, best, most, masses = [], [], None, 0, []
    per_row = 1 if shares is None else shares.per_row
    for batches in BATCHES:
        size = min(n // batches, work.batch_rows)
        if size < 2:
            continue
        taken = n if size == n // batches else size * batches
        for _ in range(work.partitions):
            savings, moved, mass = np.zeros(batches), 0, np.ones(batches)
            for b, rows in enumerate(np.array_split(random.permutation(n)[:taken], batches)):
                copies = rows
                if shares is not None:
                    copies = np.repeat(rows, shares.of(rows).rounded(per_row, random))
                    mass[b] = len(copies) / (per_row * len(rows))
                kept = copies if inside is None else copies[inside[copies]]
                # A pair that swaps is as short as a proof can be.
                shown = best is None or len(best.points) > 2
                own = _saved(x[kept], tx[kept], noise, shown, kept)
                savings[b] = own.mean * len(kept) / (per_row * len(rows))
                moved += own.moved
                best = min(
                    (c for c in (best, own.cycle) if c is not None), key=_order, default=None
                )
            most = max(most, moved)
            sets.append(savings)
            sizes.append(size)
            # The heavier a batch may be, the less can be bet on each.
            heaviest = min(1.0, _HEAVIER * float(mass.max()))
            if shares is not None and heaviest > 0.0:
                sets[-1], mass = savings / heaviest, mass / heaviest
            masses.append(mass)
    return PairSavings(sets, sizes, best, most, None if shares is None else masses)


class _Saved(NamedTuple):
    mean: float
    cycle: Cycle | None
    moved: int


def _saved(x: np.ndarray, tx: np.ndarray, noise: float, shown: bool, rows: np.ndarray) -> _Saved:
    """The mean saving of the best permutation, and its shortest cycle where shown.

    Of pairs (k, d), (k, d) that stand in these ``rows`` (k,), some of them maybe copies.
    """
    k = len(x)
    if k < 2:
        return _Saved(0.0, None, 0)
    a, b = x - x.mean(axis=0), tx - tx.mean(axis=0)
    gains = a @ b.T
    own, mates = linear_sum_assignment(gains, maximize=True)
    per_row = 2.0 * (gains[own, mates] - np.diag(gains))
    saved = float(per_row.sum())
    if saved <= _noise(a, b, np.sqrt(np.sum((a - a[mates]) ** 2)), noise):
        return _Saved(0.0, None, 0)
    found = []
    for cycle in cycles_of(mates) if shown else ():
        steps = np.sqrt(np.sum((a[cycle] - a[mates[cycle]]) ** 2))
        doubt = _noise(a[cycle], b[cycle], steps, noise)
        gained = float(per_row[cycle].sum())
        if gained > doubt:
            found.append(Cycle(x[cycle], tx[cycle], gained, doubt))
    moved = len(np.unique(rows[rows[mates] != rows]))
    return _Saved(saved / k, min(found, key=_order, default=None), moved)


def _order(cycle: Cycle) -> tuple[int, float]:
    """Fewer points first: the shorter a proof, the better."""
    return len(cycle.points), -cycle.saving


def _noise(a: np.ndarray, b: np.ndarray, steps: float, noise: float) -> float:
    """How much errors of the images and rounding can change Σ 2⟨a_j, b_σ(j) − b_j⟩.

    Errors e of the images change it by 2 Σ⟨a_j, e_σ(j) − e_j⟩ = 2 Σ⟨a_σ⁻¹(j) − a_j, e_j⟩.
    """
    eps = float(np.finfo(np.float64).eps)
    entries = float(np.sqrt(b.size)) * float(noise)
    sums = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return 4.0 * float(steps) * entries + _ROUNDING * eps * sums


def cycles_of(permutation: np.ndarray) -> list[np.ndarray]:
    """The cycles (j, σ(j), σ(σ(j)), ...) of a permutation that are longer than one."""
    left = permutation != np.arange(len(permutation))
    found = []
    for start in np.flatnonzero(left):
        if not left[start]:
            continue
        cycle = [int(start)]
        left[start] = False
        while left[after := int(permutation[cycle[-1]])]:
            cycle.append(after)
            left[after] = False
        found.append(np.array(cycle))
    return found
