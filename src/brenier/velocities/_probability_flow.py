"""The probability flow of a diffusion in the user's clock, its encoder and its decoder."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._types import Point, Scalar
from brenier.maps import AbstractMap, AffineMap
from brenier.measures import AbstractMeasure, Empirical, Gaussian, GaussianMixture, TensorTrain
from brenier.numerics import inverse_sqrtm_spd, sqrtm_spd
from brenier.velocities._atoms import AtomsDecoder, AtomsVelocity
from brenier.velocities._base import AbstractVelocity
from brenier.velocities._diffusion import AbstractDiffusionVelocity
from brenier.velocities._flow_map import FlowMap
from brenier.velocities._hyperbolic import HyperbolicClock
from brenier.velocities._mixture import MixtureVelocity
from brenier.velocities._schedule import AbstractSchedule, ConstantSchedule
from brenier.velocities._tensor_train import TensorTrainVelocity, tensor_train_encoder


class ProbabilityFlow(AbstractVelocity):
    """v(t, x) = −½β(t)(x + ∇log μ_t(x)), μ_t the law of X_t = a(t) X_0 + √(1−a²) Z.

    Its flow carries μ_0 to μ_t, and to N(0, I) as t → ∞: the DDPM's encoder (KRCO22 (6), (9);
    Theory (3.1)). It is a transport map, but in general not the optimal one (LS22). Maps are
    integrated in the clock a, in which neither end is stiff (3.3).

    Args:
        source: μ_0: a ``Gaussian`` (its maps are closed forms, Theorem 3.1), a ``GaussianMixture``,
            an ``Empirical`` (atoms), a ``TensorTrain`` (any smooth density, on a grid or given by
            a function), or any ``AbstractDiffusionVelocity`` (a user's score, a network's).
        schedule: a(t); the Ornstein-Uhlenbeck diffusion a = e^{-t} when None.

    Raises:
        ValueError: a source whose score along the diffusion is not known.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> E = ProbabilityFlow(Gaussian(jnp.ones(1), 4.0 * jnp.eye(1))).encoder()
    >>> E(jnp.array([3.0])).tolist()
    [1.0]
    """

    source: AbstractMeasure | AbstractDiffusionVelocity
    schedule: AbstractSchedule
    velocity: AbstractDiffusionVelocity

    def __init__(
        self,
        source: AbstractMeasure | AbstractDiffusionVelocity,
        schedule: AbstractSchedule | None = None,
    ):
        self.source = source
        self.schedule = ConstantSchedule() if schedule is None else schedule
        self.velocity = _diffused(source)

    @property
    def dimension(self) -> int:
        return self.velocity.dimension

    def at(self, time: Scalar, x: Point) -> Point:
        time = eqx.error_if(
            time,
            (time < 0.0) | (time > self.schedule.duration),
            f"time: got one outside [0, {self.schedule.duration}]; wants a time of the schedule.",
        )
        signal = self.schedule.signal(time)
        return -0.5 * self.schedule.rate(time) * signal * self.velocity.at(signal, x)

    def encoder(
        self, start: float = 0.0, stop: float | None = None, *, tolerance: float = 1e-9
    ) -> AbstractMap:
        """x(start) ↦ x(stop), from the measure towards N(0, I).

        Args:
            start: t from which; 0 is μ_0 itself (above 0 for atoms, whose flow begins later).
            stop: t to which; None is t = ∞, N(0, I) itself.
            tolerance: of the integration.

        Raises:
            ValueError: negative times, a stop before the start, a start at 0 for atoms.
        """
        signals = self._signal("start", start), 0.0 if stop is None else self._signal("stop", stop)
        if signals[0] < signals[1]:
            raise ValueError(f"stop: got {stop}; wants a time from {start} on.")
        if isinstance(self.source, Gaussian):
            return _gaussian_flow(self.source, *signals)
        if isinstance(self.source, TensorTrain) and signals == (1.0, 0.0):
            return tensor_train_encoder(self.source, tolerance=tolerance)
        if self.velocity.smooth:
            return FlowMap(self.velocity, *signals, tolerance=tolerance)
        if signals[0] >= 1.0:
            raise ValueError(
                f"start: got {start}, where the measure is made of atoms; wants a time above 0."
            )
        clock = HyperbolicClock(self.velocity)
        return FlowMap(clock, *np.arctanh(signals), tolerance=tolerance)

    def decoder(
        self, start: float = 0.0, stop: float | None = None, *, tolerance: float = 1e-9
    ) -> AbstractMap:
        """x(stop) ↦ x(start), from N(0, I) back to the measure: the inverse of ``encoder``.

        Args and errors as for ``encoder``. The atoms of an ``Empirical`` source (start 0) are
        reached from t = ∞ only, by an ``AtomsDecoder``.
        """
        if isinstance(self.source, Empirical) and start == 0.0 and stop is None:
            return AtomsDecoder(self.source, tolerance=tolerance)
        return self.encoder(start, stop, tolerance=tolerance).inverse()

    def _signal(self, name: str, time: float) -> float:
        if not 0.0 <= time <= self.schedule.duration:
            raise ValueError(f"{name}: got {time}; wants a time in [0, {self.schedule.duration}].")
        return float(self.schedule.signal(jnp.asarray(time, float)))


def _diffused(source: Any) -> AbstractDiffusionVelocity:
    if isinstance(source, AbstractDiffusionVelocity):
        return source
    if isinstance(source, Gaussian | GaussianMixture):
        return MixtureVelocity(source)
    if isinstance(source, Empirical):
        return AtomsVelocity(source)
    if isinstance(source, TensorTrain):
        return TensorTrainVelocity(source)
    raise ValueError(
        f"source: got {type(source).__name__}, whose score along the diffusion is not known; wants "
        "a Gaussian, a GaussianMixture, an Empirical, a TensorTrain (of any smooth density), or an "
        "AbstractDiffusionVelocity (ScoreVelocity, NoiseVelocity)."
    )


def _gaussian_flow(source: Gaussian, start: float, stop: float) -> AffineMap:
    """Σ(b)^{1/2} Σ(a)^{-1/2} (x − a m) + b m, Σ(a) = I + a²(Σ − I) (Theory (3.4); Theorem 3.1)."""
    identity = jnp.eye(source.dimension, dtype=source.mean.dtype)
    # Not I + a²(Σ − I), which has no digits of a small Σ.
    before, after = (a**2 * source.covariance + (1.0 - a**2) * identity for a in (start, stop))
    # Functions of one matrix: they commute, and the product is symmetric.
    matrix = sqrtm_spd(after) @ inverse_sqrtm_spd(before)
    return AffineMap(0.5 * (matrix + matrix.T), stop * source.mean - start * matrix @ source.mean)
