"""Newton's method for the Monge-Ampere equation on a grid: the equation and its linear solves."""

import math
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from brenier._types import Float
from brenier.exact._grids import AbstractGrid, along

# A step keeps this share of the smallest eigenvalue of D²φ, and lowers the residual a little.
_KEPT, _ARMIJO, _SHORTEST = 0.1, 1e-4, 1e-4
# Relative accuracy of the linear solves: the residual itself, between these.
_LOOSE, _TIGHT = 1e-2, 1e-8
_RESTART, _CYCLES = 60, 3

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
        size = float(np.ptp(now.potential)) + 1.0
        return float(np.finfo(np.float64).eps) * rows * size / now.smallest

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
        shape, size = now.potential.shape, now.potential.size
        inverse, mean = self._separable_inverse(now)

        def linearised(flat: np.ndarray) -> np.ndarray:
            q = inverse(flat.reshape(shape))
            # The constant that the equation leaves free is the mean of q.
            return (self._derivative(now, q) - mean(q)).ravel()

        count = [0]

        def counted(_: float) -> None:
            count[0] += 1

        right = -now.residual.ravel()
        accuracy = min(_LOOSE, max(_TIGHT, float(np.sqrt(np.mean(right**2)))))
        operator = LinearOperator((size, size), linearised, dtype=np.float64)
        solution, _ = gmres(
            operator, right, rtol=accuracy, restart=min(_RESTART, size), maxiter=_CYCLES,
            callback=counted, callback_type="pr_norm",
        )
        q = inverse(solution.reshape(shape))
        return q - mean(q), count[0]

    def _derivative(self, now: Iterate, q: Float[np.ndarray, "*shape"]) -> np.ndarray:
        result = np.zeros_like(q)
        for i, (first, second) in enumerate(self.derivatives):
            slope = along(first, q, i)
            result += now.inverse[..., i, i] * along(second, q, i) + now.drift[..., i] * slope
            for j in range(i):
                mixed = along(self.derivatives[j][0], slope, j)
                result += 2.0 * now.inverse[..., i, j] * mixed
        return result

    def _separable_inverse(
        self, now: Iterate
    ) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], float]]:
        """The inverse of Σ_i m_i(x_i) ∂_i² + b_i(x_i) ∂_i − mean, and that mean.

        m_i and b_i are averages over the other axes; the mean is the operator's own invariant one,
        so that the two agree on constants. Exact where source and target are products.
        """
        modes, backs, spectra, invariant = [], [], [], []
        for i, (first, second) in enumerate(self.derivatives):
            m, b = (self._along_axis(z, i) for z in (now.inverse[..., i, i], now.drift[..., i]))
            values, vectors = np.linalg.eig(m[:, None] * second + b[:, None] * first)
            back = np.linalg.inv(vectors)
            zero = int(np.argmin(np.abs(values)))
            # Spurious growing modes of the border would cancel decaying ones in the sum.
            values = -np.abs(values.real) + 1j * values.imag
            values[zero] = 0.0
            rest = (back[zero] * vectors[0, zero]).real
            invariant.append(rest / rest.sum())
            modes.append(vectors)
            backs.append(back)
            spectra.append(values)
        symbol = reduce(np.add.outer, spectra)
        symbol[np.unravel_index(np.argmin(np.abs(symbol)), symbol.shape)] = -1.0

        def inverse(r: np.ndarray) -> np.ndarray:
            for axis, back in enumerate(backs):
                r = along(back, r, axis)
            r = r / symbol
            for axis, vectors in enumerate(modes):
                r = along(vectors, r, axis)
            return r.real

        def mean(q: np.ndarray) -> float:
            for weights in reversed(invariant):
                q = q @ weights
            return float(q)

        return inverse, mean

    def _along_axis(self, values: np.ndarray, axis: int) -> Float[np.ndarray, "n"]:
        """The mean over the other axes, each line by its own weights."""
        others = tuple(k for k in range(values.ndim) if k != axis)
        top = self.log_source.max(axis=others, keepdims=True)
        weights = np.exp(self.log_source - top)
        return np.sum(weights * values, axis=others) / np.sum(weights, axis=others)
