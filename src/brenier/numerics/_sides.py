"""One marginal of an entropic plan, held as it is or by a penalty: what Sinkhorn asks of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from brenier._types import Array, Scalar
from brenier.numerics._half_steps import DRIFT


class Side(NamedTuple):
    """A cloud's weights a, its rate r = 1/τ (0: held as it is), and its part u of the cost.

    Potentials are those of centred clouds, so that f + u is that of the cost itself. The growth of
    a point is exp(−r(f + u)): the plan's marginal over the weights where the dual is at its maximum
    in the constants.
    """

    weights: Array
    rate: Array
    part: Array

    def at(self, rows: Array) -> "Side":
        """So many points of it, with equal shares of the mass."""
        share = jnp.sum(self.weights) / rows.shape[0]
        return Side(jnp.full(rows.shape, share), self.rate, self.part[rows])

    def log_growth(self, f: Array) -> Array:
        return -self.rate * (f + self.part)

    def log_mass(self, f: Array) -> Scalar:
        return jax.nn.logsumexp(self.log_growth(f), b=self.weights)

    def damped(self, soft: Array, epsilon: Array) -> Array:
        """The half-step τ/(τ + ε) (T + u) − u of the soft minimum T."""
        kept = epsilon * self.rate
        return soft - kept / (1.0 + kept) * (soft + self.part)

    def shares(self, f: Array) -> Array:
        """The weights times the growth, of sum 1."""
        return self.weights * jnp.exp(self.log_growth(f) - self.log_mass(f))

    def error(self, now: Array, target: Array, epsilon: Array) -> Scalar:
        """Σ |plan's marginal − weights · growth| over the mass, for potentials whose half-step is
        the target."""
        gap = (now - target) * (1.0 / epsilon + self.rate)
        return jnp.sum(self.shares(now) * jnp.abs(jnp.expm1(jnp.minimum(gap, 2.0 * DRIFT))))

    def over_relaxed(self, now: Array, target: Array, relaxation: Array, epsilon: Array) -> Array:
        """now + ω(target − now), ω back to 1 where that would not raise the dual enough.

        With u = (target − now)/ε and q = ε/τ the dual rises by ε Σ w (h(−u) − h((ω − 1)u)), where w
        are the weights times the growth, h(t) = k(t) + k(−qt)/q and k(t) = eᵗ − 1 − t. That is
        ω(2 − ω) of the full step's near the solution; half of that is asked for.
        """
        u = jnp.clip((target - now) / epsilon, -2.0 * DRIFT, 2.0 * DRIFT)
        weights, q = self.shares(target), epsilon * self.rate

        def loss(t):
            penalty = jnp.where(q > 0.0, _bend(-q * t) / jnp.where(q > 0.0, q, 1.0), 0.0)
            return jnp.sum(weights * (_bend(t) + penalty))

        full = loss(-u)
        enough = full - loss((relaxation - 1.0) * u) >= 0.5 * relaxation * (2.0 - relaxation) * full
        return now + jnp.where(enough, relaxation, 1.0) * (target - now)


def best_translation(source: Side, target: Side, f: Array, g: Array) -> Array:
    """The λ of which (f + λ, g − λ) has the largest dual: both growths then give the same mass.

    log⟨a, e^{−rf}⟩ − log⟨b, e^{−sg}⟩ over r + s; 0 where both sides are held as they are. Without
    it a constant falls by (τ/(τ + ε))² an iteration alone. Séjourné, Vialard & Peyré (2022).
    """
    rates = source.rate + target.rate
    gap = source.log_mass(f) - target.log_mass(g)
    return jnp.where(rates > 0.0, gap / jnp.where(rates > 0.0, rates, 1.0), 0.0)


def _bend(t: Array) -> Array:
    return jnp.expm1(t) - t
