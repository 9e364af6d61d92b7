"""One map as a path of time: x goes straight, at constant speed, from x to T(x)."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from brenier._checks import check_number
from brenier._warnings import warn_user
from brenier.estimators._fitted import fitted_points
from brenier.maps import AbstractMap, ConjugateMap, GradientMap, SubspaceMap
from brenier.numerics import in_blocks
from brenier.potentials import AbstractPotential, Mixture, Preconditioned, Quadratic

# Points moved at a time.
_BLOCK = 2**14


def interpolated(estimator: Any, X: Any, t: Any) -> np.ndarray:
    """``MongeMap.interpolate``."""
    share = check_number("t", t)
    if not 0.0 <= share <= 1.0:
        warn_user(f"t: got {share:g}, outside of [0, 1], where the paths of points may cross.")
    points = fitted_points(estimator, "X", X)
    points = points if isinstance(points, np.ndarray) else points.toarray()
    return between(estimator.map_, points, share)


def applied(map: AbstractMap, points: np.ndarray) -> np.ndarray:
    """T of points (n, d), in their dtype."""
    if isinstance(map, SubspaceMap):
        return map.of_rows(points)
    return in_blocks(map, points, min(len(points), _BLOCK)).astype(points.dtype, copy=False)


def between(map: AbstractMap, points: np.ndarray, share: float) -> np.ndarray:
    """(1 − s) x + s T(x) of points (n, d), in their dtype."""
    moved = applied(map, points)
    return moved if share == 1.0 else points + points.dtype.type(share) * (moved - points)


def beginning(map: AbstractMap, points: np.ndarray, share: float) -> np.ndarray:
    """The x of which the points (n, d) are (1 − s) x + s T(x), 0 < s < 1: each has one alone.

    With T = ∇φ they are ∇ψ(x), ψ = (1 − s)‖·‖²/2 + s φ, which is strongly convex; with T = ∇φ*, at
    z = T(x), they are (1 − s) ∇φ(z) + s z.

    Raises:
        ValueError: a map that is no gradient of a convex function.
    """
    if isinstance(map, SubspaceMap):
        u = map.coordinates(points)
        start = beginning(map.map, u, share)
        basis, shift = np.asarray(map.basis), np.asarray(map.shift)
        return (points - share * shift + (start - u) @ basis.T).astype(points.dtype, copy=False)
    if isinstance(map, GradientMap):
        found = _solved(map.potential, points, share)
    elif isinstance(map, ConjugateMap):
        end = _solved(map.potential, points, 1.0 - share)
        found = applied(map.inverse(), end)
    else:
        raise ValueError(f"map: got a {type(map).__name__}; wants the gradient of a potential.")
    return found.astype(points.dtype, copy=False)


def _solved(potential: AbstractPotential, points: np.ndarray, share: float) -> np.ndarray:
    """The z with (1 − w) z + w ∇φ(z) = x, of points x (n, d), in units of their own spread."""
    centre = points.mean(axis=0)
    spread = float(np.abs(points - centre).mean()) or 1.0
    if isinstance(potential, Preconditioned):
        potential = Preconditioned(
            potential.potential,
            potential.matrix,
            (potential.source_shift - centre) / spread,
            (potential.target_shift - centre) / spread,
            potential.scale / spread,
        )
    else:
        centre, spread = np.zeros_like(centre), 1.0
    straight = Quadratic.identity(potential.dimension)
    weights = jnp.asarray([1.0 - share, share])
    solve = ConjugateMap(Mixture([straight, potential], weights))
    return centre + spread * applied(solve, (points - centre) / points.dtype.type(spread))
