"""The monotone map between two laws on the line."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Point
from brenier.exact.line._laws import Law, ScipyLaw, log_tails, tail_point
from brenier.maps import AbstractMap
from brenier.measures import Empirical


class MonotoneMap(AbstractMap):
    """T = G⁻¹ ∘ F on the line: the Monge map between laws with distribution functions F and G.

    Evaluated through the smaller tail, so that T stays accurate far out. At an atom F is the middle
    of its jump (interpolated between atoms, constant beyond the last): an atom is sent to the
    median of its share of the target, which between two clouds of n equal atoms is its partner.
    Outside the support of a ``Uniform`` source, T is at an end of the target's support, which may
    be infinite. Made by ``solve_line``; cannot be saved where a law is SciPy's.

    Args:
        source: the law of F, on the line; atoms sorted and distinct.
        target: the law of G, likewise.

    >>> import numpy as np
    >>> from brenier.measures import Gaussian, Uniform
    >>> T = MonotoneMap(Uniform.unit(1), Gaussian(np.zeros(1), np.eye(1)))
    >>> [round(y, 6) for y in T(np.array([[0.5], [0.975]])).ravel().tolist()]
    [0.0, 1.959964]
    """

    source: Law
    target: Law
    symmetric: ClassVar[bool] = True

    def __check_init__(self):
        for name, law in (("source", self.source), ("target", self.target)):
            if not isinstance(law, ScipyLaw) and law.dimension != 1:
                raise ValueError(f"{name}: got dimension {law.dimension}; wants a law on the line.")
            if (
                isinstance(law, Empirical)
                and not isinstance(law.points, jax.core.Tracer)
                and not (np.diff(np.asarray(law.points)[:, 0]) > 0).all()
            ):
                raise ValueError(
                    f"{name}: got atoms that are not in order, or not distinct; wants "
                    "them sorted (solve_line does so)."
                )

    @property
    def dimension(self) -> int:
        return 1

    def apply(self, x: Point) -> Point:
        below, above = log_tails(self.source, x[0])
        upper = above < below
        return tail_point(self.target, jnp.where(upper, above, below), upper)[None]

    def inverse(self) -> "MonotoneMap":
        """F⁻¹ ∘ G."""
        return MonotoneMap(self.target, self.source)
