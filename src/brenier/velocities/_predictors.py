"""Given scores and noise predictors as velocities, and velocities as noise predictors."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from brenier._checks import check_at_least
from brenier._types import Point, Scalar
from brenier.velocities._diffusion import AbstractDiffusionVelocity, noise

# Below this signal (x + score)/a is mostly rounding: the velocity is held constant there, which
# errs by the square of the signal.
_LEAST_SIGNAL = 1e-5
# Above this signal a noise predictor is not evaluated: ε/√(1−a²) has lost half its digits.
_MOST_SIGNAL = 1.0 - 1e-8


class ScoreVelocity(AbstractDiffusionVelocity):
    """dx/da of the diffusion whose score ∇log μ_t(x) is any function of (x, t).

    dx/da = (x + score(x, −log a))/a (Theory (3.3)). Not where a closed form is known
    (``MixtureVelocity``): near a = 0 the sum cancels, and digits are lost.

    Args:
        function: (x (d,), t) to (d,), in JAX, where X_t = e^{-t} X_0 + √(1−e^{-2t}) Z.
        dimension: d.

    >>> import jax.numpy as jnp
    >>> v = ScoreVelocity(lambda x, t: -x / (1.0 + 3.0 * jnp.exp(-2.0 * t)), 1)
    >>> v(1.0, jnp.array([2.0])).tolist()
    [1.5]
    """

    function: Callable[[Point, Scalar], Point]
    size: int = eqx.field(static=True)
    smooth: ClassVar[bool] = True

    def __init__(self, function: Callable[[Point, Scalar], Point], dimension: int):
        if not callable(function):
            raise ValueError(f"function: got {type(function).__name__}; wants a score (x, t).")
        self.function, self.size = function, check_at_least("dimension", dimension, 1)

    @property
    def dimension(self) -> int:
        return self.size

    def at(self, time: Scalar, x: Point) -> Point:
        signal = jnp.maximum(time, _LEAST_SIGNAL)
        return (x + self.function(x, -jnp.log(signal))) / signal


class NoiseVelocity(AbstractDiffusionVelocity):
    """dx/da of the diffusion whose noise E[Z | X_t = x] a predictor gives: any DDPM.

    dx/da = (x − ε(a, x)/√(1−a²))/a with X_t = a X_0 + √(1−a²) Z, a² the ᾱ of a DDPM.

    Args:
        predictor: (a, x (d,)) to (d,), in JAX: the network at signal level a.
        dimension: d.

    >>> import jax.numpy as jnp
    >>> v = NoiseVelocity(lambda a, x: jnp.sqrt(1.0 - a**2) * x / (1.0 + 3.0 * a**2), 1)
    >>> v(0.5, jnp.array([1.75])).tolist()
    [1.5]
    """

    predictor: Callable[[Scalar, Point], Point]
    size: int = eqx.field(static=True)
    smooth: ClassVar[bool] = True

    def __init__(self, predictor: Callable[[Scalar, Point], Point], dimension: int):
        self.predictor, self.size = predictor, dimension

    def __check_init__(self):
        if not callable(self.predictor):
            raise ValueError(f"predictor: got {type(self.predictor).__name__}; wants ε(a, x).")
        check_at_least("dimension", self.size, 1)

    @property
    def dimension(self) -> int:
        return self.size

    def at(self, time: Scalar, x: Point) -> Point:
        signal = jnp.clip(time, _LEAST_SIGNAL, _MOST_SIGNAL)
        return (x - self.predictor(signal, x) / jnp.sqrt(1.0 - signal**2)) / signal


class ExactNoise(eqx.Module):
    """ε(a, x) = E[Z | X_t = x] of a known diffusion: the predictor that a network approximates.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MixtureVelocity
    >>> ExactNoise(MixtureVelocity(Gaussian.standard(1)))(jnp.array(0.6), jnp.ones(1)).tolist()
    [0.8]
    """

    velocity: AbstractDiffusionVelocity

    def __call__(self, signal: Scalar, x: Point) -> Point:
        return noise(self.velocity, signal, x)
