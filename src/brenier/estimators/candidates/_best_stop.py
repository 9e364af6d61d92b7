"""Which potential on the way of a fit is kept, by held-out points."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, RowWeights
from brenier.numerics import float64_mean, total_variance
from brenier.potentials import AbstractPotential

# Images whose size is off by so many standard errors more than another look's are too large.
_ERRORS = 2.0


class Look(NamedTuple):
    """A potential on the way of a fit, and its dual value on held-out points."""

    potential: AbstractPotential
    dual: float


def best_stop(
    looks: Sequence[Look],
    u: Float[Array, "n d"],
    v: Float[Array, "m d"],
    u_weights: RowWeights = None,
    v_weights: RowWeights = None,
) -> Look | None:
    """The look of the lowest dual among those whose images of u (n, d) are as large as v (m, d).

    The dual alone hardly sees that a map learns points by heart: J(φ) − J* holds the error of ∇φ
    divided by how sharply φ bends, which grows. But an error e that has nothing to do with the
    Monge map T makes images larger, E‖T(X) + e‖² = E‖T(X)‖² + E‖e‖², which should be E‖Y‖². That
    is known to a standard error; the looks that come as near to it as any, within two, are
    compared by their dual. Weights (n,), (m,) say how many rows each point stands for.

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
    a, b = (None if own is None else jnp.asarray(own) for own in (u_weights, v_weights))
    excesses, errors = np.array([_excess(look.potential, u, v, a, b) for look in seen]).T
    nearest = np.nanargmin(np.abs(excesses))
    limit = abs(excesses[nearest]) + _ERRORS * errors[nearest]
    near = [look for look, own in zip(seen, excesses, strict=True) if abs(own) <= limit]
    return min(near, key=lambda look: look.dual)


@eqx.filter_jit
def _excess(
    potential: AbstractPotential,
    u: Float[Array, "n d"],
    v: Float[Array, "m d"],
    u_weights: Float[Array, " n"] | None,
    v_weights: Float[Array, " m"] | None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """E‖∇φ(U)‖² − E‖V‖², and its standard error."""
    a, b = (jnp.sum(points * points, axis=1) for points in (potential.gradient(u), v))
    return (
        float64_mean(a, u_weights) - float64_mean(b, v_weights),
        jnp.sqrt(
            total_variance(a[:, None], u_weights) / _count(a, u_weights)
            + total_variance(b[:, None], v_weights) / _count(b, v_weights)
        ),
    )


def _count(terms: Array, weights: Array | None) -> Array | int:
    return terms.size if weights is None else jnp.sum(weights)
