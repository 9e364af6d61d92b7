"""The plane that points of any dimension are shown in: coordinates, or principal components."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def column_names(d: int, names: Sequence[str] | None = None) -> list[str]:
    """The names of d columns, and where there are none x₁, x₂ and so on.

    Raises:
        ValueError: names of another number.

    >>> column_names(2), column_names(1), column_names(1, ["height"])
    (['x₁', 'x₂'], ['x'], ['height'])
    """
    if names is None:
        return ["x"] if d == 1 else [f"x{str(i + 1).translate(_SUBSCRIPTS)}" for i in range(d)]
    if len(names) != d:
        raise ValueError(f"names: got {len(names)}; wants {d}, one a column.")
    return [str(name) for name in names]


@dataclass(frozen=True)
class Plane:
    """Two directions that points are seen along.

    Attributes:
        labels: of the axes.
        directions, offsets: a point x is seen at x @ directions − offsets.
        equal: whether both axes have one unit; where spreads differ too much they have not.

    >>> Plane(["a", "b"], np.eye(3)[:, :2], np.array([1.0, 0.0]), True)(np.array([[4.0, 5.0, 6.0]]))
    array([[3., 5.]])
    """

    labels: list[str]
    directions: Float[np.ndarray, "d two"]
    offsets: Float[np.ndarray, " two"]
    equal: bool

    @classmethod
    def of(cls, *clouds: Float[np.ndarray, "_ d"], names: Sequence[str] | None = None) -> "Plane":
        """The coordinates of the plane where d = 2; above, the leading components of all points.

        >>> turned = np.array([[3.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
        >>> Plane.of(turned, names=["a", "b"]).labels
        ['a', 'b']
        """
        pooled = np.concatenate(clouds)
        d = pooled.shape[1]
        labels = column_names(d, names)
        directions, offsets = np.eye(2), np.zeros(2)
        if d > 2:
            from scipy.linalg import eigh  # slow to import

            spread = np.cov(pooled, rowvar=False)
            values, vectors = eigh(spread, subset_by_index=[d - 2, d - 1])
            values, directions = values[::-1], vectors[:, ::-1]
            # A vector's sign is free: the largest entry is made positive.
            largest = np.argmax(np.abs(directions), axis=0)
            directions = directions * np.where(directions[largest, [0, 1]] < 0, -1.0, 1.0)
            offsets = pooled.mean(axis=0) @ directions
            total = float(np.trace(spread)) or 1.0
            labels = [
                f"component {i + 1} ({100 * value / total:.0f} % of the variance)"
                for i, value in enumerate(np.maximum(values, 0.0))
            ]
        least, most = np.sort(np.ptp(pooled @ directions, axis=0))
        return cls(labels, directions, offsets, bool(most < 5.0 * least or least == 0.0))

    def __call__(self, points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n two"]:
        """Where the points are seen."""
        return points @ self.directions - self.offsets


def spaced(points: Float[np.ndarray, "n two"], count: int) -> np.ndarray:
    """Indices of ``count`` points spread evenly: each the farthest from those before.

    >>> spaced(np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [9.0, 0.0]]), 3).tolist()
    [0, 3, 2]
    """
    chosen = [0]
    distance = np.sum((points - points[0]) ** 2, axis=1)
    for _ in range(min(count, len(points)) - 1):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.sum((points - points[chosen[-1]]) ** 2, axis=1))
    return np.array(chosen)
