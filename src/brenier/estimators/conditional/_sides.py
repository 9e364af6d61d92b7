"""Two clouds in standard coordinates, whose rows are of conditions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# Rows of a condition that hold some out, at least, and the share that is.
_SPARED, _SHARE = 8, 4


@dataclass(frozen=True, eq=False)
class Sides:
    """Points of source and target, and the conditions that they are of.

    Args:
        u, v: (n, d) and (m, d), in standard coordinates of all.
        of_u, of_v: the condition of each row, (n,) and (m,).
        codes: of the conditions, (k, e).
        layout: of a code.
    """

    u: np.ndarray
    v: np.ndarray
    of_u: np.ndarray
    of_v: np.ndarray
    codes: np.ndarray
    layout: tuple[int, ...]

    @property
    def dimension(self) -> int:
        return self.u.shape[1]

    def __len__(self) -> int:
        """Conditions."""
        return len(self.codes)

    def points(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of one condition."""
        return self.u[self.of_u == k], self.v[self.of_v == k]

    def each(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Source and target of each condition in turn."""
        return (self.points(k) for k in range(len(self)))

    def rows(self, keep_u: np.ndarray, keep_v: np.ndarray) -> "Sides":
        """Those rows of both sides."""
        own = self.u[keep_u], self.v[keep_v], self.of_u[keep_u], self.of_v[keep_v]
        return Sides(*own, self.codes, self.layout)

    def without(self, left_out: Sequence[int]) -> "Sides":
        """All but some of the conditions."""
        kept = np.setdiff1d(np.arange(len(self)), left_out)
        place = np.full(len(self), -1)
        place[kept] = np.arange(len(kept))
        keep_u, keep_v = place[self.of_u] >= 0, place[self.of_v] >= 0
        own = place[self.of_u[keep_u]], place[self.of_v[keep_v]]
        return Sides(self.u[keep_u], self.v[keep_v], *own, self.codes[kept], self.layout)

    def split(self, random: np.random.Generator) -> tuple["Sides", "Sides"]:
        """Rows to learn from, and a quarter of every condition that has enough, held out."""
        held = []
        for of in (self.of_u, self.of_v):
            out = np.zeros(len(of), bool)
            for k in range(len(self)):
                own = random.permutation(np.flatnonzero(of == k))
                if min(np.sum(self.of_u == k), np.sum(self.of_v == k)) >= _SPARED:
                    out[own[: len(own) // _SHARE]] = True
            held.append(out)
        return self.rows(~held[0], ~held[1]), self.rows(*held)

    def balanced(self, random: np.random.Generator) -> "Sides":
        """As many rows as leave every condition the same share of both sides.

        What is learned from all conditions together would else carry mass from one to another.
        """
        counts = np.array([[len(u), len(v)] for u, v in self.each()], float)
        ratio = float(np.median(counts[:, 0] / counts[:, 1]))
        keep = [np.zeros(len(self.u), bool), np.zeros(len(self.v), bool)]
        for k, (n, m) in enumerate(counts):
            most = int(min(n, np.ceil(ratio * m))), int(min(m, np.ceil(n / ratio)))
            for side, of, count in zip(keep, (self.of_u, self.of_v), most, strict=True):
                side[random.permutation(np.flatnonzero(of == k))[:count]] = True
        return self.rows(keep[0], keep[1])
