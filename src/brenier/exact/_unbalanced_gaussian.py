"""Gaussian to Gaussian with marginals held by a penalty: plan, map and growth in closed form."""

import math
import time
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import check_points, check_positive
from brenier._solution import Result, Solution
from brenier._types import Array, Float, Matrix, Point, Scalar
from brenier.exact._gaussian import Normal, read_normal
from brenier.maps import AffineMap
from brenier.measures import Gaussian


class GaussianGrowth(eqx.Module):
    """e^{−f/τ} for a quadratic potential f: by what the plan's marginal is more than the law.

    log growth = height + ⟨slope, x − centre⟩ + ½⟨x − centre, bend (x − centre)⟩.

    >>> law = (np.zeros(1), np.eye(1))
    >>> solution = solve_unbalanced_gaussian(law, law, source_penalty=1.0, target_penalty=1.0)
    >>> solution.stats["source_growth"](np.array([[0.0], [3.0]])).round(6).tolist()
    [1.0, 1.0]
    """

    centre: Point
    height: Scalar
    slope: Point
    bend: Matrix

    def __call__(self, x: ArrayLike) -> Float[Array, " n"]:
        """Of points (n, d)."""
        z = jnp.asarray(check_points("x", x, dimension=len(self.centre))) - self.centre
        return jnp.exp(self.height + z @ self.slope + 0.5 * jnp.sum(z @ self.bend * z, axis=1))


class _Side(NamedTuple):
    """A law, the logarithm of its mass, r = 1/τ and k = 1 + ε/τ of its penalty."""

    law: Normal
    precision: np.ndarray
    log_mass: float
    rate: float
    inflation: float

    @property
    def covariance(self) -> np.ndarray:
        return self.law.root @ self.law.root.T

    def log_determinant(self) -> float:
        return -float(np.linalg.slogdet(self.precision)[1])


class _Axes(NamedTuple):
    """What is diagonal in the axes of both laws: A'⁻¹ and H₂⁻¹ in G, B'⁻¹ in E = G⁻ᵀ."""

    g: np.ndarray
    e: np.ndarray
    source_precision: np.ndarray
    target_precision: np.ndarray
    source_bend: np.ndarray
    target_bend: np.ndarray


