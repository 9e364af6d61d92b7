"""Measures known by their potential: exp(−V)."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax

from brenier._checks import check_at_least, check_key
from brenier._types import Key, Point, Points, Scalar
from brenier.measures._base import AbstractMeasure
from brenier.measures._gaussian import Gaussian
from brenier.numerics import hamiltonian_chains

# Step size and metric are set from all chains, so that a small sample still runs this many.
_FEWEST_CHAINS = 100


class Gibbs(AbstractMeasure):
    """The measure of density proportional to e^{−V}, V given as a function of one point.

    ``log_density`` is −V, UNNORMALISED: right for scores, for gradients of KL and for KL up to a
    constant; not for comparing two measures' densities. ``sample`` runs n independent chains of
    Hamiltonian Monte Carlo; not for modes separated by deep valleys, whose shares it cannot find.

    Args:
        potential: V, (d,) to (), finite and differentiable by JAX on all of R^d.
        dimension: d.
        start: where the chains start; N(0, I) when None. It should cover all modes of e^{−V}.
        warmup: transitions that set step size and metric.
        steps: transitions after that.

    Raises:
        ValueError: a potential whose values are not scalars, or dimensions that do not match.

    >>> import jax
    >>> nu = Gibbs(lambda x: (x**4).sum(), dimension=2)
    >>> nu.score(jax.numpy.array([1.0, 2.0])).tolist()
    [-4.0, -32.0]
    >>> nu.sample(jax.random.key(0), 5).shape
    (5, 2)
    """

    potential: Callable[[Point], Scalar]
    start: AbstractMeasure
    warmup: int = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    has_density: ClassVar[bool] = True

    def __init__(
        self,
        potential: Callable[[Point], Scalar],
        dimension: int,
        *,
        start: AbstractMeasure | None = None,
        warmup: int = 200,
        steps: int = 50,
    ):
        check_at_least("dimension", dimension, 1)
        self.start = Gaussian.standard(dimension) if start is None else start
        if self.start.dimension != dimension:
            raise ValueError(f"start: got dimension {self.start.dimension}; wants {dimension}.")
        shape = jax.eval_shape(potential, jax.ShapeDtypeStruct((dimension,), float)).shape
        if shape != ():
            raise ValueError(f"potential: got values of shape {shape}; wants scalars, ().")
        self.potential = potential
        self.warmup = check_at_least("warmup", warmup, 4)
        self.steps = check_at_least("steps", steps, 1)

    @property
    def dimension(self) -> int:
        return self.start.dimension

    def sample(self, key: Key, n: int) -> Points:
        """The ends of n independent chains."""
        check_key("key", key)
        return _sample(self, key, n)

    def point_log_density(self, x: Point) -> Scalar:
        return -self.potential(x)


@eqx.filter_jit
def _sample(measure: Gibbs, key: Key, n: int) -> Points:
    start_key, key = jax.random.split(key)
    start = measure.start.sample(start_key, max(n, _FEWEST_CHAINS))
    return hamiltonian_chains(
        measure.point_log_density, start, key=key, warmup=measure.warmup, steps=measure.steps
    )[:n]
