"""Potentials φ(x; c) that are convex in x for every value of a condition c."""

import abc
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._types import Array, Batch, BatchLike, BatchScalar, Float
from brenier.numerics import Kriging, code_columns, code_length
from brenier.potentials._base import AbstractPotential
from brenier.potentials._mixture import Mixture
from brenier.potentials._preconditioned import Preconditioned


class AbstractConditionalPotential(eqx.Module):
    """φ(x; c): R^d × R^e → R, convex in x for every c, by construction.

    A subclass says what potential of x it is at one c; value and gradient in x follow, and whatever
    else is done with a potential. A c codes a category by zeros and a 1, a number by itself
    (``numerics.Kriging``).

    >>> import jax.numpy as jnp
    >>> from brenier.potentials import Quadratic
    >>> phi = Unconditional(Quadratic.identity(2), (0,))
    >>> phi.gradient(jnp.array([3.0, 4.0]), jnp.array([0.5])).tolist()
    [3.0, 4.0]
    """

    @property
    @abc.abstractmethod
    def layout(self) -> tuple[int, ...]:
        """For each covariate how many categories it has; 0 for a number."""

    @property
    @abc.abstractmethod
    def dimension(self) -> int:
        """d."""

    @abc.abstractmethod
    def at(self, condition: ArrayLike) -> AbstractPotential:
        """φ(·; c) of one condition c (e,)."""

    def __call__(self, x: BatchLike, condition: ArrayLike) -> BatchScalar:
        """φ(x; c) over leading axes of x: (..., d) to (...)."""
        return self.at(condition)(x)

    def gradient(self, x: BatchLike, condition: ArrayLike) -> Batch:
        """∇φ(x; c) in x over its leading axes: (..., d) to (..., d)."""
        return self.at(condition).gradient(x)


class Unconditional(AbstractConditionalPotential):
    """φ(x; c) = φ(x): the same whatever the condition.

    Args:
        potential: φ.
        code: of a condition: for each covariate how many categories it has, 0 for a number.

    >>> from brenier.potentials import Quadratic
    >>> Unconditional(Quadratic.identity(2), (3,)).at(jnp.zeros(3)).dimension
    2
    """

    potential: AbstractPotential
    code: tuple[int, ...] = eqx.field(static=True)

    @property
    def layout(self) -> tuple[int, ...]:
        return self.code

    @property
    def dimension(self) -> int:
        return self.potential.dimension

    def at(self, condition: ArrayLike) -> AbstractPotential:
        return self.potential


class Blended(AbstractConditionalPotential):
    """φ(x; c) = Σ_k w_k(c) φ_k(x), w ≥ 0, Σ_k w_k = 1: potentials of conditions, blended between.

    Those of other categories than c have no weight, unless none has the categories of c: then all
    have. Among the others one number is interpolated linearly between its neighbours, and several
    by inverse squared distances. So φ(·; c_k) = φ_k, and where two are mixed so are their maps.

    Not for many conditions: all potentials are evaluated at each.

    Args:
        potentials: φ_k, of one dimension.
        knots: c_k, (k, e).
        code: of a condition: for each covariate how many categories it has, 0 for a number.

    >>> from brenier.potentials import Quadratic
    >>> half, double = (Quadratic.from_matrix(s * jnp.eye(1), jnp.zeros(1)) for s in (0.5, 2.0))
    >>> phi = Blended([half, double], jnp.array([[0.0], [1.0]]), (0,))
    >>> float(phi.gradient(jnp.ones(1), jnp.array([0.5]))[0].round(6))
    1.25
    """

    potentials: tuple[AbstractPotential, ...]
    knots: Float[Array, "k e"]
    code: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self, potentials: Sequence[AbstractPotential], knots: ArrayLike, code: Sequence[int]
    ):
        self.potentials, self.knots = tuple(potentials), jnp.asarray(knots)
        self.code = tuple(code)
        wanted = (len(self.potentials), code_length(self.code))
        if not self.potentials or self.knots.shape != wanted:
            raise ValueError(
                f"knots: got shape {self.knots.shape}; wants {wanted}, a condition for each of one "
                "potential or more."
            )

    @property
    def layout(self) -> tuple[int, ...]:
        return self.code

    @property
    def dimension(self) -> int:
        return self.potentials[0].dimension

    def at(self, condition: ArrayLike) -> Mixture:
        return Mixture(self.potentials, self.weights(condition))

    def weights(self, condition: ArrayLike) -> Float[Array, " k"]:
        """w(c), (k,)."""
        here = jnp.asarray(condition, self.knots.dtype)
        agree = _agreeing(self.layout, here, self.knots)
        agree = jnp.where(agree.any(), agree, True)
        numbers = [
            columns.start
            for width, columns in zip(self.layout, code_columns(self.layout), strict=True)
            if width == 0
        ]
        if len(numbers) == 1:
            own = _hats(here[numbers[0]], self.knots[:, numbers[0]], agree)
        else:  # without a number all that agree are equally far
            places = jnp.asarray(numbers, int)
            square = jnp.sum(jnp.square(here[places] - self.knots[:, places]), axis=1)
            # The nearest of those that agree sets the unit: at a knot the others vanish.
            least = jnp.min(jnp.where(agree, square, jnp.inf))
            own = (least + 1e-12) / (square + 1e-12)
        own = jnp.where(agree, own, 0.0)
        return own / jnp.sum(own)


