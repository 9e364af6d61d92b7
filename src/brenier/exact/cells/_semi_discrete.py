"""Optimal transport from a density to weighted points: Laguerre cells of the right masses."""

import time
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr

from brenier._checks import (
    as_key,
    check_at_least,
    check_digits,
    check_points,
    check_positive,
    check_weights,
)
from brenier._solution import Result, Solution
from brenier._types import Key
from brenier.exact.cells._planar_newton import solve_plane, starting_offsets
from brenier.exact.cells._quasi_cells import solve_quasi
from brenier.exact.line._laws import quantiles
from brenier.maps import GradientMap
from brenier.measures import AbstractMeasure, Gaussian, GaussianMixture, Uniform
from brenier.numerics import Coordinates
from brenier.potentials import MaxAffine

# Widths below this share of the largest are rounding: the points lie in a subspace.
_FLAT = 1e-12
_MOST_POINTS = 4_000


class _Found(NamedTuple):
    """The cells of centred points under a centred source, and how they were computed."""

    offsets: np.ndarray
    masses: np.ndarray
    moments: np.ndarray
    iterations: int
    method: str
    converged: bool
    # The spread of the dual value between replicates plus its estimated gap; 0 where exact.
    error: float = 0.0


def solve_semi_discrete(
    source: AbstractMeasure,
    points: Any,
    weights: Any = None,
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 500,
    samples: int = 2**14,
    key: Key | None = None,
    throw: bool = True,
) -> Solution[GradientMap]:
    """The Monge map from a density onto Σ_j w_j δ_{y_j}: T = ∇φ, φ(x) = max_j ⟨x, y_j⟩ + b_j, with

        b minimising E φ(X) − Σ_j w_j b_j,  whose gradient is (mass of the cell of y_j) − w_j.

    On the line by quantiles; in the plane by damped Newton steps on masses that are exact to
    rounding (power diagram, integrals over edges). Gaussians and mixtures are first projected onto
    the affine hull of the points, so three points in R^100 are a problem in the plane. Beyond the
    plane the masses are averages over quasi-random points, and the answer has the error that
    ``cost_error`` and ``mass_error`` state, whatever ``tolerance`` is. Not for a source that is
    known by samples only: ``solve_assignment``.

    Args:
        source: a ``Gaussian``, ``GaussianMixture`` or ``Uniform`` measure on R^d.
        points: y, (n, d), distinct; at most 4,000 beyond the plane.
        weights: w, (n,), non-negative, divided by their sum; uniform where None. Points of weight 0
            take no part.
        tolerance: on Σ_j |mass_j − w_j|.
        max_iterations: of Newton's method, in all.
        samples: quasi-random points beyond the plane; 8 more sets of them measure the error.
        key: of the quasi-random points; ``jax.random.key(0)`` where None. Not used up to the plane.
        throw: raise where the tolerance is not reached.

    Returns:
        A ``Solution`` whose map is the ``GradientMap`` of a ``MaxAffine``. Its stats: ``cost``, W₂²
        (the dual value: a lower bound up to rounding, or up to noise beyond the plane);
        ``cost_error``, an estimate (beyond the plane two standard errors and the dual gap);
        ``masses`` (n,) of the cells and ``mass_error``, Σ |mass − w|; ``barycentres`` (n, d) of the
        cells, projected onto the hull of the points (NaN where the weight is 0); ``method``,
        ``iterations``, ``seconds``.

    Raises:
        ValueError: a source of another kind, bad or repeated points, bad weights.
        SolveError: masses that did not reach the tolerance.

    >>> import brenier, numpy as np
    >>> source = brenier.measures.Gaussian.standard(2)
    >>> solution = solve_semi_discrete(source, np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 1.5]]))
    >>> round(solution.stats["cost"], 9), solution.map(np.array([3.0, 0.0])).tolist()
    (1.901400124, [2.0, 0.0])

    Kitagawa, Mérigot & Thibert (2019); Aurenhammer, Hoffmann & Aronov (1998).
    """
    began = time.perf_counter()
    law = _read_source(source)
    y, w, kept = _read_target(points, weights, law.dimension)
    check_positive("tolerance", tolerance)
    check_at_least("max_iterations", max_iterations, 1)
    check_at_least("samples", samples, 2)
    key = as_key("key", key)
    own = _coordinates(law, y, w)
    v = own.encode_target(y)
    axes = _hull_axes(v) if isinstance(law, GaussianMixture) else np.eye(law.dimension)
    centred = _encoded(law, own)
    reduced, flat = _projected(centred, axes), v @ axes
    if len(w) == 1:
        found = _Found(np.zeros(1), np.ones(1), np.zeros((1, axes.shape[1])), 0, "one point", True)
    elif axes.shape[1] == 1:
        found = _by_quantiles(reduced, y, axes[:, 0] / own.scale, w, tolerance)
    elif axes.shape[1] == 2:
        found = _by_cells(reduced, flat, w, tolerance, max_iterations)
    else:
        found = _by_quasi_random(reduced, flat, w, tolerance, max_iterations, samples, key)
    spread = float(np.trace(centred.covariance)) + float(w @ np.sum(v**2, axis=1))
    unit = float(own.scale) ** 2
    moved = float(np.sum(np.square(own.source_shift - own.target_shift)))
    missing = float(np.abs(found.masses - w).sum())
    cost = moved + unit * (
        spread - 2.0 * float(np.sum(found.moments * flat) + (found.masses - w) @ found.offsets)
    )
    transport = GradientMap(
        MaxAffine(
            jnp.asarray(y),
            jnp.asarray(unit * (found.offsets - found.offsets.max())),
            jnp.asarray(-jnp.inf),
            jnp.asarray(own.source_shift),
        )
    )
    rounding = 8.0 * np.finfo(float).eps * (moved + unit * spread)
    exact_error = 0.0 if found.error else missing * float(np.ptp(found.offsets))
    full_masses = np.zeros(len(kept))
    full_masses[kept] = found.masses
    barycentres = np.full((len(kept), law.dimension), np.nan)
    shares = np.where(found.masses > 0, found.masses, np.nan)
    barycentres[kept] = own.decode_source((found.moments / shares[:, None]) @ axes.T)
    stats = {
        "cost": cost,
        "cost_error": unit * (found.error + exact_error) + rounding,
        "masses": full_masses,
        "mass_error": missing,
        "barycentres": barycentres,
        "method": found.method,
        "iterations": found.iterations,
        "seconds": time.perf_counter() - began,
    }
    result = Result.successful if found.converged else Result.not_converged
    return Solution(transport, result, stats).checked(throw)


