"""Whether points held out ask for a map that bends, or the Gaussian map is all they can tell."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from brenier._types import Array, Float
from brenier.flows import HeldOutDual
from brenier.potentials import AbstractPotential

# The best of some twenty looks at the same points seems better than it is, by about one error.
_ERRORS = 2.0


class Gain(NamedTuple):
    """What a potential gains over ½‖·‖² in the held-out dual, and the standard error of that."""

    value: float
    stderr: float

    @property
    def clear(self) -> bool:
        """Beyond two standard errors; not so where the potential gave NaN."""
        return self.value > _ERRORS * self.stderr


def gain_over_gaussian(
    potential: AbstractPotential, u: Float[Array, "n d"], v: Float[Array, "m d"]
) -> Gain:
    """J(½‖·‖²) − J(φ) on held-out points u (n, d), v (m, d) in standard coordinates.

    Both duals are taken on the same points, so that what the points share cancels: the error is
    that of the mean of differences. A map from a few hundred points in tens of dimensions is kept
    Gaussian unless it is better by more than the points could tell by chance (Breiman et al.,
    1984, section 3.4.3: the simplest rule within the error of the best).

    >>> import jax
    >>> from brenier.potentials import Quadratic
    >>> u = jax.random.normal(jax.random.key(0), (50, 2))
    >>> gain_over_gaussian(Quadratic.identity(2), u, u).clear
    False
    """
    heights, conjugates = eqx.filter_jit(HeldOutDual(u, v).terms)(potential)
    a, b = (0.5 * jnp.sum(z * z, axis=1) - own for z, own in ((u, heights), (v, conjugates)))
    variance = a.var(ddof=1) / a.size + b.var(ddof=1) / b.size
    return Gain(float(a.mean() + b.mean()), float(jnp.sqrt(variance)))
