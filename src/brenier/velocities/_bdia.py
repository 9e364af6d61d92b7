"""BDIA: a diffusion's encoder and decoder in finitely many steps, each the other's inverse."""

from collections.abc import Callable
from typing import ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import as_array, as_points, check_at_least, check_positive
from brenier._types import Array, BatchLike, Float, Point, Scalar
from brenier.maps import AbstractMap

Pair: TypeAlias = tuple[Point, Point]


class BDIA(AbstractMap):
    """x_{k+1} = D_{k→k+1}(x_k) + γ (x_{k−1} − D_{k→k−1}(x_k)), a map of pairs (x_0, x_1).

    D_{k→j}(x) is the DDIM step from level a_k to a_j with ε(a_k, x). Of three neighbours any outer
    one follows from the other two without an error of approximation: from (x_0, x_1), concatenated
    in R^{2d}, to (x_K, x_{K−1}), in that order, and back by the same rule with 1/γ. ``paired``
    makes the x_1 of a point by a DDIM step. Bi-directional integration (Zhang et al. 2023).

    Not for codes of d numbers: DDIM's are, without an inverse; the adaptive flow's are, with one to
    its tolerance.

    Args:
        predictor: ε(a, x) at one point, in JAX.
        levels: (k,), a_0 … a_K in the order travelled, all above 0.
        dimension: d; the map's own is 2d.
        weight: γ; 1 is the symmetric rule, smaller ones damp the difference from DDIM.

    Raises:
        ValueError: fewer than three levels, levels outside of (0, 1], or a weight that is not
            above 0.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import ExactNoise, MixtureVelocity
    >>> noise = ExactNoise(MixtureVelocity(Gaussian(jnp.ones(1), 0.25 * jnp.eye(1))))
    >>> E = BDIA(noise, jnp.linspace(0.999, 0.1, 20), 1)
    >>> pair = E.paired(jnp.array([1.3]))
    >>> bool(abs(E.inverse()(E(pair)) - pair).max() < 1e-9)
    True
    """

    floats_per_dimension: ClassVar[int] = 40  # as DDIM's
    passes: ClassVar[int] = 50
    predictor: Callable[[Scalar, Point], Point]
    levels: Float[Array, " k"]
    size: int = eqx.field(static=True)
    weight: float = eqx.field(static=True)

    def __init__(
        self,
        predictor: Callable[[Scalar, Point], Point],
        levels: ArrayLike,
        dimension: int,
        weight: float = 1.0,
    ):
        self.predictor, self.size = predictor, dimension
        self.levels = as_array("levels", levels, 1)
        self.weight = check_positive("weight", weight)

    def __check_init__(self):
        check_at_least("dimension", self.size, 1)
        if isinstance(self.levels, jax.core.Tracer):
            return
        a = np.asarray(self.levels)
        if len(a) < 3 or not (a > 0.0).all() or not (a <= 1.0).all():
            raise ValueError(
                f"levels: got {len(a)} signal levels from {a.min(initial=1.0):g} to "
                f"{a.max(initial=0.0):g}; wants at least 3, above 0 and at most 1."
            )

    @property
    def dimension(self) -> int:
        return 2 * self.size

    def paired(self, x: BatchLike) -> Float[Array, "*batch _"]:
        """Points (..., d) with what follows them by one DDIM step, (..., 2d)."""
        points = as_points("x", x, self.size)
        seconds = jnp.vectorize(self._second, signature="(d)->(d)")(points)
        return jnp.concatenate([points, seconds], axis=-1)

    def apply(self, x: Point) -> Point:
        levels = self.levels
        around = jnp.stack([levels[:-2], levels[1:-1], levels[2:]], axis=1)

        def step(pair: Pair, near: Float[Array, " 3"]) -> tuple[Pair, None]:
            before, now = pair
            noise = self.predictor(near[1], now).astype(now.dtype)
            back, on = (_moved(now, noise, near[1], level) for level in (near[0], near[2]))
            return (now, on + self.weight * (before - back)), None

        (last_but_one, last), _ = jax.lax.scan(step, (x[: self.size], x[self.size :]), around)
        return jnp.concatenate([last, last_but_one])

    def inverse(self) -> "BDIA":
        """The same rule through the same levels the other way."""
        return BDIA(self.predictor, self.levels[::-1], self.size, 1.0 / self.weight)

    def _second(self, x: Point) -> Point:
        first, second = self.levels[0], self.levels[1]
        return _moved(x, self.predictor(first, x).astype(x.dtype), first, second)


def _moved(x: Point, noise: Point, here: Scalar, there: Scalar) -> Point:
    """The DDIM step from one level to another."""
    a, b, a_next, b_next = (
        part.astype(x.dtype)
        for level in (here, there)
        for part in (level, jnp.sqrt((1.0 - level) * (1.0 + level)))
    )
    return a_next * (x - b * noise) / a + b_next * noise
