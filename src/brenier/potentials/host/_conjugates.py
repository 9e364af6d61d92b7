"""Convex conjugates at many points, on the host."""

from typing import NamedTuple

import numpy as np

from brenier.potentials.host._potentials import HostPotential

# Newton steps are cut by this factor, at most so often.
_CUT, _CUTS, _ARMIJO = 0.3, 25, 1e-4
# A Hessian is raised by so many roundings of its mean eigenvalue, which leaves it a pivot; heights
# are known to so many.
_RIDGE, _SLACK = 30.0, 100.0


class HostConjugates(NamedTuple):
    """argmax_x ⟨x, y⟩ − φ(x) (n, d), and φ*(y) (n,)."""

    points: np.ndarray
    values: np.ndarray


def host_conjugates(
    potential: HostPotential,
    y: np.ndarray,
    start: np.ndarray | None = None,
    *,
    tolerance: float = 1e-3,
    steps: int = 30,
) -> HostConjugates:
    """φ* at points (n, d) by damped Newton, all points at once; those that are done drop out.

    A point is done where half the squared Newton decrement, by which its value may still grow, is
    below ``tolerance``² (1 + ‖y‖²); that estimate is added, so that the error left is of the next
    order.
    """
    x = np.array(potential.near_conjugates(y) if start is None else start, dtype=y.dtype)
    value, gradient, hessian = potential.expand(x)
    height, residual = value - np.sum(x * y, axis=1), gradient - y
    limit = tolerance**2 * (1.0 + np.sum(y * y, axis=1))
    left = np.zeros(len(y), dtype=y.dtype)
    active = np.arange(len(y))
    for step in range(steps + 1):
        direction = -_solved(hessian, residual[active])
        slope = np.sum(direction * residual[active], axis=1)
        left[active] = -0.5 * slope
        going = left[active] > limit[active]
        if step == steps or not going.any():
            break
        active, direction, slope = active[going], direction[going], slope[going]
        trial = _searched(potential, x[active], y[active], height[active], direction, slope)
        x[active], height[active], gradient, hessian = trial
        residual[active] = gradient - y[active]
    return HostConjugates(x, left - height)


def _searched(
    potential: HostPotential,
    x: np.ndarray,
    y: np.ndarray,
    height: np.ndarray,
    direction: np.ndarray,
    slope: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points after a backtracked step, with φ − ⟨·, y⟩, ∇φ and D²φ there."""
    points = x + direction
    value, gradient, hessian = potential.expand(points)
    new = value - np.sum(points * y, axis=1)
    # Near the solution all steps are accepted.
    slack = _SLACK * np.finfo(x.dtype).eps * (1.0 + np.abs(height))
    length = np.ones(len(x), dtype=x.dtype)
    bad = ~(new <= height + _ARMIJO * slope + slack)
    if bad.any():
        gradient, hessian = np.array(gradient), np.array(hessian)
    for _ in range(_CUTS):
        rows = np.flatnonzero(bad)
        if not len(rows):
            break
        length[rows] *= _CUT
        shorter = x[rows] + length[rows, None] * direction[rows]
        value, gradient[rows], hessian[rows] = potential.expand(shorter)
        points[rows], new[rows] = shorter, value - np.sum(shorter * y[rows], axis=1)
        allowed = height[rows] + _ARMIJO * length[rows] * slope[rows] + slack[rows]
        bad[rows] = ~(new[rows] <= allowed)
    return points, new, gradient, hessian


def _solved(hessian: np.ndarray, right: np.ndarray) -> np.ndarray:
    d = hessian.shape[-1]
    rounding = _RIDGE * np.finfo(hessian.dtype).eps
    ridge = rounding * np.trace(hessian, axis1=1, axis2=2) / d
    try:
        raised = hessian + ridge[:, None, None] * np.eye(d, dtype=hessian.dtype)
        return np.linalg.solve(raised, right[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:  # one flat to the last bit: steepest descent for all
        return right
