"""Sinkhorn's sweeps as steps in time, from one ε to another."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float
from brenier.flows.on_grids._problem import GridProblem
from brenier.numerics import GridSinkhornResult, grid_sinkhorn, steepest_allowed

# A quotient this close to an integer is one.
_WHOLE = 1e-9
# Sweeps in one compiled loop: Ctrl-C is heard between two.
_PART = 100


class Sweeper:
    """Runs sweeps for one problem; remembers in how many blocks the sums must be taken.

    With ``half_shift`` a state is u = p + (ε/2) log f, whose p is a second-order approximation of
    the flow (4.6); without, u = p, of the first order (4.5).
    """

    def __init__(self, problem: GridProblem, half_shift: bool):
        self.problem = problem
        self.log_source, self.log_target = problem.log_masses()
        self.shift = 0.5 * problem.log_source if half_shift else np.zeros(problem.grid.shape)
        self.blocks = 1
        self.sweeps = 0

    def run(
        self, p: Float[np.ndarray, "*n"], epsilon: float, sweeps: int, tolerance: float = 0.0
    ) -> "Run":
        """So many sweeps at one ε, or until the first marginal's L1 error is at the tolerance."""
        u, left, unfinished = jnp.asarray(p + epsilon * self.shift), sweeps, True
        while unfinished:
            end = self._part(u, epsilon, min(left, _PART), tolerance)
            u, left = end.u, left - int(end.sweeps)
            # An error of NaN is not above the tolerance: it ends the run.
            unfinished = left > 0 and float(end.error) > tolerance
        self.sweeps += sweeps - left
        return Run(np.asarray(u) - epsilon * self.shift, epsilon, end)

    def _part(
        self, u: Float[Array, "*n"], epsilon: float, sweeps: int, tolerance: float
    ) -> GridSinkhornResult:
        """One compiled loop, taken again in more blocks where exponents fall too far for these."""
        most = max(*self.problem.grid.shape, *self.problem.target_grid.shape)
        while True:
            end = grid_sinkhorn(
                u,
                self.log_source,
                self.log_target,
                self.problem.gaps,
                epsilon=epsilon,
                sweeps=sweeps,
                tolerance=tolerance,
                blocks=self.blocks,
            )
            # With one node to a block nothing falls: then it is the potential that is not finite.
            if float(end.steepest) <= steepest_allowed(u.dtype) or self.blocks >= most:
                return end
            self.blocks = min(4 * self.blocks, most)

    def log_density(self, run: "Run") -> Float[np.ndarray, "*n"]:
        """log ρ_t at the end of a run, by one more sweep: of second order with the half-shift."""
        u = run.end.u
        after = grid_sinkhorn(
            u,
            self.log_source,
            self.log_target,
            self.problem.gaps,
            epsilon=run.epsilon,
            sweeps=1,
            blocks=self.blocks,
        ).u
        return self.problem.log_source + np.asarray(after - run.end.before) / (2.0 * run.epsilon)

    def log_marginal(self, run: "Run") -> Float[np.ndarray, "*n"]:
        """log of the first marginal of the plan, (φ_k − φ_{k−1})/ε − f (4.4)."""
        return self.problem.log_source + np.asarray(run.end.u - run.end.before) / run.epsilon


class Run(NamedTuple):
    """p = φ − ½‖x‖² as the flow reads it off, and the sweeps that led there."""

    p: Float[np.ndarray, "*n"]
    epsilon: float
    end: GridSinkhornResult

    @property
    def finite(self) -> bool:
        """Whether all potentials are numbers."""
        return bool(jnp.all(jnp.isfinite(self.end.u)) & jnp.all(jnp.isfinite(self.end.w)))


def whole_sweeps(duration: float, epsilon: float) -> tuple[int, float]:
    """The least number of equal sweeps, none longer than ε, that fill a duration; and their ε.

    >>> whole_sweeps(1.0, 0.1), whole_sweeps(1.0, 0.3)
    ((10, 0.1), (4, 0.25))
    """
    count = max(1, math.ceil(duration / epsilon * (1.0 - _WHOLE)))
    return count, duration / count


def kl_from(problem: GridProblem, log_density: Float[np.ndarray, "*n"] | Array) -> float:
    """KL(ρ | e^{−f}) over the nodes."""
    ratio = np.asarray(log_density) - problem.log_source
    return float(np.sum(problem.source_masses * np.exp(ratio) * ratio))
