"""Newton's method for the Monge-Ampere equation on a grid: the equation and its linear solves."""

import copy
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from brenier._types import Float
from brenier.exact.monge_ampere._linear import Linearised, Preconditioner, factorised, separable
from brenier.grids import AbstractGrid, apply_along

# A step keeps this share of the smallest eigenvalue of D²φ, and lowers the residual a little.
_KEPT, _ARMIJO, _SHORTEST = 0.1, 1e-4, 1e-3
# Newton steps for one source; the tolerance for intermediate sources; the least change of source.
_STEPS, _ON_THE_WAY, _SHORTEST_STRIDE = 15, 0.1, 1e-2
# Where (D²φ)⁻¹ is huge the rounding error may exceed the tolerance; up to this it is accepted.
_MOST_ROUNDING = 1e-6
# Relative accuracy of the linear solves: the residual itself, between these.
_LOOSE, _TIGHT = 1e-2, 1e-8
# Iterations of one linear solve; in the plane a factorisation takes over after these.
_MOST_ITERATIONS = {1: 20, 2: 40, 3: 120}

_LogDensity = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Iterate(NamedTuple):
    """p at the nodes, φ = ½‖x‖² + p, with the residual and the coefficients of the equation there.

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


class Run(NamedTuple):
    """The last iterate, the largest residual of each step, and the number of linear iterations."""

    end: Iterate
    history: list[float]
    linear_iterations: int
    converged: bool


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
        hessian = np.empty((*p.shape, d, d))
        for i, (_, second, mixed) in enumerate(self.derivatives):
            hessian[..., i, i] = 1.0 + apply_along(second, p, i)
            for j in range(i):
                cross = apply_along(self.derivatives[j].mixed, apply_along(mixed, p, i), j)
                hessian[..., i, j] = hessian[..., j, i] = cross
        if not np.isfinite(hessian).all():
            return None
        eigenvalues = np.linalg.eigvalsh(hessian)
        smallest = float(eigenvalues.min())
        if smallest <= 0.0:
            return None
        displacement = np.stack(
            [apply_along(first, p, i) for i, (first, _, _) in enumerate(self.derivatives)], axis=-1
        )
        log_g, drift = self.log_target((self.points + displacement).reshape(-1, d))
        residual = np.log(eigenvalues).sum(axis=-1) + log_g.reshape(p.shape) - self.log_source
        constant = float(np.sum(self.weights * residual))
        if not (math.isfinite(constant) and np.isfinite(drift).all()):
            return None
        return Iterate(
            p,
            displacement,
            np.linalg.inv(hessian),
            drift.reshape(displacement.shape),
            residual - constant,
            constant,
            smallest,
        )

    def divergence(self, now: Iterate) -> float:
        """KL(∇φ#f ‖ g) = log E_f e^r − E_f r, r the residuals at the midpoints of the grid's cells.

        The equation was not solved there. ∞ where D²φ is not positive definite.
        """
        grid, d = self.grid, self.grid.dimension
        middles = [
            grid.nodes(i)[: None if grid.periodic else -1] + 0.5 * grid.spacing[i] for i in range(d)
        ]
        matrices = [
            [grid.interpolation(i, middles[i], order) for order in range(3)] for i in range(d)
        ]

        def at_middles(values: np.ndarray, orders: np.ndarray) -> np.ndarray:
            for i, order in enumerate(orders):
                values = apply_along(matrices[i][order], values, i)
            return values

        unit = np.eye(d, dtype=int)
        gradient = np.stack([at_middles(now.potential, unit[i]) for i in range(d)], axis=-1)
        hessian = np.eye(d) + np.stack(
            [
                np.stack([at_middles(now.potential, unit[i] + unit[j]) for j in range(d)], axis=-1)
                for i in range(d)
            ],
            axis=-1,
        )
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

    def solve(self, start: Iterate, tolerance: float, max_iterations: int) -> Run:
        """Newton's method from ``start``; where it fails, by continuation through easier sources.

        With f₀ the source that ``start`` solves exactly, the sources f₀^(1−t) f^t lead from it to
        f. The first step goes to t = 1 at once; steps are halved after a failure, and lengthened
        after a success.
        """
        now, history, linear, share, stride = start, [start.error], 0, 0.0, 1.0
        while share < 1.0 and stride > _SHORTEST_STRIDE and len(history) <= max_iterations:
            goal = min(share + stride, 1.0)
            equation = copy.copy(self)  # the constant goes on being a mean under f
            equation.log_source = self.log_source + (1.0 - goal) * start.residual
            steps = min(_STEPS, max_iterations + 1 - len(history))
            end, errors, count = equation._newton(
                now, tolerance if goal == 1.0 else _ON_THE_WAY, steps
            )
            history += errors
            linear += count
            if end is None:
                stride *= 0.5
            else:
                now, share, stride = end, goal, 1.5 * stride
                self.factorised |= equation.factorised
        if share < 1.0:
            whole = self.evaluate(now.potential)
            assert whole is not None  # p is that of an iterate
            now = whole
        return Run(now, history, linear, share == 1.0)

    def _newton(
        self, start: Iterate, tolerance: float, steps: int
    ) -> tuple[Iterate | None, list[float], int]:
        """Damped steps until the tolerance, with the residuals and the linear iterations."""
        now = self.evaluate(start.potential)
        assert now is not None  # p is that of an iterate
        errors: list[float] = []
        linear = 0
        while not now.error <= max(tolerance, self._rounding(now)):
            if len(errors) == steps:
                return None, errors, linear
            then, count = self._step(now)
            linear += count
            if then is None:
                return None, errors, linear
            now = then
            errors.append(now.error)
        return now, errors, linear

    def _rounding(self, now: Iterate) -> float:
        """The rounding error of the residual: that of p, amplified by differences and (D²φ)⁻¹."""
        rows = max(float(np.abs(second).sum(axis=1).max()) for _, second, _ in self.derivatives)
        unit = float(np.finfo(np.float64).eps) * (float(np.ptp(now.potential)) + 1.0)
        return min(unit * rows / now.smallest, _MOST_ROUNDING)

    def _step(self, now: Iterate) -> tuple[Iterate | None, int]:
        """One damped Newton step (None where no length helps), and its linear iterations."""
        direction, iterations = self._direction(now)
        size, length = float(np.linalg.norm(now.residual)), 1.0
        while length > _SHORTEST:
            then = self.evaluate(now.potential + length * direction)
            if (
                then is not None
                and then.smallest > _KEPT * now.smallest
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
            # For all further steps: the averaged coefficients will fit later iterates no better.
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
            LinearOperator((size, size), product, dtype=np.float64),
            right,
            rtol=accuracy,
            restart=limit,
            maxiter=1,
            callback=counted,
            callback_type="pr_norm",
        )
        q = preconditioner.inverse(solution.reshape(shape))
        return q - preconditioner.mean(q), count[0], failed == 0