class ConditionalGaussian(AbstractConditionalPotential):
    """φ(x; c) = ψ(M_c x; c) + ⟨b_c, x⟩, M_c = exp(L(c)/2): a Gaussian map for every c, then ψ.

    With ψ = ½‖·‖² the map is x ↦ exp(L(c)) x + b_c, that between Gaussians; L symmetric and b are
    carried from condition to condition by ``Kriging``, and any L gives a convex potential.

    Args:
        residual: ψ, near ½‖·‖².
        logarithm: L(c), (d·d,) of each condition.
        shift: b_c, (d,).

    >>> import numpy as np
    >>> from brenier.potentials import Quadratic
    >>> ends, noise = np.array([[-1.0], [1.0]]), np.full(2, 1e-9)
    >>> line = lambda values: Kriging.fit(ends, (0,), np.array(values), noise=noise)
    >>> phi = ConditionalGaussian(
    ...     Unconditional(Quadratic.identity(1), (0,)), line([[0.0], [2.0]]), line([[0.0], [1.0]])
    ... )
    >>> round(float(phi.gradient(jnp.ones(1), jnp.array([1.0]))[0] - jnp.exp(2.0)), 3)
    1.0
    """

    residual: AbstractConditionalPotential
    logarithm: Kriging
    shift: Kriging

    def __check_init__(self):
        d = self.residual.dimension
        sizes = self.logarithm.trend.shape[-1], self.shift.trend.shape[-1]
        if sizes != (d * d, d):
            raise ValueError(
                f"logarithm, shift: got {sizes} values; wants {(d * d, d)}, in dimension {d}."
            )

    @property
    def layout(self) -> tuple[int, ...]:
        return self.residual.layout

    @property
    def dimension(self) -> int:
        return self.residual.dimension

    def at(self, condition: ArrayLike) -> Preconditioned:
        shift = self.shift(condition)
        unit = jnp.ones((), shift.dtype)
        return Preconditioned(
            self.residual.at(condition), self.root(condition), jnp.zeros_like(shift), shift, unit
        )

    def root(self, condition: ArrayLike) -> Float[Array, "d d"]:
        """M_c = exp(L(c)/2), symmetric and positive definite."""
        d = self.dimension
        logarithm = self.logarithm(condition).reshape(d, d)
        values, vectors = jnp.linalg.eigh(0.5 * (logarithm + logarithm.T))
        return (vectors * jnp.exp(0.5 * values)) @ vectors.T


class ConditionalMixture(AbstractConditionalPotential):
    """φ(x; c) = Σ_i w_i φ_i(x; c), with other weights where the categories of c were not seen.

    Args:
        parts: φ_i, of one dimension and layout.
        weights: w ≥ 0, (2, i): where some knot has the categories of c, and where none has.
        knots: the conditions that were seen, (k, e).

    >>> from brenier.potentials import Quadratic
    >>> half, double = (
    ...     Unconditional(Quadratic.from_matrix(s * jnp.eye(1), jnp.zeros(1)), (2,))
    ...     for s in (0.5, 2.0)
    ... )
    >>> phi = ConditionalMixture([half, double], jnp.eye(2), jnp.array([[1.0, 0.0]]))
    >>> [float(phi.gradient(jnp.ones(1), c)[0].round(6)) for c in jnp.eye(2)]
    [0.5, 2.0]
    """

    parts: tuple[AbstractConditionalPotential, ...]
    weights: Float[Array, "2 i"]
    knots: Float[Array, "k e"]

    def __init__(
        self, parts: Sequence[AbstractConditionalPotential], weights: ArrayLike, knots: ArrayLike
    ):
        self.parts, self.weights = tuple(parts), jnp.asarray(weights)
        self.knots = jnp.asarray(knots)
        if not self.parts or self.weights.shape != (2, len(self.parts)):
            raise ValueError(
                f"weights: got shape {self.weights.shape}; wants two for each of "
                f"{len(self.parts)} parts, of which there is one at least."
            )

    @property
    def layout(self) -> tuple[int, ...]:
        return self.parts[0].layout

    @property
    def dimension(self) -> int:
        return self.parts[0].dimension

    def at(self, condition: ArrayLike) -> Mixture:
        here = jnp.asarray(condition, self.knots.dtype)
        seen = _agreeing(self.layout, here, self.knots).any()
        weights = jnp.where(seen, self.weights[0], self.weights[1])
        return Mixture([part.at(condition) for part in self.parts], weights)


def _agreeing(layout: Sequence[int], here: Float[Array, " e"], knots: Float[Array, "k e"]) -> Array:
    """Which knots have all categories of a condition, (k,)."""
    agree = jnp.ones(len(knots), bool)
    for width, columns in zip(layout, code_columns(layout), strict=True):
        if width:
            agree &= knots[:, columns] @ here[columns] > 0.5
    return agree


def _hats(here: Array, places: Float[Array, " k"], agree: Array) -> Float[Array, " k"]:
    """Weights of piecewise linear interpolation among the places that agree, clamped outside."""
    inside = jnp.clip(
        here,
        jnp.min(jnp.where(agree, places, jnp.inf)),
        jnp.max(jnp.where(agree, places, -jnp.inf)),
    )
    below = jnp.max(jnp.where(agree & (places <= inside), places, -jnp.inf))
    above = jnp.min(jnp.where(agree & (places >= inside), places, jnp.inf))
    gap = above - below
    share = jnp.where(gap > 0, (inside - below) / jnp.where(gap > 0, gap, 1.0), 0.0)
    left, right = (agree & (places == end) for end in (below, above))
    return (1.0 - share) * left / left.sum() + share * right / right.sum()
