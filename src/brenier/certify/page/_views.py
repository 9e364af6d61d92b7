"""The planes that points of any dimension are shown in: coordinates, or principal components."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_COMPONENTS = 5
# Coordinates that can be chosen beside the components.
_COORDINATES = 12


@dataclass(frozen=True)
class Views:
    """The v directions that points can be seen along.

    Attributes:
        labels: of the axes, already escaped.
        spreads: the range of all points along each direction.
        directions, offsets: (d, v) and (v,); a point x is shown at x @ directions − offsets.
    """

    labels: list[str]
    spreads: list[float]
    directions: Float[np.ndarray, "d v"]
    offsets: Float[np.ndarray, " v"]

    def __call__(self, points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "v n"]:
        """The points seen along each direction."""
        return (points @ self.directions - self.offsets).T

    def scales(self) -> Float[np.ndarray, "2 1"]:
        """Units of the first two axes: the same ones, unless their spreads differ too much."""
        first, second = self.spreads[:2]
        most = max(first, second) or 1.0
        equal = most < 5.0 * min(first, second) or min(first, second) == 0.0
        return np.array([[most], [most]] if equal else [[first], [second]])


def views_of(
    x: Float[np.ndarray, "n d"], tx: Float[np.ndarray, "n d"], names: Sequence[str]
) -> Views:
    """The coordinates where d ≤ 2; else the first components of all points, then coordinates.

    >>> turned = np.array([[3.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    >>> views_of(turned, turned, ["a", "<b>"]).labels
    ['a', '&lt;b&gt;']
    """
    d = x.shape[1]
    pooled = np.concatenate([x, tx])
    labels = [html.escape(name) for name in names[: d if d <= 2 else _COORDINATES]]
    directions = np.eye(d)[:, : len(labels)]
    offsets = np.zeros(len(labels))
    if d > 2:
        from scipy.linalg import eigh  # slow to import

        mean = pooled.mean(axis=0)
        spread = np.cov(pooled, rowvar=False)
        count = min(d, _COMPONENTS)
        values, vectors = eigh(spread, subset_by_index=[d - count, d - 1])
        values, vectors = values[::-1], vectors[:, ::-1]
        # A vector's sign is free: the largest entry is made positive.
        largest = np.argmax(np.abs(vectors), axis=0)
        vectors = vectors * np.where(vectors[largest, np.arange(count)] < 0, -1.0, 1.0)
        total = float(np.trace(spread)) or 1.0
        labels = [
            f"component {i + 1} ({100 * value / total:.0f} %)"
            for i, value in enumerate(np.maximum(values, 0.0))
        ] + labels
        directions = np.concatenate([vectors, directions], axis=1)
        offsets = np.concatenate([mean @ vectors, offsets])
    spreads = np.ptp(pooled @ directions, axis=0)
    return Views(labels, [float(s) for s in spreads], directions, offsets)


def spaced(plane: Float[np.ndarray, "two n"], count: int) -> np.ndarray:
    """Indices of ``count`` points spread evenly over the plane: each the farthest from the last.

    >>> spaced(np.array([[0.0, 0.1, 5.0, 9.0], [0.0, 0.0, 0.0, 0.0]]), 3).tolist()
    [0, 3, 2]
    """
    points = plane.T
    chosen = [0]
    distance = np.sum((points - points[0]) ** 2, axis=1)
    for _ in range(min(count, len(points)) - 1):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.sum((points - points[chosen[-1]]) ** 2, axis=1))
    return np.array(chosen)
