"""By what the marginals of an unbalanced map are more or less than the laws it is between."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._checks import check_points
from brenier._types import Array, Float, Points, Scalar
from brenier.flows._held_out_dual import HeldOutDual
from brenier.flows._penalties import log_mean_growth
from brenier.maps import GradientMap
from brenier.potentials import AbstractPotential


class Growth(eqx.Module):
    """e^{−(f + λ)/τ}, f = ½|x|² − φ, and e^{−(g − λ)/τ'}, g = ½|y|² − φ*: of source and target.

    A source point x sends so many times its own mass to ∇φ(x), and a target point receives so many
    times its own. λ, the constant of φ that the semi-dual leaves open, is the one of the largest
    dual: both growths then give one ``mass`` m, log m = (τ log E e^{−f/τ} + τ' log E e^{−g/τ'})/
    (τ + τ'). A side without a penalty has growth 1.

    Args:
        map: a ``GradientMap``.
        held: the points, weights and penalties by which the constant is found.

    >>> import numpy as np
    >>> from brenier.potentials import Quadratic
    >>> x = np.random.default_rng(0).normal(size=(100, 1))
    >>> held = HeldOutDual(x, x, source_penalty=1.0, target_penalty=1.0)
    >>> growth = Growth(GradientMap(Quadratic.identity(1)), held)  # nothing has to move
    >>> growth.source(x[:2]).round(6).tolist(), round(float(growth.mass), 6)
    ([1.0, 1.0], 1.0)
    """

    potential: AbstractPotential
    held: HeldOutDual
    constant: Scalar
    mass: Scalar

    def __init__(self, map: GradientMap, held: HeldOutDual):
        if held.source_penalty is None and held.target_penalty is None:
            raise ValueError("held: got no penalty; wants a source_penalty, a target_penalty.")
        self.potential, self.held = map.potential, held
        rates, logs = [], []
        points, weights = (held.x, held.y), (held.x_weights, held.y_weights)
        penalties = held.source_penalty, held.target_penalty
        terms = held.terms(map.potential)
        for side in range(2):
            penalty = penalties[side]
            rates.append(0.0 if penalty is None else 1.0 / penalty)
            logs.append(
                jnp.zeros(())
                if penalty is None
                else log_mean_growth(terms[side], points[side], weights[side], penalty)
            )
        self.constant = (logs[0] - logs[1]) / (rates[0] + rates[1])
        self.mass = jnp.exp(logs[0] - rates[0] * self.constant)

    def source(self, x: ArrayLike) -> Float[Array, " n"]:
        """Of points x (n, d)."""
        x = jnp.asarray(check_points("x", x, dimension=self.held.x.shape[1]))
        return self._at(self.potential(x), x, self.held.source_penalty, self.constant)

    def target(self, y: ArrayLike) -> Float[Array, " m"]:
        """Of points y (m, d)."""
        y = jnp.asarray(check_points("y", y, dimension=self.held.x.shape[1]))
        if self.held.target_penalty is None:
            return jnp.ones(len(y), y.dtype)
        conjugates = HeldOutDual(self.held.x, y).terms(self.potential)[1]
        return self._at(conjugates, y, self.held.target_penalty, -self.constant)

    def _at(
        self, heights: Array, points: Points, penalty: float | None, constant: Scalar
    ) -> Float[Array, " n"]:
        if penalty is None:
            return jnp.ones(len(points), points.dtype)
        halves = 0.5 * jnp.sum(points * points, axis=1)
        return jnp.exp((heights - halves - constant) / penalty)
