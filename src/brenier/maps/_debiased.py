"""The entropic map without its first-order bias."""

from typing import ClassVar

import jax

from brenier._types import Point, Scalar
from brenier.maps._base import AbstractMap
from brenier.maps._gradient import GradientMap
from brenier.measures import AbstractMeasure, require_density


class DebiasedMap(AbstractMap):
    """T = ∇φ + (ε/2)∇f, e^{−f} the source: Sinkhorn's map to second order in ε (Theory (4.6)).

    A gradient field, but of a convex function only where D²φ + (ε/2)D²f ≥ 0. Between the modes of
    a source f is concave, so that optimality has to be audited and there is no inverse. Not for a
    Gaussian source: f is then quadratic, and ``flows.sample_sinkhorn_flow`` gives a
    ``GradientMap``.

    Args:
        entropic: ∇φ.
        source: e^{−f}, or one that differs from it by O(ε), with a density.
        epsilon: ε.

    Raises:
        ValueError: dimensions that do not match, or a source without density.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> from brenier.potentials import Quadratic
    >>> shrunk = GradientMap(Quadratic.from_matrix(0.9 * jnp.eye(1), jnp.zeros(1)))
    >>> T = DebiasedMap(shrunk, Gaussian.standard(1), jnp.asarray(0.2))
    >>> T(jnp.array([2.0])).round(9).tolist()
    [2.0]
    """

    entropic: GradientMap
    source: AbstractMeasure
    epsilon: Scalar
    symmetric: ClassVar[bool] = False

    def __check_init__(self):
        require_density("source", self.source)
        if self.source.dimension != self.entropic.dimension:
            raise ValueError(
                f"source: got dimension {self.source.dimension}; wants dimension "
                f"{self.entropic.dimension}, that of the map."
            )

    @property
    def dimension(self) -> int:
        return self.entropic.dimension

    def apply(self, x: Point) -> Point:
        score = jax.grad(self.source.point_log_density)(x)
        return self.entropic.apply(x) - 0.5 * self.epsilon * score

    def inverse(self) -> AbstractMap:
        raise ValueError(
            "map: got a DebiasedMap of a source that is not Gaussian, which may fold; "
            "wants the gradient of a convex function (its ``entropic`` part, or a "
            "Gaussian source)."
        )
