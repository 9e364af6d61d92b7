"""Newton's method for the Monge-Ampere equation on a grid: the equation and its linear solves."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from brenier._types import Float
from brenier.exact._grids import AbstractGrid, along
from brenier.exact._monge_ampere_linear import (
    Linearised,
    Preconditioner,
    factorised,
    separable,
)

# A step keeps this share of the smallest eigenvalue of D²φ, and lowers the residual a little.
_KEPT, _ARMIJO, _SHORTEST = 0.1, 1e-4, 1e-3
# Relative accuracy of the linear solves: the residual itself, between these.
_LOOSE, _TIGHT = 1e-2, 1e-8
# Of one linear solve; in the plane a factorisation takes over after these.
_MOST_ITERATIONS = {1: 20, 2: 40, 3: 120}

_LogDensity = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Iterate(NamedTuple):
    """p at the nodes, φ = ½‖x‖² + p, and what the equation makes of it.

    ``residual`` is log det D²φ + log g(∇φ) − log f − ``constant``; ``inverse`` is (D²φ)⁻¹,
    ``drift`` the score of g at ∇φ, ``smallest`` the least eigenvalue of D²φ over the nodes.
    """

    potential: Float[np.ndarray, "*shape"]
    displacement: Float[np.ndarray, "*shape d"]
    inverse: Float[np.ndarray, "*shape d d"]
    drift: Float[np.ndarray, "*shape d"]
    residual: Float[np.ndarray, "*shape"]
    constant: float
    smallest: float

    @property
    def error(self) -> float:
        """The largest residual."""
        return float(np.abs(self.residual).max())


class MongeAmpere:
    """log det D²φ + log g(∇φ) − log f = c at the nodes of a grid, for p = φ − ½‖x‖² and c.

    Args:
        grid: the nodes, and how they differentiate.
        log_source: log f at the nodes.
        log_target: y (n, d) to log g(y) (n,) and its gradient (n, d).
    """

    def __init__(
        self, grid: AbstractGrid, log_source: Float[np.ndarray, "*shape"], log_target: _LogDensity
    ):
        self.grid, self.log_source, self.log_target = grid, log_source, log_target
        self.derivatives = [grid.derivatives(axis) for axis in range(grid.dimension)]
        self.points = grid.points()
        weights = np.exp(log_source - log_source.max())
        self.weights = weights / weights.sum()
        self.factorised = False

    def evaluate(self, p: Float[np.ndarray, "*shape"]) -> Iterate | None:
        """The equation at p; None where D²φ is not positive definite at every node."""
        d = self.grid.dimension
        gradient = [along(first, p, i) for i, (first, _) in enumerate(self.derivatives)]
        hessian = np.empty((*p.shape, d, d))
        for i, (_, second) in enumerate(self.derivatives):
            hessian[..., i, i] = 1.0 + along(second, p, i)
            for j in range(i):
                hessian[..., i, j] = hessian[..., j, i] = along(
                    self.derivatives[j][0], gradient[i], j)
        if not np.isfinite(hessian).all():
            return None
        eigenvalues = np.linalg.eigvalsh(hessian)
        smallest = float(eigenvalues.min())
        if smallest <= 0.0:
            return None
        displacement = np.stack(gradient, axis=-1)
        log_g, drift = self.log_target((self.points + displacement).reshape(-1, d))
        residual = np.log(eigenvalues).sum(axis=-1) + log_g.reshape(p.shape) - self.log_source
        constant = float(np.sum(self.weights * residual))
        if not (math.isfinite(constant) and np.isfinite(drift).all()):
            return None
        return Iterate(
            p, displacement, np.linalg.inv(hessian), drift.reshape(displacement.shape),
            residual - constant, constant, smallest,
        )

    def rounding(self, now: Iterate) -> float:
        """The residual that rounding leaves: that of p, magnified by the second derivatives."""
        rows = max(float(np.abs(second).sum(axis=1).max()) for _, second in self.derivatives)
        return float(np.finfo(np.float64).eps) * rows * (float(np.ptp(now.potential)) + 1.0)

    def divergence(self, now: Iterate) -> float:
        """KL(∇φ#f ‖ g) = log E_f e^r − E_f r of the residuals r in the middles of the cells.

        No equation was solved there. ∞ where φ folds.
        """
        grid, d = self.grid, self.grid.dimension
        middles = [grid.nodes(i)[: None if grid.periodic else -1] + 0.5 * grid.spacing[i]
                   for i in range(d)]
        matrices = [[grid.interpolation(i, middles[i], order) for order in range(3)]
                    for i in range(d)]

        def at_middles(values: np.ndarray, orders: np.ndarray) -> np.ndarray:
            for i, order in enumerate(orders):
                values = along(matrices[i][order], values, i)
            return values

        unit = np.eye(d, dtype=int)
        gradient = np.stack([at_middles(now.potential, unit[i]) for i in range(d)], axis=-1)
        hessian = np.eye(d) + np.stack(
            [np.stack([at_middles(now.potential, unit[i] + unit[j]) for j in range(d)], axis=-1)
             for i in range(d)], axis=-1)
        if np.linalg.eigvalsh(hessian).min() <= 0.0:
            return math.inf
        points = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1) + gradient
        log_g = self.log_target(points.reshape(-1, d))[0].reshape(points.shape[:-1])
        log_f = at_middles(self.log_source, 0 * unit[0])
        residual = np.linalg.slogdet(hessian)[1] + log_g - log_f
        weights = np.exp(log_f - log_f.max())
        weights = weights / weights.sum()
        mean = float(np.sum(weights * residual))
        return max(math.log(float(np.sum(weights * np.exp(residual - mean)))), 0.0)

    def step(self, now: Iterate) -> tuple[Iterate | None, int]:
        """One damped Newton step, and the iterations of its linear solve; None where none helps."""
        direction, iterations = self._direction(now)
        size, length = float(np.linalg.norm(now.residual)), 1.0
        while length > _SHORTEST:
            then = self.evaluate(now.potential + length * direction)
            if (
                then is not None and then.smallest > _KEPT * now.smallest
                and np.linalg.norm(then.residual) <= (1.0 - _ARMIJO * length) * size
            ):
                return then, iterations
            length *= 0.5
        return None, iterations

    def _direction(self, now: Iterate) -> tuple[Float[np.ndarray, "*shape"], int]:
        """q with tr((D²φ)⁻¹ D²q) + ⟨∇log g(∇φ), ∇q⟩ = −residual up to a constant."""
        operator = Linearised(self.grid, now.inverse, now.drift, self.log_source, self.derivatives)
        if not self.factorised:
            q, iterations, solved = self._solve(now, operator, separable(operator))
            if solved or self.grid.dimension != 2:
                return q, iterations
            # From now on: where the averages miss too much here, they will miss more.
            self.factorised = True
        else:
            iterations = 0
        q, more, _ = self._solve(now, operator, factorised(operator))
        return q, iterations + more

    def _solve(
        self, now: Iterate, operator: Linearised, preconditioner: Preconditioner
    ) -> tuple[Float[np.ndarray, "*shape"], int, bool]:
        """GMRES on the operator after the preconditioner: the solution, iterations, success."""
        shape, size = now.potential.shape, now.potential.size

        def product(flat: np.ndarray) -> np.ndarray:
            q = preconditioner.inverse(flat.reshape(shape))
            # The constant that the equation leaves free is the mean of q.
            return (operator(q) - preconditioner.mean(q)).ravel()

        count = [0]

        def counted(_: float) -> None:
            count[0] += 1

        right = -now.residual.ravel()
        accuracy = min(_LOOSE, max(_TIGHT, float(np.sqrt(np.mean(right**2)))))
        limit = min(_MOST_ITERATIONS[self.grid.dimension], size)
        solution, failed = gmres(
            LinearOperator((size, size), product, dtype=np.float64), right, rtol=accuracy,
            restart=limit, maxiter=1, callback=counted, callback_type="pr_norm",
        )
        q = preconditioner.inverse(solution.reshape(shape))
        return q - preconditioner.mean(q), count[0], failed == 0
