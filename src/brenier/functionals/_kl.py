"""The relative entropy, with the score of the moving measure exact or estimated from particles."""

import abc

import equinox as eqx
import jax.numpy as jnp

from brenier._checks import check_positive
from brenier._types import Key, Points, Scalar
from brenier.functionals._base import AbstractFunctional, Moving
from brenier.measures import AbstractMeasure, require_density
from brenier.numerics import default_epsilon, self_entropic_score, self_transport


class AbstractScore(eqx.Module):
    """How ∇log μ and ∫ log μ dμ of the moving measure are found.

    >>> import brenier
    >>> double = brenier.maps.AffineMap(2.0 * jnp.eye(1), jnp.zeros(1))
    >>> moving = Moving.pushed(double, brenier.measures.Gaussian.standard(1), jnp.zeros((1, 1)))
    >>> round(float(ExactScore().negative_entropy(moving)), 4)  # −½ log 2π − log 2, at 0
    -1.6121
    """

    @abc.abstractmethod
    def score(self, moving: Moving) -> Points:
        """∇log μ at each particle: (n, d)."""

    @abc.abstractmethod
    def negative_entropy(self, moving: Moving) -> Scalar:
        """∫ log μ dμ; where it is known up to a constant only, the class says so."""


class ExactScore(AbstractScore):
    """∇log(T#ρ)(T(x)) = (DT)⁻ᵀ∇ₓ[log ρ − log det DT](x), exact where log ρ is known (1.9).

    Not for bare particles, nor for a source without density: ``SelfEntropicScore``.

    >>> import brenier
    >>> double = brenier.maps.AffineMap(2.0 * jnp.eye(1), jnp.zeros(1))
    >>> moving = Moving.pushed(double, brenier.measures.Gaussian.standard(1), jnp.ones((1, 1)))
    >>> ExactScore().score(moving).tolist()  # of N(0, 4), at 2
    [[-0.5]]
    """

    def score(self, moving: Moving) -> Points:
        return moving.pushforward().score_at(moving.preimages())

    def negative_entropy(self, moving: Moving) -> Scalar:
        return jnp.mean(moving.pushforward().log_density_at(moving.preimages()))


class SelfEntropicScore(AbstractScore):
    """−(2/ε)∇f, f the entropic potential of μ transported to itself (1.10).

    Needs particles only. Its bias grows with ε, its noise with 1/ε. Not where ρ has a density:
    take ``ExactScore``.

    Args:
        epsilon: ε, in units of squared length; by default 0.05 times the median squared distance
            of the particles, computed anew at each call.

    >>> pair = Moving(jnp.array([[-1.0], [1.0]]))
    >>> score = SelfEntropicScore(epsilon=1.0).score(pair)[:, 0]
    >>> bool(score[0] > 0 > score[1]), bool(jnp.isclose(score[0], -score[1]))  # back to the middle
    (True, True)

    DLV26, Remark 3.11.
    """

    epsilon: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.epsilon is not None:
            check_positive("epsilon", self.epsilon)

    def score(self, moving: Moving) -> Points:
        return self_entropic_score(moving.points, epsilon=self.epsilon)

    def negative_entropy(self, moving: Moving) -> Scalar:
        """−(2/ε) mean f − (d/2) log 2πε: ∫ log μ dμ as ε → 0, with the score as its gradient."""
        y = moving.points
        epsilon = default_epsilon(y) if self.epsilon is None else jnp.asarray(self.epsilon, y.dtype)
        potential = self_transport(y, epsilon=epsilon).potential
        constant = 0.5 * y.shape[1] * jnp.log(2.0 * jnp.pi * epsilon)
        return -(2.0 / epsilon) * jnp.mean(potential) - constant


class KL(AbstractFunctional):
    """F(μ) = KL(μ | ν) = ∫ log(μ/ν) dμ, with ∇_W F = ∇log μ − ∇log ν (Theory (1.11)).

    The target needs a log-density; where that is known up to a constant only, so is the value. Not
    for a target known by samples only: ``MMD`` or ``SinkhornDivergence``. DLV26, section 3.4.

    Args:
        score: ``ExactScore()`` or ``SelfEntropicScore()``.

    >>> import brenier, jax
    >>> standard = brenier.measures.Gaussian.standard(1)
    >>> double = brenier.maps.AffineMap(2.0 * jnp.eye(1), jnp.zeros(1))
    >>> moving = Moving.pushed(double, standard, jnp.ones((1, 1)))
    >>> KL(ExactScore()).gradient(moving, standard, key=jax.random.key(0)).tolist()
    [[1.5]]
    """

    score: AbstractScore = SelfEntropicScore()

    def value(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Scalar:
        require_density("target", target)
        potential = -jnp.mean(target.log_density(moving.points))
        return self.score.negative_entropy(moving) + potential

    def gradient(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Points:
        require_density("target", target)
        return self.score.score(moving) - target.score(moving.points)
