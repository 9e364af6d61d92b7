"""Sinkhorn's iteration as a flow from a known density to data: the map of a one-shot generator."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import (
    as_key,
    check_at_least,
    check_digits,
    check_points,
    check_positive,
    check_weights,
)
from brenier._progress import ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Array, Float, Int, Key, Point, Points, Scalar
from brenier.flows._trajectory import Moment, follow
from brenier.maps import AbstractMap, DebiasedMap, GradientMap
from brenier.measures import AbstractMeasure, Gaussian, GaussianMixture, quasi_sample
from brenier.numerics import (
    Coordinates,
    entropic_potential,
    half_shift_covariance,
    inverse_sqrtm_spd,
    plan_error,
    row_mean,
    sinkhorn,
    sqrtm_spd,
)
from brenier.potentials import LogSumExp, Preconditioned

# Particles of the source: at least so many, and as many as there are data.
_FEWEST_PARTICLES = 2048
# Iterations in one compiled loop: between two, progress is told and Ctrl-C heard. The accelerated
# ones start their over-relaxation anew each time, which costs them about ten.
_SWEEPS, _ACCELERATED = 10, 100


def sample_sinkhorn_flow(
    source: AbstractMeasure,
    data: Any,
    *,
    epsilon: float,
    time: float | None = None,
    debias: bool = True,
    particles: int | None = None,
    potential: Any = None,
    tolerance: float = 1e-3,
    max_iterations: int = 2000,
    key: Key | None = None,
    callback: ProgressCallback | None = None,
    throw: bool = True,
    weights: Any = None,
) -> Solution[AbstractMap]:
    """The map from a known e^{−f} onto data y_1, …, y_n, by Sinkhorn's flow at time t = kε.

    With the potential g after k sweeps the entropic map is ∇φ, φ(x) = ε log Σ_j exp((⟨x, y_j⟩ +
    g_j − ½‖y_j‖²)/ε): the mean of where the plan sends x, hence shrunk by O(ε). The half-shift of
    Theory (4.6) takes that back: the sweeps start at φ_0 − (ε/2)f, φ_0 = ½‖x‖², and the map read
    off is ∇φ + (ε/2)∇f, which errs by O(ε²) and reaches beyond the data's convex hull. For a
    Gaussian, f is quadratic and the map the gradient of one convex function, a log-sum-exp plus a
    quadratic. For a mixture f is not convex: a ``DebiasedMap``. Both times f is that of the source
    with covariances larger by O(ε), such that the bias is taken back exactly between Gaussians, by
    (4.7): (ε/2)∇f itself would grow without bound where ε is beyond a variance.

    The source is known, so its side is integrated by quasi-random particles (halving the error).
    Costs one streamed sweep over all pairs an iteration. ``time=None`` goes to the limit, the
    entropic plan, by the accelerated iteration; a short time stops early, which regularises: choose
    it on held-out data. In high dimension few points are near any other: small ε then gives back
    the data. An iteration of potentials, not of a map that learns: there is nothing to hold out,
    and no checkpoint (``potential`` takes up where an earlier run ended).

    Args:
        source: e^{−f}, a ``Gaussian`` or a ``GaussianMixture``, of about the data's mean and scale,
            or φ_0 is far off.
        data: y, (n, d).
        epsilon: ε > 0, in units of ½ squared distance, to be scaled with the data;
            ``default_flow_epsilon`` for a start.
        time: t; rounded to k = t/ε sweeps, at least 1; None for t = ∞.
        debias: the half-shift; without it, the entropic map.
        particles: of the source; by default as many as data, at least 2048.
        potential: g, (n,), to start from, where ``time`` is None.
        tolerance: on the L1 error of the marginals, where ``time`` is None.
        max_iterations: likewise.
        key: of the quasi-random particles; ``jax.random.key(0)`` where None.
        callback: told a ``Progress`` after every 10 sweeps, or 100 accelerated iterations, its
            metric the error.
        throw: raise ``SolveError`` where the tolerance is not reached and ``KeyboardInterrupt`` on
            Ctrl-C; else the ``Result`` says so.
        weights: of the data, (n,), above 0; equal where None. An offset ε log w_j goes with g_j.

    Returns:
        A ``Solution`` with that map. Its stats: ``error``, the L1 error of the plan's marginals (of
        the source's where ``time`` is given: how far ρ_t is from e^{−f}); ``iterations``;
        ``epsilon``; ``potential``, g.

    Raises:
        ValueError: a source of another kind, data or settings that are not what they should be.
        SolveError: not converged; it says how far it is.

    >>> import numpy as np
    >>> y = np.random.default_rng(0).normal(size=(200, 1))
    >>> T = sample_sinkhorn_flow(Gaussian.standard(1), y, epsilon=0.1, particles=256).map
    >>> bool(abs(T(np.array([[1.0]])) - 1.0)[0, 0] < 0.2)
    True

    Deb25; Theory (4.3), (4.6).
    """
    if not isinstance(source, Gaussian | GaussianMixture):
        raise ValueError(
            f"source: got {type(source).__name__}; wants a Gaussian or a "
            "GaussianMixture, whose density and quadrature are known."
        )
    checked = check_points("data", data, dimension=source.dimension)
    check_digits("data", checked)
    shares = None if weights is None else check_weights("weights", weights, len(checked))
    if shares is not None and not shares.all():
        raise ValueError("weights: got weights of 0; wants data that have one above 0.")
    check_positive("epsilon", epsilon)
    check_positive("tolerance", tolerance)
    check_at_least("max_iterations", max_iterations, 1)
    count = max(_FEWEST_PARTICLES, len(checked)) if particles is None else particles
    check_at_least("particles", count, 2)
    # Around the data: what is far from 0 would drown there.
    centre = jnp.asarray(checked[0] + row_mean(checked - checked[0], shares).astype(checked.dtype))
    y, law = jnp.asarray(checked) - centre, _moved(source, -centre)
    draw = as_key("key", key)
    x = quasi_sample(law, count, key=draw).astype(y.dtype)
    eps = jnp.asarray(epsilon, y.dtype)
    shift = _half_shift_law(law, np.asarray(y), epsilon, shares) if debias else None
    b = None if shares is None else jnp.asarray(shares, y.dtype)
    if time is None:
        reached = _Reached(None if potential is None else jnp.asarray(potential, y.dtype))
        limit = max_iterations
        moments = _accelerated(reached, x, y, b, eps, tolerance, limit)
    else:
        check_positive("time", time)
        reached, limit = _Reached(), max(1, round(time / epsilon))
        # Sinkhorn's f is ½‖x‖² − φ.
        f = jnp.zeros(len(x), y.dtype)
        if shift is not None:
            f = -0.5 * eps * shift.log_density(x).astype(y.dtype)
        moments = _swept(reached, x, y, b, f, eps, limit)
    result = follow(moments, limit, stage="Sinkhorn", callback=callback, throw=throw)
    g = jnp.zeros(len(y), y.dtype) if reached.g is None else reached.g
    stats = {
        "error": reached.error,
        "iterations": reached.iterations,
        "epsilon": float(epsilon),
        "potential": np.asarray(g),
    }
    offsets = g if b is None else g + eps * jnp.log(b)
    return Solution(_read_off(shift, y, centre, offsets, eps), result, stats).checked(throw)


@dataclass
class _Reached:
    """The potential g so far, the error of its plan and the iterations it took."""

    g: Float[Array, " m"] | None = None
    error: float = math.inf
    iterations: int = 0


def _accelerated(
    reached: _Reached,
    x: Points,
    y: Float[Array, "m d"],
    b: Float[Array, " m"] | None,
    epsilon: Scalar,
    tolerance: float,
    limit: int,
) -> Iterator[Moment]:
    """Over-relaxed iterations in parts, until the tolerance or the limit."""
    f, converged = None, False
    while not converged:
        plan = sinkhorn(
            x,
            y,
            None,
            b,
            epsilon=epsilon,
            tolerance=tolerance,
            max_iterations=min(_ACCELERATED, limit - reached.iterations),
            f=f,
            g=reached.g,
        )
        f, reached.g, reached.error = plan.f, plan.g, float(plan.error)
        reached.iterations += int(plan.iterations)
        converged = bool(plan.converged)
        # An error of NaN ends the iteration before its limit.
        ended = reached.iterations >= limit or math.isnan(reached.error)
        failed = ended and not converged
        result = Result.not_converged if failed else Result.successful
        yield Moment(reached.iterations, reached.error, result)


def _swept(
    reached: _Reached,
    x: Points,
    y: Float[Array, "m d"],
    b: Float[Array, " m"] | None,
    f: Float[Array, " n"],
    epsilon: Scalar,
    sweeps: int,
) -> Iterator[Moment]:
    """Plain sweeps in parts."""
    while reached.iterations < sweeps:
        count = min(_SWEEPS, sweeps - reached.iterations)
        f, reached.g, gap = _sweep(x, y, b, f, epsilon, jnp.asarray(count))
        reached.error = float(gap)
        reached.iterations += count
        yield Moment(reached.iterations, reached.error)


@jax.jit
def _sweep(
    x: Points,
    y: Float[Array, "m d"],
    b: Float[Array, " m"] | None,
    f: Float[Array, " n"],
    epsilon: Scalar,
    sweeps: Int[Array, ""],
) -> tuple[Float[Array, " n"], Float[Array, " m"], Scalar]:
    """Plain sweeps from f: g = T(f), f = T(g), …; the last two, and how far ρ_k is from e^{−f}."""

    def body(_, carry):
        f, _, _ = carry
        g = entropic_potential(y, x, f, epsilon=epsilon)
        return entropic_potential(x, y, g, b, epsilon=epsilon), g, f

    start = f, jnp.zeros(y.shape[0], y.dtype), f
    f, g, before = jax.lax.fori_loop(0, sweeps, body, start)
    a, equal = (jnp.full(z.shape[0], 1.0 / z.shape[0], z.dtype) for z in (x, y))
    b = equal if b is None else b
    return f, g, plan_error(x, y, a, b, before, g, epsilon)


def _read_off(
    shift: Gaussian | GaussianMixture | None, y: Points, centre: Point, g: Array, epsilon: Scalar
) -> AbstractMap:
    """∇φ, or ∇φ + (ε/2)∇f with the law e^{−f} of the half-shift; both it and y less the centre."""
    offsets = g - 0.5 * jnp.sum(y * y, axis=1)
    one = jnp.ones((), y.dtype)
    if isinstance(shift, Gaussian):
        # u = C^{-1/2}(x − a): ⟨x − a, y⟩ = ⟨u, C^{1/2}y⟩, and (ε/2)f = (ε/4)‖u‖².
        covariance = jnp.asarray(shift.covariance, y.dtype)
        mean = jnp.asarray(shift.mean, y.dtype)
        soft = LogSumExp(
            y @ sqrtm_spd(covariance), offsets + y @ mean, jnp.log(epsilon), jnp.log(0.5 * epsilon)
        )
        return GradientMap(
            Preconditioned(soft, inverse_sqrtm_spd(covariance), centre + mean, centre, one)
        )
    soft = LogSumExp(y, offsets, jnp.log(epsilon), jnp.log(0.0 * one))
    around = Coordinates.around(centre, centre, one)
    map = GradientMap(Preconditioned.in_coordinates(soft, around))
    return map if shift is None else DebiasedMap(map, _moved(shift, centre), epsilon)


def _moved(law: Gaussian | GaussianMixture, by: Point) -> Gaussian | GaussianMixture:
    if isinstance(law, Gaussian):
        return eqx.tree_at(lambda one: one.mean, law, law.mean + by)
    return eqx.tree_at(lambda many: many.means, law, law.means + by)


def _half_shift_law(
    source: Gaussian | GaussianMixture, data: np.ndarray, epsilon: float, shares: np.ndarray | None
) -> Gaussian | GaussianMixture:
    """The source with covariances of ``half_shift_covariance``.

    A mixture is taken to be fitted to the data: the target's covariance is each component's own.
    """
    if isinstance(source, Gaussian):
        target = np.atleast_2d(np.cov(data.astype(np.float64).T, bias=True, aweights=shares))
        return Gaussian(
            source.mean, half_shift_covariance(np.asarray(source.covariance), target, epsilon)
        )
    factors = np.asarray(source.factors)
    covariances = factors @ np.swapaxes(factors, 1, 2)
    blurred = np.stack([half_shift_covariance(c, c, epsilon) for c in covariances])
    return GaussianMixture(source.weights, source.means, blurred)
