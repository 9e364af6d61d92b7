"""Whether the map or its inverse was learned better, by points held out."""

from collections.abc import Sequence

import numpy as np

from brenier.estimators.candidates._trial import Fold, Trial
from brenier.numerics import row_mean, row_mean_error, row_variance
from brenier.potentials.host import host_conjugates

# Held-out points of a fold, at most.
_POINTS = 8192
# Standard errors by which a map of the other direction must be nearer to be taken.
_SURE = 2.0


def nearer(one: Trial, other: Trial, folds: Sequence[Fold]) -> Trial:
    """Which of two trials of opposite directions is nearer to the Monge map and to its inverse.

    The one of the lower dual, unless the other is nearer by two standard errors: in the errors of
    the map over the variance of the target, and of the inverse over that of the source, together.
    One of the two alone can be the better for a while, and the worse at last.
    """
    winner, rival = sorted((one, other), key=lambda trial: trial.dual)
    there, back = sorted((winner, rival), key=lambda trial: trial.reverse)
    with np.errstate(all="ignore"):  # of a rival that overflows the error is no number
        maps = _relative(there, back, folds)
        inverses = _relative(back, there, [fold.reversed() for fold in folds])
    difference, stderr = maps[0] - inverses[0], np.hypot(maps[1], inverses[1])
    worse = -difference if winner.reverse else difference
    return rival if worse > _SURE * stderr else winner


def _relative(there: Trial, back: Trial, folds: Sequence[Fold]) -> tuple[float, float]:
    """The difference of two maps' errors and its standard error, over the target's variance."""
    difference, stderr = error_difference(there, back, folds)
    spread = np.mean(
        [np.sum(row_variance(_in_units(fold.v_held, fold), fold.held_weights[1])) for fold in folds]
    )
    return difference / spread, stderr / spread


def _in_units(points: np.ndarray, fold: Fold) -> np.ndarray:
    """Target points in the units of the data, about the middle of the target."""
    return np.asarray(points, np.float64) @ (fold.coordinates.scale * fold.coordinates.matrix)


def error_difference(there: Trial, back: Trial, folds: Sequence[Fold]) -> tuple[float, float]:
    """E‖T₁(X) − T(X)‖² − E‖T₂(X) − T(X)‖² and its standard error, T the unknown Monge map.

    T₁ is learned on the way there, T₂ is the inverse of a map of the way back; in the units of the
    data. The dual weighs errors by how sharply φ bends, and hardly tells such two apart. The
    difference is E‖T₁(X)‖² − E‖T₂(X)‖² − 2 E⟨(T₁ − T₂)(X), T(X)⟩, and the last term is about
    E⟨T₁(T₂⁻¹(Y)) − T₂(T₁⁻¹(Y)), Y⟩: each map at the other's place of Y, and Y itself at its own.
    What is left out is of second order in the errors, and mean zero where they are as large in the
    tails as in the middle.

    Args:
        there: a trial of the map on the folds.
        back: one of the way back.
        folds: whose held-out points count.
    """
    differences, variances = [], []
    for k, fold in enumerate(folds):
        few = fold.fewer_held(_POINTS)
        u, v, (u_weights, v_weights) = few.u_held, few.v_held, few.held_weights
        phi, psi = there.potentials[k], back.potentials[k]
        first_back, second = there.points[k][: len(v)], back.points[k][: len(u)]
        first = phi.expand(u.astype(phi.precision)).gradient
        second_back = psi.expand(v.astype(psi.precision)).gradient
        crossed = phi.expand(second_back.astype(phi.precision)).gradient
        other = host_conjugates(psi, first_back.astype(psi.precision), v.astype(psi.precision))
        # The middle of the target cancels up to noise.
        one, two, one_at_two, two_at_one, target = (
            _in_units(points, fold) for points in (first, second, crossed, other.points, v)
        )
        squares = np.sum((one - two) * (one + two), axis=1)
        products = np.sum((one_at_two - two_at_one) * target, axis=1)
        differences.append(row_mean(squares, u_weights) - row_mean(products, v_weights))
        variances.append(row_mean_error(squares, u_weights) + row_mean_error(products, v_weights))
    return float(np.mean(differences)), float(np.sqrt(np.sum(variances)) / len(folds))
