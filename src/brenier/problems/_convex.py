"""Known convex potentials: any source, its image, and the Monge map between them (Brenier)."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least
from brenier._types import Point, Scalar
from brenier.maps import GradientMap, Pushforward
from brenier.measures import AbstractMeasure, Gaussian, GaussianMixture
from brenier.potentials import AbstractPotential, LogSumExp
from brenier.problems._problem import Problem


class RadialPotential(AbstractPotential):
    """φ(x) = ½‖x‖² + a√(c² + ‖x‖²), with ∇φ(x) = g(‖x‖)x/‖x‖, g(r) = r + a r/√(c² + r²).

    The potential of ``radial``; fixed, not to be learned.

    Args:
        origin: 0, (d,): it fixes the dimension and the dtype.
        swell: a > −c; above 0 the map spreads the centre out, below 0 it contracts it.
        core: c > 0, the radius within which that happens.

    >>> RadialPotential(jnp.zeros(2), 5.0, 4.0).gradient(jnp.array([3.0, 0.0])).tolist()
    [6.0, 0.0]
    """

    origin: Point
    swell: float = eqx.field(static=True)
    core: float = eqx.field(static=True)

    def __check_init__(self):
        if not (self.core > 0 and self.swell > -self.core):
            raise ValueError(
                f"swell: got {self.swell} with core {self.core}; wants core > 0 and swell > -core."
            )

    @property
    def dimension(self) -> int:
        return self.origin.shape[-1]

    def value(self, x: Point) -> Scalar:
        square = x @ x
        return 0.5 * square + self.swell * jnp.sqrt(self.core**2 + square)

    def strong_convexity(self) -> Scalar:
        return jnp.asarray(1.0 + min(self.swell, 0.0) / self.core, self.origin.dtype)


class SeparablePotential(AbstractPotential):
    """φ(x) = Σ_i ½x_i² + a_i log cosh x_i, with T_i(x) = x_i + a_i tanh x_i: monotone per axis.

    The potential of ``separable``; fixed, not to be learned.

    Args:
        amplitudes: a, (d,), above −1.

    >>> SeparablePotential(jnp.array([2.0])).gradient(jnp.zeros(1)).tolist()
    [0.0]
    """

    amplitudes: Point

    @property
    def dimension(self) -> int:
        return self.amplitudes.shape[-1]

    def value(self, x: Point) -> Scalar:
        log_cosh = jnp.logaddexp(x, -x) - math.log(2.0)
        return 0.5 * (x @ x) + self.amplitudes @ log_cosh

    def strong_convexity(self) -> Scalar:
        return 1.0 + jnp.minimum(jnp.min(self.amplitudes), 0.0)


def known(
    name: str, source: AbstractMeasure, potential: AbstractPotential, citation: str
) -> Problem:
    """The problem that ∇φ solves: the target is its image, with exact samples and density."""
    map = GradientMap(potential)
    return Problem(name, source, Pushforward(source, map), map, citation)


def radial(dimension: int, *, swell: float = 2.0, core: float = 0.5) -> Problem:
    """N(0, I) and its image under T*(x) = g(‖x‖)x/‖x‖, g as in ``RadialPotential``: a thick shell.

    Args:
        dimension: d.
        swell, core: a and c of ``RadialPotential``.

    >>> problem = radial(3, swell=5.0, core=4.0)
    >>> problem.map(jnp.array([3.0, 0.0, 0.0])).tolist()
    [6.0, 0.0, 0.0]
    """
    check_at_least("dimension", dimension, 1)
    potential = RadialPotential(jnp.zeros(dimension), swell, core)
    return known(
        f"radial-{dimension}",
        Gaussian.standard(dimension),
        potential,
        "closed form: a radial monotone map is the gradient of a convex function",
    )


def separable(dimension: int) -> Problem:
    """N(0, I) and its image under T*_i(x) = x_i + a_i tanh x_i, a from 3 down to −0.7.

    >>> separable(2).dimension
    2
    """
    check_at_least("dimension", dimension, 1)
    amplitudes = jnp.asarray(np.linspace(3.0, -0.7, dimension))
    return known(
        f"separable-{dimension}",
        Gaussian.standard(dimension),
        SeparablePotential(amplitudes),
        "closed form: monotone maps of the axes are together the gradient of a convex function",
    )


def random_convex(
    dimension: int, *, pieces: int | None = None, source: str = "gaussian", seed: int = 0
) -> Problem:
    """T* = ∇φ, φ a random log-sum-exp plus a quadratic: known answers in any dimension.

    With seed 0, the best affine map leaves 9, 16 and 32 per cent of the target's variance
    unexplained in d = 2, 8 and 32 (4 and 14 per cent from the mixture in d = 2 and 8).

    Args:
        dimension: d.
        pieces: of the log-sum-exp; 4 d + 4 when None.
        source: "gaussian", N(0, I), or "mixture", three Gaussians in random places.
        seed: of the potential and the mixture.

    >>> import jax
    >>> problem = random_convex(8, seed=3)
    >>> x = problem.source.sample(jax.random.key(0), 10)
    >>> bool(jnp.allclose(problem.map.inverse()(problem.map(x)), x))
    True
    """
    check_at_least("dimension", dimension, 1)
    if source not in ("gaussian", "mixture"):
        raise ValueError(f"source: got {source!r}; wants 'gaussian' or 'mixture'.")
    count = 4 * dimension + 4 if pieces is None else check_at_least("pieces", pieces, 1)
    rng = np.random.default_rng(seed)
    # Slopes twice as long as the points of the source: the map is then as nonlinear as it is large.
    length = 2.0 * math.sqrt(dimension)
    slopes = length * _directions(rng, count, dimension)
    offsets = 0.5 * length * rng.normal(size=count)
    potential = LogSumExp(
        jnp.asarray(slopes),
        jnp.asarray(offsets),
        jnp.asarray(math.log(0.3 * length)),
        jnp.asarray(math.log(0.5)),
    )
    measure: AbstractMeasure = Gaussian.standard(dimension)
    if source == "mixture":
        covariances = np.tile(0.3 * np.eye(dimension), (3, 1, 1))
        measure = GaussianMixture(
            np.full(3, 1.0 / 3.0), 2.0 * _directions(rng, 3, dimension), covariances
        )
    name = f"convex-{dimension}" if source == "gaussian" else f"convex-mixture-{dimension}"
    return known(
        name,
        measure,
        potential,
        "after Korotin et al. (2021), Do neural optimal transport solvers work?",
    )


def _directions(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    """Unit vectors, (count, d)."""
    vectors = rng.normal(size=(count, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
