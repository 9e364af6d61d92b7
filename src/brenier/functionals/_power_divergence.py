"""Divergences of powers of the density ratio: chi-square, reverse KL, Hellinger."""

import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._types import Array, Float, Key, Points, Scalar
from brenier.functionals._base import AbstractFunctional, Moving
from brenier.measures import AbstractMeasure, require_density


class PowerDivergence(AbstractFunctional):
    """F(μ) = ∫h(μ/ν)dν with h'(r) = (rᵃ − 1)/a, exact through the map: ∇_W F = rᵃ∇log r, r = μ/ν.

    a = 0 is KL (log r in the limit), 1 is ½χ², −1 is KL(ν | μ), −½ is four times the squared
    Hellinger distance 1 − ∫√(μν): all with h''(1) = 1, so that they agree near the end. The target
    needs a log-density; where that is normalised only up to a factor, so are the value's and the
    gradient's units (a ≠ 0). Wants ``Moving.pushed``. Not where μ and ν hardly overlap: the few
    particles with the largest rᵃ then decide alone; begin with ``KL``.

    Args:
        power: a; ``PowerDivergence.named`` takes the usual names instead, those in ``powers``.

    >>> import jax
    >>> from brenier.maps import AffineMap
    >>> from brenier.measures import Gaussian
    >>> x, standard = jnp.zeros((1, 1)), Gaussian.standard(1)
    >>> moving = Moving.pushed(AffineMap(jnp.eye(1), jnp.ones(1)), standard, x)
    >>> field = PowerDivergence.named("chi2").gradient(moving, standard, key=jax.random.key(0))
    >>> round(float(field[0, 0]), 6)  # r = √e and ∇log r = 1 at 1
    1.648721

    Cressie and Read (1984); Theory (4.11).
    """

    power: float = eqx.field(static=True, default=1.0)
    # a by the divergence's usual name.
    powers: ClassVar[dict[str, float]] = {
        "kl": 0.0,
        "chi2": 1.0,
        "reverse_kl": -1.0,
        "hellinger": -0.5,
    }

    def __check_init__(self):
        if not math.isfinite(self.power):
            raise ValueError(f"power: got {self.power}; wants a finite number.")

    @classmethod
    def named(cls, name: str) -> "PowerDivergence":
        """The divergence called "kl", "chi2", "reverse_kl" or "hellinger"."""
        if name not in cls.powers:
            raise ValueError(f"name: got {name!r}; wants one of {sorted(cls.powers)}.")
        return cls(cls.powers[name])

    def slope(self, log_ratio: ArrayLike) -> Array:
        """h'(r) = (rᵃ − 1)/a at log r, the first variation of F."""
        ratio = jnp.asarray(log_ratio)
        return ratio if self.power == 0.0 else jnp.expm1(self.power * ratio) / self.power

    def value(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Scalar:
        """E_μ[(rᵃ − 1)/(a(a + 1))], as E_μ[1/r] = 1; on particles it may fall below 0."""
        log_ratio, a = self._log_ratio(moving, target), self.power
        if a == 0.0:
            return jnp.mean(log_ratio)
        if a == -1.0:
            return -jnp.mean(log_ratio * jnp.exp(-log_ratio))
        return jnp.mean(jnp.expm1(a * log_ratio)) / (a * (a + 1.0))

    def gradient(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Points:
        weight = jnp.exp(self.power * self._log_ratio(moving, target))
        score = moving.pushforward().score_at(moving.preimages())
        return weight[:, None] * (score - target.score(moving.points))

    def _log_ratio(self, moving: Moving, target: AbstractMeasure) -> Float[Array, " n"]:
        require_density("target", target)
        log_density = moving.pushforward().log_density_at(moving.preimages())
        return log_density - target.log_density(moving.points)
