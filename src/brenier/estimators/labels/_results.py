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

    >>> found = TransferredLabels(np.array(["B", "T"]), np.array([[0.9, 0.1], [0.25, 0.75]]))
    >>> found.labels.tolist(), found.probability.tolist()
    (['B', 'T'], [0.9, 0.75])
    """

    classes: np.ndarray
    probabilities: np.ndarray

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

        >>> found = TransferredLabels(np.array(["B"]), np.ones((2, 1)))
        >>> list(found.columns("type"))
        ['type', 'type_probability']
        """
        return {name: self.labels, f"{name}_probability": self.probability}


@dataclass(frozen=True, eq=False)
class TransitionTable:
    """What share of each kind of source points goes to each kind of target points.

    Args:
        sources: (k,), the kinds of source points, sorted.
        targets: (l,), those of target points.
        shares: (k, l); rows sum to 1.
        counts: (k,), source points of each kind; of points with weights, the rows they stand for.

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
        rows = [
            [str(source), *(f"{share:.2f}" for share in row), f"of {count}"]
            for source, row, count in zip(self.sources, self.shares, self.counts, strict=True)
        ]
        widths = [max(map(len, cells)) for cells in zip(head, *rows, strict=True)]
        return "\n".join(_line(cells, widths) for cells in [head, *rows])


def _line(cells: Sequence[Any], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()