def solve_unbalanced_gaussian(
    source: Any,
    target: Any,
    *,
    source_penalty: float | None,
    target_penalty: float | None,
    source_mass: float = 1.0,
    target_mass: float = 1.0,
    epsilon: float = 0.0,
) -> Solution[AffineMap]:
    """The plan between Gaussians μ and ν of any masses that is the least of

        ∫ ½|x − y|² dπ + ε KL(π | μ ⊗ ν) + τ KL(π₁ | μ) + τ' KL(π₂ | ν),

    KL(p | q) = ∫ log(dp/dq) dp − p + q. It is Gaussian, and its marginals are m N(a', A') and
    m N(b', B'), the laws reweighted by their growth. With r = 1/τ, k = 1 + εr, s and l likewise of
    the target, and G of G Gᵀ = (l B⁻¹ + s)⁻¹, G N⁻¹ Gᵀ = k A⁻¹ + r, N diagonal:

        A'⁻¹ = G N⁻¹ (1 − rNp) Gᵀ,  p = (t − r)/k,  N (t − r)(t − s) = 1 + εt,

    B' likewise, a' − b' = (I + A/(τ + ε) + B/(τ' + ε))⁻¹ (a − b), a' − a = −A (a' − b')/(τ + ε). At
    ε = 0 the map is the Monge map between the reweighted laws. Not for other laws, for which
    nothing bounds what these numbers are off.

    Args:
        source: a ``Gaussian``, or a pair (mean (d,), covariance (d, d)), positive definite.
        target: likewise.
        source_penalty, target_penalty: τ and τ' > 0 in units of ½ squared distance; None holds that
            marginal as it is.
        source_mass, target_mass: of the laws; equal where both marginals are held.
        epsilon: the entropic regularisation, in the same units.

    Returns:
        A ``Solution`` whose map takes x to the mean of where the plan sends it. Its stats:
        ``mass``, the plan's; ``source`` and ``target``, the reweighted laws of unit mass;
        ``source_growth`` and ``target_growth``, functions of points (n, d); ``cost``, E|X − Y|² of
        the plan's unit mass; ``objective``, the least value; ``seconds``.

    Raises:
        ValueError: means or covariances that are invalid or singular, dimensions that do not match,
            masses or penalties that are not above 0, a negative ε.

    >>> solution = solve_unbalanced_gaussian(
    ...     (np.zeros(1), np.eye(1)), (np.full(1, 3.0), np.eye(1)),
    ...     source_penalty=1.0, target_penalty=1.0)
    >>> solution.stats["source"].mean.round(6).tolist(), round(solution.stats["mass"], 6)
    ([1.0], 0.472367)

    Janati, Muzellec, Peyré & Cuturi (2020), for τ = τ'; its limit ε → 0.
    """
    began = time.perf_counter()
    if epsilon != 0.0:
        check_positive("epsilon", epsilon)
    one = _side("source", source, source_mass, source_penalty, epsilon)
    two = _side("target", target, target_mass, target_penalty, epsilon)
    if one.law.mean.shape != two.law.mean.shape:
        raise ValueError(
            f"target: got dimension {len(two.law.mean)}; wants dimension {len(one.law.mean)}."
        )
    if one.rate == two.rate == 0.0 and source_mass != target_mass:
        raise ValueError(
            f"target_mass: got {target_mass} beside a source_mass of {source_mass}; wants equal "
            "masses where no marginal has a penalty."
        )
    axes = _axes(one, two, epsilon)
    a_new, b_new = _means(one, two)
    gap = a_new - b_new
    first = (axes.e / axes.source_precision) @ axes.e.T
    second = (axes.g / axes.target_precision) @ axes.g.T
    matrix = (axes.g / axes.target_bend) @ axes.g.T
    log_mass, heights = _mass(one, two, axes, gap, epsilon)
    bends = (
        (axes.g * axes.source_bend) @ axes.g.T - epsilon * one.precision - np.eye(len(gap)),
        (axes.e * axes.target_bend) @ axes.e.T - epsilon * two.precision - np.eye(len(gap)),
    )
    cost = gap @ gap + np.trace(first) + np.trace(second) - 2.0 * np.trace(first @ matrix)
    objective = -epsilon * (math.exp(log_mass) - source_mass * target_mass)
    for side, height, bend in zip((one, two), heights, bends, strict=True):
        objective += _value(side, height, bend, log_mass)
    stats = {
        "mass": math.exp(log_mass),
        "objective": float(objective),
        "cost": float(cost),
        "source": Gaussian(a_new, first),
        "target": Gaussian(b_new, second),
        "source_growth": _growth(one, a_new, heights[0], gap, bends[0]),
        "target_growth": _growth(two, b_new, heights[1], -gap, bends[1]),
        "seconds": time.perf_counter() - began,
    }
    return Solution(AffineMap(matrix, b_new - matrix @ a_new), Result.successful, stats)


def _side(name: str, law: Any, mass: float, penalty: float | None, epsilon: float) -> _Side:
    normal = read_normal(name, law)
    check_positive(f"{name}_mass", mass)
    rate = 0.0 if penalty is None else 1.0 / check_positive(f"{name}_penalty", penalty)
    present = normal.inverse @ normal.root
    if np.linalg.norm(present - np.eye(len(present))) > 0.5:
        raise ValueError(f"{name}: got a singular covariance; wants a positive definite one.")
    precision = normal.inverse.T @ normal.inverse
    return _Side(normal, precision, math.log(mass), rate, 1.0 + epsilon * rate)


