"""The interface of a functional on measures, and the moving measure it is evaluated on."""

import abc

import equinox as eqx

from brenier._types import Key, Points, Scalar
from brenier.maps import AbstractMap, Pushforward
from brenier.measures import AbstractMeasure, require_density


class Moving(eqx.Module):
    """The moving measure μ = T#ρ, represented by its particles y_i = T(x_i).

    ``Moving(points)`` is a bare cloud. ``Moving.pushed(map, source, x)`` also keeps x, T and ρ,
    which exact densities and scores need (1.9).

    Args:
        points: y (n, d).
        source_points: x (n, d).
        map: T.
        source: ρ.

    >>> import brenier, jax.numpy as jnp
    >>> double = brenier.maps.AffineMap(2.0 * jnp.eye(1), jnp.zeros(1))
    >>> moving = Moving.pushed(double, brenier.measures.Gaussian.standard(1), jnp.ones((1, 1)))
    >>> moving.points.tolist(), moving.pushforward().score(jnp.ones((1, 1))).tolist()
    ([[2.0]], [[-0.25]])
    """

    points: Points
    source_points: Points | None = None
    map: AbstractMap | None = None
    source: AbstractMeasure | None = None

    @classmethod
    def pushed(cls, map: AbstractMap, source: AbstractMeasure, x: Points) -> "Moving":
        """The particles T(x) of T#ρ."""
        return cls(map(x), x, map, source)

    def pushforward(self) -> Pushforward:
        """T#ρ as a measure with a density; a ``ValueError`` of bare particles."""
        if self.map is None or self.source is None:
            raise ValueError(
                "moving: got bare particles; wants Moving.pushed(map, source, x), because exact "
                "densities and scores are computed through the map (or take KL with "
                "SelfEntropicScore)."
            )
        require_density("source", self.source)
        return Pushforward(self.source, self.map)

    def preimages(self) -> Points:
        """The x_i of the particles T(x_i)."""
        assert self.source_points is not None  # set together with map and source
        return self.source_points


class AbstractFunctional(eqx.Module):
    """A functional F on measures, with its Wasserstein gradient ∇_W F(μ)(y) = ∇(δF/δμ)(y).

    A functional is configuration only: the target is given with each call. The key draws the target
    points that an evaluation needs, if any; the same key gives the same points.

    >>> import jax, jax.numpy as jnp
    >>> from brenier.functionals import PotentialEnergy
    >>> from brenier.measures import Gaussian
    >>> F, mu = PotentialEnergy(lambda y: y @ y), Moving(jnp.array([[1.0], [3.0]]))
    >>> float(F.value(mu, Gaussian.standard(1), key=jax.random.key(0)))
    5.0
    """

    @abc.abstractmethod
    def value(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Scalar:
        """F(μ) from the particles; where it is known up to a constant only, the class says so."""

    @abc.abstractmethod
    def gradient(self, moving: Moving, target: AbstractMeasure, *, key: Key) -> Points:
        """∇_W F(μ) at each particle: (n, d)."""
