"""DDIM: the encoder and the decoder of a DDPM in finitely many steps."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import as_array, check_at_least
from brenier._types import Array, Float, Point, Scalar
from brenier.maps import AbstractMap


class DDIM(AbstractMap):
    """x_{k+1} = a_{k+1} x̂ + √(1−a_{k+1}²) ε, with ε = ε(a_k, x_k), x̂ = (x_k − √(1−a_k²) ε)/a_k.

    Deterministic DDIM (KRCO22 (4)) through any signal levels: falling ones encode, rising ones
    decode. In y = x/a and σ = √(1−a²)/a it is the explicit Euler step y' = y + (σ' − σ) ε of the
    probability flow, so of order 1 in the steps. A last level of 0 is the limit, x = ε.

    Not where accuracy matters more than the count of network calls: take ``ProbabilityFlow``.

    Args:
        predictor: ε(a, x) at one point, in JAX: ``ExactNoise``, or anyone's network.
        levels: (k,), a_0 … a_{k-1} in the order travelled, each above 0 but for the last.
        dimension: d.

    Raises:
        ValueError: levels that are not monotone in [0, 1], or 0 before the last.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import ExactNoise, MixtureVelocity
    >>> noise = ExactNoise(MixtureVelocity(Gaussian.standard(1)))
    >>> E = DDIM(noise, jnp.sin(jnp.linspace(jnp.pi / 2, 0.0, 1000)), 1)
    >>> bool(abs(E(jnp.ones(1))[0] - 1.0) < 0.01)
    True
    """

    # For a network's activations: blocks of 8 images of 28 x 28 stay in a CPU's cache.
    floats_per_dimension: ClassVar[int] = 40
    # The usual number of steps.
    passes: ClassVar[int] = 50
    predictor: Callable[[Scalar, Point], Point]
    levels: Float[Array, " k"]
    size: int = eqx.field(static=True)

    def __init__(
        self, predictor: Callable[[Scalar, Point], Point], levels: ArrayLike, dimension: int
    ):
        self.predictor, self.size = predictor, dimension
        self.levels = as_array("levels", levels, 1)

    def __check_init__(self):
        check_at_least("dimension", self.size, 1)
        if isinstance(self.levels, jax.core.Tracer):
            return
        a = np.asarray(self.levels)
        steps = np.diff(a)
        if len(a) < 2 or a.min() < 0 or a.max() > 1 or not ((steps < 0).all() or (steps > 0).all()):
            raise ValueError(
                f"levels: got {len(a)} signal levels from {a.min():g} to "
                f"{a.max():g}; wants at least 2 in [0, 1], all falling or all rising."
            )
        if (a[:-1] == 0).any():
            raise ValueError(
                "levels: got signal level 0 at the start, where nothing is left of "
                "the data to predict; wants a small first level (1e-3)."
            )

    @property
    def dimension(self) -> int:
        return self.size

    def apply(self, x: Point) -> Point:
        def step(x: Point, pair: tuple[Scalar, Scalar]) -> tuple[Point, None]:
            here, there = pair
            noise = self.predictor(here, x)
            clean = (x - jnp.sqrt(1.0 - here**2) * noise) / here
            return there * clean + jnp.sqrt(1.0 - there**2) * noise, None

        levels = self.levels.astype(x.dtype)
        return jax.lax.scan(step, x, (levels[:-1], levels[1:]))[0]

    def inverse(self) -> AbstractMap:
        raise ValueError(
            "map: got DDIM, whose steps have no exact inverse; wants reversed() for "
            "the steps back, which meets it as the steps shrink."
        )

    def reversed(self) -> "DDIM":
        """DDIM through the same levels the other way: the decoder of an encoder.

        Raises:
            ValueError: levels that end in 0.
        """
        return DDIM(self.predictor, self.levels[::-1], self.size)
