"""The Knothe-Rosenblatt rearrangement of N(0, I₂) onto the image of a known Monge map."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import PchipInterpolator, RectBivariateSpline
from scipy.special import ndtr, ndtri

from brenier._types import Array, Float
from brenier.potentials import AbstractPotential

# Levels t of the first image coordinate, points of each level's curve, quantiles of the second.
_LEVELS, _CURVE, _QUANTILES = 401, 1601, 401
# Beyond so many standard deviations the map is that of the nearest point within.
_FAR = 5.0
# Halvings of the bracket leave 1e-6, which steps of Newton square.
_BRACKET, _HALVINGS, _STEPS = 24.0, 24, 2


def knothe(potential: AbstractPotential) -> Callable[[np.ndarray], np.ndarray]:
    """T(z) = (F₁⁻¹(Φ(z₁)), F₂⁻¹(Φ(z₂) | T₁)), F the law of ∇φ(X), X ∼ N(0, I₂).

    As φ is strictly convex, {∂₁φ = t} is a curve x₁ = c_t(x₂), along which ∂₂φ increases. So F₁(t)
    = E Φ(c_t(X₂)), and the law of ∂₂φ(X) given ∂₁φ(X) = t has the density γ(c_t)γ(x₂)/∂₁₁φ in x₂:
    no density of the image is inverted. Tables of both, and a spline through them.

    Args:
        potential: φ in the plane, smooth and strongly convex.

    >>> from brenier.potentials import Quadratic
    >>> import jax.numpy as jnp
    >>> map = knothe(Quadratic.from_matrix(jnp.diag(jnp.array([3.0, 0.5])), jnp.zeros(2)))
    >>> map(np.array([[1.0, -2.0]])).round(4).tolist()
    [[3.0, -1.0]]
    """
    second = np.linspace(-_FAR - 2.0, _FAR + 2.0, _CURVE)
    levels = _reach(potential)
    curves = _curves(potential, jnp.asarray(levels), jnp.asarray(second))
    first, images, stretch = (np.asarray(part) for part in curves)
    normal = np.exp(-0.5 * second**2)
    place = _normal_score(
        np.sum(normal * ndtr(first), axis=1), np.sum(normal * ndtr(-first), axis=1)
    )
    weights = normal * np.exp(-0.5 * first**2) / stretch
    scores = np.linspace(-_FAR, _FAR, _QUANTILES)
    table = np.stack([_along(*row, scores) for row in zip(weights, images, strict=True)])
    inside = np.abs(place) <= _FAR + 0.5
    to_level = PchipInterpolator(place[inside], levels[inside])
    to_second = RectBivariateSpline(place[inside], scores, table[inside])

    def map(z: np.ndarray) -> np.ndarray:
        a, b = np.clip(z, -_FAR, _FAR).T
        return np.stack([to_level(a), to_second.ev(a, b)], axis=1)

    return map


def _reach(potential: AbstractPotential) -> np.ndarray:
    """Levels of ∂₁φ over the square that holds all but the far tails, as dense as its images."""
    axis = jnp.linspace(-_FAR - 1.5, _FAR + 1.5, _LEVELS)
    lines = jnp.linspace(-3.0, 3.0, 7)
    # Means over lines: increasing, and dense where ∂₁φ is flat.
    grid = jnp.stack(jnp.meshgrid(axis, lines, indexing="ij"), axis=-1)
    return np.asarray(jnp.mean(potential.gradient(grid)[..., 0], axis=1))


@eqx.filter_jit
def _curves(
    potential: AbstractPotential, levels: Float[Array, " m"], second: Float[Array, " k"]
) -> tuple[Float[Array, "m k"], Float[Array, "m k"], Float[Array, "m k"]]:
    """c_t(x₂), and ∂₂φ and ∂₁₁φ there."""

    def curve(level, other):
        def gradient(place):
            return jax.grad(potential.value)(jnp.stack([place, other]))

        def halve(_, ends):
            low, high = ends
            middle = 0.5 * (low + high)
            above = gradient(middle)[0] > level
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        bracket = jnp.asarray(_BRACKET)
        low, high = jax.lax.fori_loop(0, _HALVINGS, halve, (-bracket, bracket))
        place = 0.5 * (low + high)
        for _ in range(_STEPS):
            slopes, rates = jax.jvp(gradient, (place,), (jnp.ones_like(place),))
            place = place - (slopes[0] - level) / rates[0]
        slopes, rates = jax.jvp(gradient, (place,), (jnp.ones_like(place),))
        return place, slopes[1], rates[0]

    return jax.vmap(lambda level: jax.vmap(lambda other: curve(level, other))(second))(levels)


def _along(weights: np.ndarray, images: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Quantiles, at levels Φ(scores), of the law on a curve that has these weights."""
    steps = 0.5 * (weights[1:] + weights[:-1])
    below = np.concatenate([[0.0], np.cumsum(steps)])
    above = np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])
    place = _normal_score(below, above)
    known = np.isfinite(place) & (np.abs(place) < _FAR + 2.0)
    place, images = place[known], images[known]
    rising = np.concatenate([[True], np.diff(place) > 0])
    return PchipInterpolator(place[rising], images[rising])(scores)


def _normal_score(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Φ⁻¹(below / (below + above)), with the digits of both tails."""
    total = below + above
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below < above, ndtri(below / total), -ndtri(above / total))
