"""Optimal transport on the line: everything follows from the two distribution functions."""

import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import cubature, tanhsinh
from scipy.special import log_ndtr, ndtr, ndtri, roots_legendre

from brenier._checks import as_float_array, check_digits, check_points, check_weights
from brenier._solution import Result, Solution
from brenier.exact._plan import Plan
from brenier.exact.line._laws import (
    Distribution,
    Law,
    ScipyLaw,
    normal_parts,
    quantiles,
    tail_points,
)
from brenier.exact.line._monotone import MonotoneMap
from brenier.measures import AbstractMeasure, Empirical, Gaussian, GaussianMixture, Uniform

# Φ(−25) = 3e-138: SciPy's quantiles fail in tails below 1e-200.
_FARTHEST = 25.0
_RELATIVE = 1e-12
# Relative rounding error of closed forms and long sums.
_ROUNDING = 1e-14
# Intervals of the normal up to this width are integrated by nodes: closed forms cancel there.
_NARROW = 1.0
_NODES, _NODE_WEIGHTS = roots_legendre(16)


class _Atoms(NamedTuple):
    """Sorted atoms, their cumulative weights (the last is 1), and their rows in the input."""

    points: np.ndarray
    levels: np.ndarray
    rows: np.ndarray


def solve_line(
    source: Any,
    target: Any,
    *,
    source_weights: Any = None,
    target_weights: Any = None,
    throw: bool = True,
) -> Solution[MonotoneMap]:
    """The monotone map T = G⁻¹ ∘ F between two laws on the line, and W₂² = ∫ (F⁻¹ − G⁻¹)² du.

    Between two samples the plan and the cost are exact, from the merged cumulative weights. Between
    a sample and a Gaussian mixture or a uniform law the cost is a closed form, atom by atom. In all
    other cases it is a quadrature with a relative error of about 1e-12. Not beyond the line: take
    ``solve_assignment`` or ``solve_semi_discrete``.

    Args:
        source: a sample (n,) or (n, 1); ``Empirical``, ``Gaussian``, ``GaussianMixture`` or
            ``Uniform`` in dimension 1; or a frozen continuous distribution of ``scipy.stats``.
        target: likewise.
        source_weights: of a sample given as an array; uniform where None.
        target_weights: likewise.
        throw: raise where the quadrature did not reach its tolerance.

    Returns:
        A ``Solution`` whose map is a ``MonotoneMap``, with an inverse. Its stats: ``cost``, W₂²;
        ``cost_error``, an estimate; ``seconds``; and between samples ``plan``, a ``Plan`` between
        the rows of the input.

    Raises:
        ValueError: an argument that is no law on the line, or bad samples or weights.
        SolveError: the quadrature of the cost failed, as it does for a law of infinite variance.

    >>> import numpy as np
    >>> solution = solve_line(np.array([3.0, 1.0]), np.array([10.0, 30.0]))
    >>> solution.stats["cost"], solution.map(np.array([[3.0], [1.0]])).ravel().tolist()
    (405.0, [30.0, 10.0])

    Santambrogio (2015), section 2.1.
    """
    began = time.perf_counter()
    x = _read("source", source, source_weights)
    y = _read("target", target, target_weights)
    transport = MonotoneMap(_law(x), _law(y))
    stats: dict[str, Any] = {}
    if isinstance(x, _Atoms) and isinstance(y, _Atoms):
        plan, cost = _merge(x, y)
        error = _ROUNDING * cost
        stats["plan"] = plan
    elif isinstance(x, _Atoms):
        cost, error = _cost_of_atoms(x, transport.target)
    elif isinstance(y, _Atoms):
        cost, error = _cost_of_atoms(y, transport.source)
    else:
        cost, error = _cost_of_densities(transport.source, transport.target)
    stats |= {"cost": cost, "cost_error": error, "seconds": time.perf_counter() - began}
    # Of laws that agree in all digits of their quantiles the cost is rounding.
    reached = math.isfinite(cost) and (
        error <= 1e3 * _RELATIVE * cost or error <= _rounding(transport.source, transport.target)
    )
    result = Result.successful if reached else Result.not_converged
    return Solution(transport, result, stats).checked(throw)