def _axes(one: _Side, two: _Side, epsilon: float) -> _Axes:
    """The simultaneous diagonalisation, and the roots t of its scalar quadratics."""
    r, s, k, l = one.rate, two.rate, one.inflation, two.inflation  # noqa: E741
    unit = np.eye(len(one.precision))
    lower = np.linalg.cholesky(l * two.precision + s * unit)
    inverse = np.linalg.inv(lower)
    middle = inverse @ np.linalg.inv(k * one.precision + r * unit) @ inverse.T
    n, vectors = np.linalg.eigh(0.5 * (middle + middle.T))
    g, e = inverse.T @ vectors, lower @ vectors
    # In t' = t − (r + s + εrs) > 0 no sum below loses digits:
    # N t'² + (N(sk + rl) − ε) t' = kl(1 − Nrs).
    linear = n * (s * k + r * l) - epsilon
    rest = k * l * np.maximum(1.0 - n * r * s, 0.0)
    root = np.sqrt(linear**2 + 4.0 * n * rest)
    t = np.where(linear > 0.0, 2.0 * rest / (linear + root), (root - linear) / (2.0 * n))
    beyond_r, beyond_s = t + s * k, t + r * l
    return _Axes(g, e, t / (n * k * beyond_s), t / (l * beyond_r), beyond_r / k, n * beyond_s / l)


def _means(one: _Side, two: _Side) -> tuple[np.ndarray, np.ndarray]:
    """a' and b', which are nearer to each other than a and b."""
    pulls = [side.rate / side.inflation * side.covariance for side in (one, two)]
    gap = np.linalg.solve(np.eye(len(pulls[0])) + sum(pulls), one.law.mean - two.law.mean)
    return one.law.mean - pulls[0] @ gap, two.law.mean + pulls[1] @ gap


def _mass(
    one: _Side, two: _Side, axes: _Axes, gap: np.ndarray, epsilon: float
) -> tuple[float, tuple[float, float]]:
    """log m, and the potentials f(a') and g(b'), of which one is free where both sides are held."""
    twice = 2.0 * float(np.linalg.slogdet(axes.g)[1])
    new = (
        -twice - float(np.log(axes.source_precision).sum()),
        twice - float(np.log(axes.target_precision).sum()),
    )
    # Of the laws' densities at the new means, over those of the reweighted ones.
    levels = []
    for side, log_determinant in zip((one, two), new, strict=True):
        moved = side.rate / side.inflation * gap
        away = 0.5 * float(moved @ side.covariance @ moved)
        levels.append(
            (side.log_mass + 0.5 * (log_determinant - side.log_determinant()) - away, away)
        )
    (first, _), (second, _) = levels
    total = 0.5 * float(gap @ gap)
    if epsilon > 0.0:
        joint = twice + float(np.log(axes.source_bend).sum()) - len(gap) * math.log(epsilon)
        joint += -new[1] + one.log_determinant() + two.log_determinant()
        masses = one.log_mass + two.log_mass
        total += epsilon * (0.5 * joint - masses + levels[0][1] + levels[1][1])
    r, s = one.rate, two.rate
    if r == s == 0.0:
        log_mass = one.log_mass
        total += epsilon * log_mass
        return log_mass, (0.5 * total, 0.5 * total)
    log_mass = (s * first + r * second - r * s * total) / (r + s + epsilon * r * s)
    total += epsilon * log_mass
    if r > 0.0:
        f = (first - log_mass) / r
        return log_mass, (f, total - f)
    g = (second - log_mass) / s
    return log_mass, (total - g, g)


def _value(side: _Side, height: float, bend: np.ndarray, log_mass: float) -> float:
    """The side's term of the dual."""
    if side.rate > 0.0:
        return -math.exp(side.log_mass) * math.expm1(log_mass - side.log_mass) / side.rate
    return math.exp(side.log_mass) * (height - 0.5 * float(np.trace(bend @ side.covariance)))


def _growth(
    side: _Side, centre: np.ndarray, height: float, gap: np.ndarray, bend: np.ndarray
) -> GaussianGrowth:
    r = side.rate
    values = centre, -r * np.float64(height), -r / side.inflation * gap, r * bend
    return GaussianGrowth(*(jnp.asarray(value) for value in values))
