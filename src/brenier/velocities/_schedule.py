"""Noise schedules: the signal level a(t) of a diffusion."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Float, Scalar

# Of the quadrature of β.
_NODES = 32


class AbstractSchedule(eqx.Module):
    """β(t) of dX = −½β X dt + √β dB, by its signal a(t) = exp(−½∫₀ᵗ β).

    All schedules pass through the same laws, each in its own clock (Theory (3.2)).

    >>> schedule = ConstantSchedule(beta=2.0, duration=1.0)
    >>> schedule.levels(1).round(4).tolist(), float(schedule.rate(jnp.array(0.5)))
    ([1.0, 0.3679], 2.0)
    """

    # The last t; infinite for the Ornstein-Uhlenbeck diffusion.
    duration: eqx.AbstractVar[float]

    @abc.abstractmethod
    def log_signal(self, time: Scalar) -> Scalar:
        """log a(t) = −½∫₀ᵗ β, at most 0."""

    def signal(self, time: Scalar) -> Scalar:
        """a(t), from 1 down."""
        return jnp.exp(self.log_signal(time))

    def rate(self, time: Scalar) -> Scalar:
        """β(t)."""
        return -2.0 * jax.grad(self.log_signal)(jnp.asarray(time, float))

    def levels(self, steps: int) -> Float[Array, " k"]:
        """Signal levels at ``steps`` + 1 equal times from 0 to the duration, for ``DDIM``.

        Raises:
            ValueError: fewer than one step, or a schedule without an end.
        """
        check_at_least("steps", steps, 1)
        if not np.isfinite(self.duration):
            raise ValueError(
                f"steps: got {steps} for a {type(self).__name__}, which has no last "
                "time; wants a schedule with a duration, or levels of your own."
            )
        return jax.vmap(self.signal)(jnp.linspace(0.0, self.duration, steps + 1))


class ConstantSchedule(AbstractSchedule):
    """β constant; 2 is the Ornstein-Uhlenbeck diffusion a = e^{-t} of Theory (3.1).

    >>> round(float(ConstantSchedule().signal(jnp.log(2.0))), 9)
    0.5
    """

    beta: float = eqx.field(static=True)
    duration: float = eqx.field(static=True)

    def __init__(self, beta: float = 2.0, duration: float = float("inf")):
        self.beta = check_positive("beta", beta)
        if not duration > 0:
            raise ValueError(f"duration: got {duration}; wants a time above 0.")
        self.duration = duration

    def log_signal(self, time: Scalar) -> Scalar:
        return -0.5 * self.beta * time


class LinearSchedule(AbstractSchedule):
    """β from ``first`` to ``last`` linearly over ``duration``: the DDPM's 1000 steps in the limit.

    The defaults are Ho et al.'s 1e-4 to 0.02 over 1000 steps, as 0.1 to 20 over one unit of time.

    >>> bool(LinearSchedule().signal(jnp.asarray(1.0)) < 0.007)
    True
    """

    first: float = eqx.field(static=True)
    last: float = eqx.field(static=True)
    duration: float = eqx.field(static=True)

    def __init__(self, first: float = 0.1, last: float = 20.0, duration: float = 1.0):
        self.first, self.last = check_positive("first", first), check_positive("last", last)
        self.duration = check_positive("duration", duration)

    def log_signal(self, time: Scalar) -> Scalar:
        slope = (self.last - self.first) / self.duration
        return -0.5 * (self.first * time + 0.5 * slope * time**2)


class CosineSchedule(AbstractSchedule):
    """a(t) = cos(½π(t + s)/(1 + s)) / cos(½π s/(1 + s)), cut where a² is ``floor``.

    >>> float(CosineSchedule().signal(jnp.asarray(0.0)))
    1.0

    Nichol & Dhariwal (2021).
    """

    offset: float = eqx.field(static=True)
    duration: float = eqx.field(static=True)

    def __init__(self, offset: float = 0.008, floor: float = 1e-5):
        self.offset = check_positive("offset", offset)
        if not check_positive("floor", floor) < 1.0:
            raise ValueError(f"floor: got {floor}; wants a least a² below 1.")
        start = np.cos(0.5 * np.pi * offset / (1.0 + offset))
        end = np.arccos(np.sqrt(floor) * start)
        self.duration = float(2.0 / np.pi * (1.0 + offset) * end - offset)

    def __check_init__(self):
        if not (self.offset > 0.0 and 0.0 < self.duration < 1.0):
            raise ValueError(
                f"offset: got {self.offset} with a duration of {self.duration}; wants one above 0, "
                "and a duration below 1."
            )

    def log_signal(self, time: Scalar) -> Scalar:
        angle = 0.5 * jnp.pi / (1.0 + self.offset)
        return jnp.log(jnp.cos(angle * (time + self.offset)) / jnp.cos(angle * self.offset))


class RateSchedule(AbstractSchedule):
    """Any β(t) > 0 on [0, duration]; its integral by Gauss-Legendre on 32 nodes.

    Not for a β that jumps or has a pole: the quadrature is for smooth ones.

    >>> schedule = RateSchedule(lambda t: 2.0 + 0.0 * t, 3.0)
    >>> bool(jnp.isclose(schedule.signal(jnp.asarray(3.0)), jnp.exp(-3.0)))
    True
    """

    function: Callable[[Scalar], Scalar]
    duration: float = eqx.field(static=True)

    def __init__(self, function: Callable[[Scalar], Scalar], duration: float):
        self.function, self.duration = function, check_positive("duration", duration)
        seen = np.asarray(jax.vmap(function)(jnp.linspace(0.0, duration, 101)))
        if not (np.isfinite(seen).all() and (seen >= 0).all() and (seen > 0).any()):
            raise ValueError(
                "function: got rates β(t) that are negative, infinite or all zero; "
                "wants β >= 0 on [0, duration]."
            )

    def log_signal(self, time: Scalar) -> Scalar:
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        places = 0.5 * time * (nodes + 1.0)
        return -0.25 * time * jnp.sum(weights * jax.vmap(self.function)(places))