def _read_source(source: AbstractMeasure) -> GaussianMixture | Uniform:
    """The source in float64, a Gaussian as a mixture of one."""
    if isinstance(source, Uniform):
        return Uniform(np.asarray(source.lower, np.float64), np.asarray(source.upper, np.float64))
    if isinstance(source, Gaussian):
        means, roots, weights = source.mean[None], source.factor[None], jnp.ones(1)
    elif isinstance(source, GaussianMixture):
        means, roots, weights = source.means, source.factors, source.weights
    else:
        raise ValueError(
            f"source: got {type(source).__name__}; wants a Gaussian, GaussianMixture "
            "or Uniform measure (between samples: solve_assignment)."
        )
    factors = np.asarray(roots, np.float64)
    return GaussianMixture(
        np.asarray(weights, np.float64),
        np.asarray(means, np.float64),
        factors @ np.swapaxes(factors, 1, 2),
    )


def _read_target(
    points: Any, weights: Any, dimension: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points of positive weight, their weights, and the mask that picks them."""
    y = check_points("points", points, dimension=dimension)
    check_digits("points", y)
    y = y.astype(np.float64)
    n = len(y)
    w = np.full(n, 1.0 / n) if weights is None else check_weights("weights", weights, n)
    _, first, which = np.unique(y, axis=0, return_index=True, return_inverse=True)
    if len(first) < n:
        row = int(np.flatnonzero(first[which.ravel()] != np.arange(n))[0])
        raise ValueError(
            f"points: got row {row} equal to row {int(first[which.ravel()][row])}; "
            "wants distinct points (merge them, and add their weights)."
        )
    kept = w > 0
    return y[kept], w[kept].astype(np.float64), kept


def _hull_axes(centred: np.ndarray) -> np.ndarray:
    """An orthonormal basis (d, r) of the span of the points; the identity where r is d."""
    d = centred.shape[1]
    _, widths, axes = np.linalg.svd(centred, full_matrices=False)
    rank = max(1, int(np.sum(widths > _FLAT * widths[0])))
    return np.eye(d) if rank == d else axes[:rank].T


def _coordinates(law: GaussianMixture | Uniform, y: np.ndarray, w: np.ndarray) -> Coordinates:
    """Both sides around their means, on the scale of the wider of them."""
    middle = y[0] + w @ (y - y[0])
    spreads = np.sqrt(np.trace(law.covariance)), np.sqrt(w @ np.sum((y - middle) ** 2, axis=1))
    return Coordinates.around(np.asarray(law.mean), middle, float(max(spreads))).on_host()


def _encoded(law: GaussianMixture | Uniform, own: Coordinates) -> GaussianMixture | Uniform:
    """The source in standard coordinates."""
    if isinstance(law, Uniform):
        return Uniform(own.encode_source(law.lower), own.encode_source(law.upper))
    roots = np.asarray(law.factors) / own.scale
    means = own.encode_source(np.asarray(law.means))
    return GaussianMixture(law.weights, means, roots @ np.swapaxes(roots, 1, 2))


def _projected(law: GaussianMixture | Uniform, axes: np.ndarray) -> GaussianMixture | Uniform:
    """The centred source in the coordinates of the axes."""
    if isinstance(law, Uniform):
        return law
    roots = np.swapaxes(np.asarray(law.factors), 1, 2) @ axes
    return GaussianMixture(
        law.weights, np.asarray(law.means) @ axes, np.swapaxes(roots, 1, 2) @ roots
    )


def _by_quantiles(
    law: GaussianMixture | Uniform, y: np.ndarray, axis: np.ndarray, w: np.ndarray, tolerance: float
) -> _Found:
    """On the line the cells are intervals between quantiles."""
    order = np.argsort(y @ axis)
    gaps = np.diff(y[order], axis=0) @ axis
    cuts = np.asarray(quantiles(law, jnp.asarray(np.cumsum(w[order])[:-1])))
    # From the cell of 0 outward: offsets then have digits left for points that nearly coincide.
    middle, steps = np.searchsorted(cuts, 0.0), cuts * gaps
    left, right = np.cumsum(steps[:middle][::-1])[::-1], np.cumsum(steps[middle:])
    heights = np.concatenate([left, [0.0], -right])
    # Where the pieces meet, rounded as they are: these are the cells that the map has.
    cuts = -np.diff(heights) / gaps
    if isinstance(law, Uniform):
        low, high = float(law.lower[0]), float(law.upper[0])
        start, stop = np.append(low, cuts), np.append(cuts, high)
        mass = (stop - start) / (high - low)
        moment = 0.5 * mass * (stop + start)
    else:
        z = (cuts[:, None] - np.asarray(law.means)[:, 0]) / np.asarray(law.factors)[:, 0, 0]
        turn = z > 0
        # Differences of the smaller tails; the sign says which.
        below = np.where(turn, -ndtr(-z), ndtr(z))
        ends = np.zeros((1, z.shape[1]))
        parts = np.diff(np.concatenate([ends, below, ends]), axis=0)
        parts += np.diff(np.concatenate([ends, turn, ends + 1.0]), axis=0)
        bell = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
        bells = -np.diff(np.concatenate([ends, bell, ends]), axis=0)
        mass = parts @ np.asarray(law.weights)
        moment = (
            parts * np.asarray(law.means)[:, 0] + bells * np.asarray(law.factors)[:, 0, 0]
        ) @ np.asarray(law.weights)
    offsets, masses, moments = np.empty(len(w)), np.empty(len(w)), np.empty((len(w), 1))
    offsets[order], masses[order], moments[order, 0] = heights, mass, moment
    done = float(np.abs(masses - w).sum()) <= tolerance
    return _Found(offsets, masses, moments, 0, "quantiles", done)


def _by_cells(
    law: GaussianMixture | Uniform,
    y: np.ndarray,
    w: np.ndarray,
    tolerance: float,
    max_iterations: int,
) -> _Found:
    """In the plane: Newton's method on exact masses."""
    state = solve_plane(law, y, w, tolerance=tolerance, max_iterations=max_iterations)
    return _Found(
        state.offsets,
        state.cells.masses,
        state.cells.moments,
        state.iterations,
        "cells",
        state.error <= tolerance,
    )


def _by_quasi_random(
    law: GaussianMixture | Uniform,
    y: np.ndarray,
    w: np.ndarray,
    tolerance: float,
    max_iterations: int,
    samples: int,
    key: Key,
) -> _Found:
    """Beyond the plane: softened cells on quasi-random points."""
    if len(y) > _MOST_POINTS:
        raise ValueError(
            f"points: got {len(y):,} points in dimension {y.shape[1]}; wants at most "
            f"{_MOST_POINTS:,} beyond the plane (take maps.EntropicMap instead)."
        )
    found = solve_quasi(
        law,
        y,
        w,
        starting_offsets(law, y, w),
        samples=samples,
        key=key,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    noise = 2.0 * float(np.std(found.duals, ddof=1)) / np.sqrt(len(found.duals))
    return _Found(
        found.state.offsets,
        found.masses,
        found.moments,
        found.state.iterations,
        "quasi-random points",
        found.state.error <= tolerance,
        2.0 * noise + found.gap,
    )
