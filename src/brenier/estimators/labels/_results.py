"""What is known of labels after transport: of each point, and of each kind of points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class TransferredLabels:
    """The labels of n points, soft and hard.

    Args:
        classes: (c,), the labels that there are, sorted.
        probabilities: (n, c), P(label | point); rows sum to 1.
        growth: (n,), what share of its mass each point sends, of an unbalanced map: the
            probabilities are of that share. None of others.

    >>> found = TransferredLabels(np.array(["B", "T"]), np.array([[0.9, 0.1], [0.25, 0.75]]))
    >>> found.labels.tolist(), found.probability.tolist()
    (['B', 'T'], [0.9, 0.75])
    """

    classes: np.ndarray
    probabilities: np.ndarray
    growth: np.ndarray | None = None

    @property
    def labels(self) -> np.ndarray:
        """(n,), the most probable label of each point."""
        return self.classes[self.probabilities.argmax(axis=1)]

    @property
    def probability(self) -> np.ndarray:
        """(n,), the probability of that label."""
        return self.probabilities.max(axis=1)

    def columns(self, name: str) -> dict[str, np.ndarray]:
        """Label and probability under names for a table: ``cells.obs.assign(**found.columns(…))``.

        And the growth, where there is one.

        >>> found = TransferredLabels(np.array(["B"]), np.ones((2, 1)))
        >>> list(found.columns("type"))
        ['type', 'type_probability']
        """
        found = {name: self.labels, f"{name}_probability": self.probability}
        return found if self.growth is None else found | {f"{name}_growth": self.growth}


@dataclass(frozen=True, eq=False)
class TransitionTable:
    """What share of each kind of source points goes to each kind of target points.

    Args:
        sources: (k,), the kinds of source points, sorted.
        targets: (l,), those of target points.
        shares: (k, l); rows sum to 1.
        counts: (k,), source points of each kind; of points with weights, the rows they stand for.
        kept: (k,), what share of its mass each kind sends, of an unbalanced map: the shares are of
            that. None of others.

    >>> table = TransitionTable(np.array(["B"]), np.array(["B", "T"]), np.array([[0.9, 0.1]]),
    ...                         np.array([7]))
    >>> print(table)
          B     T
    B  0.90  0.10  of 7
    """

    sources: np.ndarray
    targets: np.ndarray
    shares: np.ndarray
    counts: np.ndarray
    kept: np.ndarray | None = None

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The share of each pair of kinds, in plain numbers.

        >>> pair = np.array(["a"]), np.array(["b"])
        >>> TransitionTable(*pair, np.ones((1, 1)), np.array([3])).to_dict()
        {'a': {'b': 1.0}}
        """
        targets = [str(target) for target in self.targets]
        return {
            str(source): dict(zip(targets, map(float, row), strict=True))
            for source, row in zip(self.sources, self.shares, strict=True)
        }

    def __str__(self) -> str:
        head = ["", *map(str, self.targets), ""]
        counts = [f"of {count}" for count in self.counts]
        if self.kept is not None:
            counts = [
                f"of the {kept:.2f} kept {own}" for kept, own in zip(self.kept, counts, strict=True)
            ]
        rows = [
            [str(source), *(f"{share:.2f}" for share in row), count]
            for source, row, count in zip(self.sources, self.shares, counts, strict=True)
        ]
        widths = [max(map(len, cells)) for cells in zip(head, *rows, strict=True)]
        return "\n".join(_line(cells, widths) for cells in [head, *rows])


def _line(cells: Sequence[Any], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()
