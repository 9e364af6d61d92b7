"""Which potential is kept, by held-out points: of one fit's way, and among the candidates."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float
from brenier.flows import HeldOutDual
from brenier.potentials import AbstractPotential

# A difference of so many standard errors is no chance: for a gain in the dual, since the best of
# some twenty looks at the same points seems better than it is by about one error, and for images
# whose size differs from the target's by more than another look's does.
_ERRORS = 2.0


class Look(NamedTuple):
    """A potential on the way of a fit, and its dual value on held-out points."""

    potential: AbstractPotential
    dual: float


def best_stop(looks: Sequence[Look], u: Float[Array, "n d"], v: Float[Array, "m d"]) -> Look | None:
    """The look of the lowest dual among those whose images of u (n, d) are as large as v (m, d).

    The dual alone hardly sees that a map learns points by heart: J(φ) − J* holds the error of ∇φ
    divided by how sharply φ bends, which grows. But an error e that has nothing to do with the
    Monge map T makes images larger, E‖T(X) + e‖² = E‖T(X)‖² + E‖e‖², which should be E‖Y‖². That
    is known to a standard error; the looks that come as near to it as any, within two, are
    compared by their dual.

    None where no look has a finite dual.

    >>> from brenier.potentials import Quadratic
    >>> u, v = np.random.default_rng(0).normal(size=(2, 500, 2))
    >>> right, zero = Quadratic.identity(2), jnp.zeros(2)
    >>> too_long = Quadratic.from_matrix(1.5 * jnp.eye(2), zero)
    >>> looks = [Look(right, 1.0), Look(too_long, 0.9)]
    >>> best_stop(looks, jnp.asarray(u), jnp.asarray(v)) is looks[0]
    True
    """
    seen = [look for look in looks if np.isfinite(look.dual)]
    if not seen:
        return None
    excesses, errors = np.array([_excess(look.potential, u, v) for look in seen]).T
    nearest = np.nanargmin(np.abs(excesses))
    limit = abs(excesses[nearest]) + _ERRORS * errors[nearest]
    near = [look for look, own in zip(seen, excesses, strict=True) if abs(own) <= limit]
    return min(near, key=lambda look: look.dual)


@eqx.filter_jit
def _excess(
    potential: AbstractPotential, u: Float[Array, "n d"], v: Float[Array, "m d"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """E‖∇φ(U)‖² − E‖V‖², and its standard error."""
    a, b = (jnp.sum(points * points, axis=1) for points in (potential.gradient(u), v))
    return a.mean() - b.mean(), jnp.sqrt(a.var() / a.size + b.var() / b.size)


class Gain(NamedTuple):
    """By how much a potential's held-out dual lies below that of ½‖·‖², with its standard error."""

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


class Selection(NamedTuple):
    """The potential that is kept, and its gain; None where there was nothing to compare."""

    potential: AbstractPotential
    gain: Gain | None


def select(
    potentials: Sequence[AbstractPotential], u: Float[Array, "n d"], v: Float[Array, "m d"]
) -> Selection:
    """The potential of the largest gain on held-out points where that is clear, else the first.

    Where there are several the first is the Gaussian one, ½‖·‖², which all are compared with.

    >>> from brenier.potentials import Quadratic
    >>> u = jnp.asarray(np.random.default_rng(0).normal(size=(200, 1)))
    >>> gaussian, double = (Quadratic.from_matrix(s * jnp.eye(1), jnp.zeros(1)) for s in (1.0, 2.0))
    >>> select([gaussian, double], u, 2.0 * u).potential is double
    True
    """
    first, *others = potentials
    if not others:
        return Selection(first, None)
    gains = [gain_over_gaussian(potential, u, v) for potential in others]
    best = int(np.argmax([-np.inf if np.isnan(gain.value) else gain.value for gain in gains]))
    return Selection(others[best] if gains[best].clear else first, gains[best])