def _read(name: str, law: Any, weights: Any) -> "_Atoms | Law":
    if isinstance(law, Empirical):
        if weights is not None:
            raise ValueError(
                f"{name}_weights: got weights beside an Empirical measure, which has "
                "its own; wants None."
            )
        return _atoms(name, np.asarray(law.points), law.weights)
    known = isinstance(law, AbstractMeasure | Distribution)
    if known and weights is not None:
        raise ValueError(
            f"{name}_weights: got weights beside a {type(law).__name__}; wants None "
            "(weights belong to a sample)."
        )
    if isinstance(law, Gaussian | GaussianMixture | Uniform):
        if law.dimension != 1:
            raise ValueError(f"{name}: got dimension {law.dimension}; wants a law on the line.")
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), law)
    if isinstance(law, AbstractMeasure):
        raise ValueError(
            f"{name}: got {type(law).__name__}, whose distribution function is not "
            "known; wants a sample of it, or a Gaussian, GaussianMixture, Uniform or "
            "frozen SciPy distribution."
        )
    if isinstance(law, Distribution):
        return ScipyLaw(law)
    values = as_float_array(name, law)
    return _atoms(name, values[:, None] if values.ndim == 1 else values, weights)


def _atoms(name: str, points: np.ndarray, weights: Any) -> _Atoms:
    rows = check_points(name, points, dimension=1)
    check_digits(name, rows)
    values = rows[:, 0].astype(np.float64)
    order = np.argsort(values, kind="stable")
    if weights is None:
        levels = np.arange(1, len(values) + 1) / len(values)
    else:
        mass = check_weights(f"{name}_weights", weights, len(values)).astype(np.float64)
        order = order[mass[order] > 0]
        levels = np.cumsum(mass[order])
        levels = levels / levels[-1]
    return _Atoms(values[order], levels, order)


def _law(law: "_Atoms | Law") -> Law:
    if not isinstance(law, _Atoms):
        return law
    # Equal atoms become one, which weighs what they weigh together.
    last = np.append(np.diff(law.points) > 0, True)
    weights = np.diff(law.levels[last], prepend=0.0)
    uniform = len(weights) == len(law.points) and np.ptp(weights) < 1e-14
    return Empirical(law.points[last, None], None if uniform else weights)


def _merge(x: _Atoms, y: _Atoms) -> tuple[Plan, float]:
    """The monotone plan between atoms, from the merged levels of both, and its cost."""
    levels = np.union1d(x.levels, y.levels)
    start = np.concatenate([[0.0], levels[:-1]])
    i = np.searchsorted(x.levels, levels)
    j = np.searchsorted(y.levels, levels)
    mass = levels - start
    cost = float(np.sum(mass * np.square(x.points[i] - y.points[j])))
    return Plan(x.rows[i], y.rows[j], mass), cost


def _cost_of_atoms(atoms: _Atoms, law: Law) -> tuple[float, float]:
    """Σ_i ∫ (x_i − y)² dG(y) over the shares of the atoms."""
    if isinstance(law, ScipyLaw):
        return _cost_by_levels(atoms, law)
    inner = jnp.asarray(atoms.levels[:-1])
    cuts = np.asarray(quantiles(law, inner))
    if isinstance(law, Uniform):
        low, high = float(law.lower[0]), float(law.upper[0])
        start, stop = np.append(low, cuts) - atoms.points, np.append(cuts, high) - atoms.points
        # (b³ − a³)/3 with the difference b − a taken out.
        square = (stop - start) * (start**2 + start * stop + stop**2) / 3.0
        cost = float(square.sum()) / (high - low)
        return cost, _ROUNDING * cost
    assert isinstance(law, Gaussian | GaussianMixture)
    log_weights, means, scales = (np.asarray(part) for part in normal_parts(law))
    cost = sum(
        math.exp(log_weight)
        * scale**2
        * _normal_squares(
            np.append(-np.inf, (cuts - mean) / scale),
            np.append((cuts - mean) / scale, np.inf),
            (atoms.points - mean) / scale,
        )
        for log_weight, mean, scale in zip(log_weights, means, scales, strict=True)
    )
    return float(cost), _ROUNDING * float(cost)


