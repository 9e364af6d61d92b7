"""The schedule of a diffusion in steps, in continuous time."""

import functools
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import PchipInterpolator

from brenier._types import Array, Float, Scalar
from brenier.velocities._schedule import AbstractSchedule


class TableSchedule(AbstractSchedule):
    """The signal levels a_k = √ᾱ_k of a diffusion in T steps, at the times 1 … T; 1 at time 0.

    Between them −2 log a is a monotone cubic of the time (Fritsch & Carlson 1980), with a
    continuous derivative: a network that was trained at the steps is called at each of them
    exactly, and a flow through it has no kinks.

    Not for a schedule with a formula: those are smooth.

    Args:
        signals: a_1 > … > a_T, all below 1 and above 0.

    Raises:
        ValueError: fewer than two, or levels that do not fall from below 1 to above 0.

    >>> schedule = TableSchedule((0.9, 0.5, 0.1))
    >>> schedule.levels(3).round(9).tolist()
    [1.0, 0.9, 0.5, 0.1]
    >>> round(float(schedule.time(jnp.asarray(0.5))), 9)
    2.0
    """

    signals: tuple[float, ...] = eqx.field(static=True)
    duration: float = eqx.field(static=True)

    def __init__(self, signals: Sequence[float]):
        self.signals = tuple(float(signal) for signal in signals)
        self.duration = float(len(self.signals))

    def __check_init__(self):
        levels = np.asarray(self.signals, float)
        falling = len(levels) >= 2 and (np.diff(levels) < 0).all()
        if not (falling and levels[0] < 1.0 and levels[-1] > 0.0):
            raise ValueError(
                f"signals: got {len(levels)} levels from {levels.max(initial=0.0):g} to "
                f"{levels.min(initial=0.0):g}; wants at least 2, falling from below 1 to above 0."
            )
        if self.duration != len(levels):
            raise ValueError(f"duration: got {self.duration}; wants {len(levels)}, the steps.")

    def log_signal(self, time: Scalar) -> Scalar:
        nodes, parts = _cubics(self.signals, inverse=False)
        return -0.5 * _value(nodes, parts, jnp.asarray(time, float))

    def time(self, signal: Scalar) -> Scalar:
        """t with a(t) = signal, in [0, T]; whole where the signal is that of a step, rounded.

        In single precision a signal near 1 says its time to some 1e-3 only: a step's own signal
        stands for that step there, and not for its neighbourhood.
        """
        levels = np.concatenate([[1.0], self.signals])
        nodes, parts = _cubics(self.signals, inverse=True)
        given = jnp.asarray(signal)
        exact = given.astype(jnp.result_type(given.dtype, float))
        found = _value(nodes, parts, -2.0 * jnp.log(exact))
        nearest = jnp.clip(jnp.round(found), 0, len(levels) - 1)
        level = jnp.asarray(levels)[nearest.astype(int)]
        same = jnp.abs(level - exact) <= jnp.finfo(given.dtype).eps * level
        return jnp.where(same, nearest, found)


@functools.lru_cache(maxsize=64)
def _cubics(signals: tuple[float, ...], *, inverse: bool) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, and the coefficients (4, T) of the cubics that begin at them, highest power first."""
    depths = -2.0 * np.log(np.concatenate([[1.0], signals]))
    times = np.arange(len(depths), dtype=float)
    cubic = PchipInterpolator(depths, times) if inverse else PchipInterpolator(times, depths)
    return cubic.x, cubic.c


def _value(nodes: np.ndarray, parts: np.ndarray, at: Scalar) -> Float[Array, ""]:
    """The piecewise cubic at one place, constant beyond both ends."""
    inside = jnp.clip(at, nodes[0], nodes[-1])
    piece = jnp.clip(jnp.searchsorted(nodes, inside, side="right") - 1, 0, len(nodes) - 2)
    own = jnp.asarray(parts)[:, piece]
    return jnp.polyval(own, inside - jnp.asarray(nodes)[piece])
