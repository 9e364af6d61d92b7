"""Measures made of atoms."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from brenier._checks import check_key, check_points, check_weights, to_device
from brenier._types import Key, Point, Points, Scalar, Weights
from brenier.measures._base import AbstractMeasure


class Empirical(AbstractMeasure):
    """Σ_i w_i δ_{x_i}: data, or any weighted cloud of atoms.

    Not where a density is needed: it has none, and says so.

    Args:
        points: (n, d), finite.
        weights: (n,), non-negative, divided by their sum; uniform when None.

    Raises:
        ValueError: bad points or weights; ``log_density`` and ``score`` always.

    >>> import numpy as np
    >>> cloud = Empirical(np.array([[0.0, 1.0], [2.0, 3.0]]))
    >>> cloud.mean.tolist()
    [1.0, 2.0]
    """

    points: Points
    weights: Weights | None
    has_density: ClassVar[bool] = False

    def __init__(self, points: Any, weights: Any = None):
        if isinstance(points, jax.core.Tracer):
            self.points, self.weights = points, weights
            return
        self.points = to_device(check_points("points", points))
        if weights is None:
            self.weights = None
        else:
            checked = check_weights("weights", weights, self.points.shape[0])
            self.weights = jnp.asarray(checked, self.points.dtype)

    @property
    def dimension(self) -> int:
        return self.points.shape[-1]

    @property
    def size(self) -> int:
        """The number of atoms."""
        return self.points.shape[0]

    @property
    def mean(self) -> Point:
        """Σ w_i x_i."""
        return jnp.average(self.points, axis=0, weights=self.weights)

    def sample(self, key: Key, n: int) -> Points:
        """n independent draws, with replacement."""
        check_key("key", key)
        return self.points[jax.random.choice(key, self.size, (n,), p=self.weights)]

    def point_log_density(self, x: Point) -> Scalar:
        raise ValueError(
            "measure: got Empirical, which has no density; wants a measure with a log-density "
            "(Gaussian, GaussianMixture, Gibbs)."
        )