def _normal_squares(start: np.ndarray, stop: np.ndarray, centre: np.ndarray) -> float:
    """Σ_i ∫ (z − c_i)² ϕ(z) dz over the intervals."""
    narrow = stop - start < _NARROW
    half = 0.5 * (stop - start)[narrow, None]
    z = 0.5 * (stop + start)[narrow, None] + half * _NODES
    square = np.square(z - centre[narrow, None]) * np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    total = float(np.sum(half * square * _NODE_WEIGHTS))
    a, b, c = start[~narrow], stop[~narrow], centre[~narrow]
    turn = a > 0
    mass = ndtr(np.where(turn, -a, b)) - ndtr(np.where(turn, -b, a))
    at_a, at_b = (np.exp(-0.5 * t**2) / math.sqrt(2.0 * math.pi) for t in (a, b))
    # t ϕ(t) is 0 at infinity.
    t_a, t_b = (np.where(np.isfinite(t), t, 0.0) for t in (a, b))
    square = (1.0 + c**2) * mass - (t_b - 2.0 * c) * at_b + (t_a - 2.0 * c) * at_a
    return total + float(square.sum())


def _cost_by_levels(atoms: _Atoms, law: Law) -> tuple[float, float]:
    """As ``_cost_of_atoms`` for any law, by quadrature over u = Φ(t), interval by interval."""
    cuts = np.concatenate([[-_FARTHEST], ndtri(atoms.levels[:-1]), [_FARTHEST]])

    def square(t, centre):
        return np.square(centre - _normal_scores(law, t)) * _normal_density(t)

    parts = tanhsinh(square, cuts[:-1], cuts[1:], args=(atoms.points,), rtol=_RELATIVE)
    beyond = square(cuts[[0, -1]], atoms.points[[0, -1]])
    return float(np.sum(parts.integral)), float(np.sum(parts.error) + beyond.sum())


def _cost_of_densities(x: Law, y: Law) -> tuple[float, float]:
    """∫ (F⁻¹ − G⁻¹)² du over u = Φ(t), adaptively: a gap in a law is a jump of its quantiles."""

    def square(t):
        t = t[:, 0]
        return np.square(_normal_scores(x, t) - _normal_scores(y, t)) * _normal_density(t)

    end = np.array([_FARTHEST])
    cuts = [np.array([t]) for t in (-10.0, -5.0, -2.0, 0.0, 2.0, 5.0, 10.0)]
    found = cubature(
        square,
        -end,
        end,
        points=cuts,
        rtol=_RELATIVE,
        atol=max(_rounding(x, y), 1e-300),
        max_subdivisions=20_000,
    )
    # The integrand at the ends of the range: not small where a law has infinite variance.
    beyond = square(np.stack([-end, end]))
    return float(found.estimate), float(found.error + beyond.sum())


def _rounding(x: Law, y: Law) -> float:
    """The cost of laws that agree in all digits of their quantiles, between Φ(−3) and Φ(3)."""
    t = np.linspace(-3.0, 3.0, 7)
    return float((10.0 * _ROUNDING * max(np.abs(_normal_scores(z, t)).max() for z in (x, y))) ** 2)


def _normal_density(t: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * t**2) / math.sqrt(2.0 * math.pi)


def _normal_scores(law: Law, t: np.ndarray) -> np.ndarray:
    """F⁻¹(Φ(t)), from the smaller tail."""
    return np.asarray(tail_points(law, jnp.asarray(log_ndtr(-np.abs(t))), jnp.asarray(t > 0)))
