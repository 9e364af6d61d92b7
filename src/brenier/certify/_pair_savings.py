"""What cheaper permutations of few pairs save: the lower bound that needs the pairs alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

# Batches of a partition, random partitions, and rows that an exact assignment takes at most.
_BATCHES, _PARTITIONS, _MOST_ROWS = (16, 32, 64, 128), 4, 600
# Rounding may make a saving of so many roundings of what is added up.
_ROUNDING = 16.0


@dataclass(frozen=True)
class Cycle:
    """Sampled points that would rather pass their images on: T is not optimal. MATH_6 (6.4).

    Attributes:
        points, images: x_j and T(x_j), (k, d); sending x_j to T(x_{j+1}) costs less in all.
        saving: Σ‖x_j − T(x_j)‖² − Σ‖x_j − T(x_{j+1})‖².
        noise: what rounding and the map's own noise could have made of it.
    """

    points: np.ndarray
    images: np.ndarray
    saving: float
    noise: float

    def proof(self) -> str:
        """The two costs and the conclusion, to be checked by hand."""
        kept = float(np.sum((self.points - self.images) ** 2))
        return (
            f"{len(self.points)} sampled points. Each to its own image costs {kept:.15g} in all; "
            f"each to the next one's image costs {kept - self.saving:.15g}, less by "
            f"{self.saving:.3g} (noise of the map and rounding: {self.noise:.1g}). A Monge map "
            "never does that."
        )


@dataclass(frozen=True)
class PairSavings:
    """Savings V_b ≥ 0 of the batches of several partitions, with E V_b ≤ D. MATH_6 (6.3), (6.10).

    Attributes:
        sets: V (batches,) of each partition.
        sizes: rows of a batch of each.
        cycle: the one that saves the most, where one does.
    """

    sets: Sequence[np.ndarray]
    sizes: Sequence[int]
    cycle: Cycle | None


def pair_savings(
    x: np.ndarray,
    tx: np.ndarray,
    random: np.random.Generator,
    *,
    inside: np.ndarray | None = None,
    noise: float = 0.0,
) -> PairSavings:
    """(1/k)[Σ c_j − min_σ Σ‖x_j − T(x_σ(j))‖²] of every batch of k rows, by exact assignments.

    Args:
        x, tx: independent pairs (n, d), centred.
        random: of the partitions.
        inside: the rows of a core (n,): only those are permuted, and k counts all.
        noise: the largest error of an entry of tx.
    """
    n = len(x)
    sets, sizes, best = [], [], None
    for batches in _BATCHES:
        size = n // batches
        if not 2 <= size <= _MOST_ROWS:
            continue
        for _ in range(_PARTITIONS):
            order = random.permutation(n)[: size * batches].reshape(batches, size)
            savings = np.zeros(batches)
            for b, rows in enumerate(order):
                kept = rows if inside is None else rows[inside[rows]]
                savings[b], cycle = _saved(x[kept], tx[kept], noise)
                savings[b] *= len(kept) / size
                if cycle is not None and (best is None or cycle.saving > best.saving):
                    best = cycle
            sets.append(savings)
            sizes.append(size)
    return PairSavings(sets, sizes, best)


def _saved(x: np.ndarray, tx: np.ndarray, noise: float) -> tuple[float, Cycle | None]:
    """The mean saving of the best permutation of these rows, and its cycle that saves the most."""
    k = len(x)
    if k < 2:
        return 0.0, None
    a, b = x - x.mean(axis=0), tx - tx.mean(axis=0)
    gains = a @ b.T
    rows, mates = linear_sum_assignment(gains, maximize=True)
    per_row = 2.0 * (gains[rows, mates] - np.diag(gains))
    saved = float(per_row.sum())
    if saved <= _noise(a, b, np.sqrt(np.sum((a - a[mates]) ** 2)), noise):
        return 0.0, None
    cycles = [(float(per_row[cycle].sum()), cycle) for cycle in _cycles(mates)]
    gained, cycle = max(cycles, key=lambda pair: pair[0])
    doubt = _noise(a[cycle], b[cycle], np.sqrt(np.sum((a[cycle] - a[mates[cycle]]) ** 2)), noise)
    found = Cycle(x[cycle], tx[cycle], gained, doubt) if gained > doubt else None
    return saved / k, found


def _noise(a: np.ndarray, b: np.ndarray, steps: float, noise: float) -> float:
    """How much errors of the images and rounding can change Σ 2⟨a_j, b_σ(j) − b_j⟩.

    Errors e of the images change it by 2 Σ⟨a_j, e_σ(j) − e_j⟩ = 2 Σ⟨a_σ⁻¹(j) − a_j, e_j⟩.
    """
    eps = float(np.finfo(np.float64).eps)
    entries = np.sqrt(b.size) * noise
    sums = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return 4.0 * float(steps) * entries + _ROUNDING * eps * sums


def _cycles(permutation: np.ndarray) -> list[np.ndarray]:
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
