"""The parabolic Monge-Ampère equation on the line, by the method of lines."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.sparse import csc_matrix, diags_array

from brenier._types import Array, Float
from brenier.grids import AbstractGrid
from brenier.measures import AbstractMeasure


class LineFlow(NamedTuple):
    """p at the nodes and ∂_t p = log(ρ_t/e^{−f}) for each time that was reached."""

    potentials: Float[np.ndarray, "k n"]
    rates: Float[np.ndarray, "k n"]
    evaluations: int
    message: str


class _Equation:
    """∂_t p = f − g(x + p') + log(1 + p''), with the grid's own derivatives."""

    def __init__(
        self,
        grid: AbstractGrid,
        log_source: Float[np.ndarray, " n"],
        target: AbstractMeasure,
        log_target_mass: float,
    ):
        self.nodes, self.target, self.shift = grid.nodes(0), target, log_target_mass
        self.log_source = log_source
        derivatives = grid.derivatives(0)
        # On a box they are stencils: sparse factors cost O(n).
        self.first, self.second = csc_matrix(derivatives.first), csc_matrix(derivatives.second)

    def rate(self, _: float, p: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        log_target = self._at(p)[0]
        bend = np.asarray(1.0 + self.second @ p)
        # Not convex: the step is refused.
        logs = np.log(np.where(bend > 0.0, bend, np.nan))
        return log_target - self.shift + logs - self.log_source

    def jacobian(self, _: float, p: Float[np.ndarray, " n"]) -> Any:
        score = self._at(p)[1]
        bend = np.asarray(1.0 + self.second @ p)
        return csc_matrix(diags_array(score) @ self.first + diags_array(1.0 / bend) @ self.second)

    def _at(
        self, p: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        values, score = _density_and_score(self.target, jnp.asarray(self.nodes + self.first @ p))
        return np.asarray(values), np.asarray(score)


@eqx.filter_jit
def _density_and_score(
    measure: AbstractMeasure, y: Float[Array, " n"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    return jax.vmap(jax.value_and_grad(lambda point: measure.point_log_density(point[None])))(y)


def integrate_line(
    grid: AbstractGrid,
    log_source: Float[np.ndarray, " n"],
    target: AbstractMeasure,
    log_target_mass: float,
    start: Float[np.ndarray, " n"],
    times: Float[np.ndarray, " k"],
    tolerance: float,
) -> LineFlow:
    """By Radau's method of order 5, which keeps to the tolerance at the steps that the flow asks
    for, though the equation is stiff. At the border of a box nothing is imposed: the linearised
    equation carries errors outward.
    """
    equation = _Equation(grid, log_source, target, log_target_mass)
    found = solve_ivp(
        equation.rate,
        (0.0, times[-1]),
        start,
        method="Radau",
        t_eval=times,
        jac=equation.jacobian,
        rtol=tolerance,
        atol=0.1 * tolerance,
    )
    potentials = found.y.T
    rates = [equation.rate(0.0, p) for p in potentials]
    return LineFlow(
        potentials, np.stack(rates) if rates else potentials, int(found.nfev), str(found.message)
    )
