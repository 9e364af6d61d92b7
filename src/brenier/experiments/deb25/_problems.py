"""The problems P1 and T2 of Theory, chapter 4, and what is measured on them."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import make_interp_spline

from brenier.exact import MonotoneMap, solve_line
from brenier.grids import Box, Torus
from brenier.measures import Gaussian, GaussianMixture

_TURN = 2.0 * np.pi
TIMES = (0.25, 0.5, 1.0, 2.0)
EPSILONS = (0.1, 0.05, 0.025, 0.0125)
# S(−1), S(0), S(1), ‖S − S_∞‖, W₂(ρ_t, e^{−f}), KL.
P1_TABLE = {
    0.25: (-1.219377, 0.261081, 1.057672, 0.130218, 0.127638, 0.019228),
    0.5: (-1.282333, 0.338823, 1.092821, 0.085459, 0.074826, 0.004365),
    1.0: (-1.302192, 0.389415, 1.123134, 0.050486, 0.038520, 0.000823),
    2.0: (-1.287969, 0.418366, 1.139477, 0.021055, 0.015129, 0.000121),
}
P1_LIMIT = (-1.270444, 0.434686, 1.146651)
P1_NATURAL = (0.046252, 0.023249, 0.011625, 0.005812)
P1_HALF_SHIFT = (0.011364, 0.004308, 0.001454, 0.000436)
P1_CORRECTOR = (0.42743, -0.02352, -0.48912)
# ∇p(0, 0), ‖∇φ − T‖, KL.
T2_TABLE = {
    0.25: (0.246585, 0.055233, 0.409090, 0.092134),
    0.5: (0.394976, 0.072385, 0.316033, 0.048423),
    1.0: (0.553337, 0.081845, 0.196029, 0.015804),
    2.0: (0.664039, 0.083647, 0.080506, 0.002221),
}
T2_LIMIT = (0.707793, 0.082359, 0.298074619)
T2_HALF_SHIFT = (0.002191, 0.000579, 0.000147, 0.0000371)
# W2D: modes, and T(0, 0), T(1.25, −1.25), W₂².
MODES = np.array([[-1.2, -0.6], [1.2, -0.4], [0.1, 1.1]])
W2D = (0.10832, 0.32378, 1.65217, -1.04488, 0.12508)


def row(name, value, reference, tolerance):
    """One line of a table of references."""
    return {
        "name": name,
        "value": float(value),
        "reference": float(reference),
        "difference": abs(float(value) - float(reference)),
        "tolerance": tolerance,
    }


class Line:
    """P1: N(0, 1) to a mixture of two normals, on a box of the line."""

    def __init__(self, nodes: int = 1001):
        self.source = Gaussian.standard(1)
        self.target = GaussianMixture(
            jnp.array([0.35, 0.65]), jnp.array([[-1.2], [0.8]]), jnp.array([[[0.36]], [[0.25]]])
        )
        self.grid = Box([-7.0], [7.0], [nodes])
        self.x = self.grid.nodes(0)
        self.density = np.exp(-0.5 * self.x**2) / np.sqrt(_TURN)
        self.limit: MonotoneMap = solve_line(self.source, self.target).map
        # Beyond, the weight is below 1e-9 and quantiles lose their digits.
        self.bulk = np.abs(self.x) < 6.0
        self.monge = np.asarray(self.limit(self.x[self.bulk][:, None]))[:, 0]

    def slope(self, p: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """S = x + p' at places, or at the nodes."""
        if places is None:
            return self.x + self.grid.derivatives(0).first @ p
        return places + self.grid.interpolation(0, places, 1) @ p

    def norm(self, values: np.ndarray) -> float:
        """In L²(e^{−f}), of values at the nodes of the bulk."""
        weights = (self.grid.weights(0) * self.density)[self.bulk]
        return float(np.sqrt(np.sum(weights * values**2)))

    def away(self, p: np.ndarray) -> float:
        """‖S − S_∞‖."""
        return self.norm(self.slope(p)[self.bulk] - self.monge)

    def wasserstein(self, p: np.ndarray) -> float:
        """W₂(ρ_t, e^{−f}): the Monge map from e^{−f} to ρ_t is S_t⁻¹ ∘ S_∞."""
        inverse = make_interp_spline(self.slope(p), self.x, k=5)
        return self.norm(inverse(self.monge) - self.x[self.bulk])


class Plane:
    """T2: two densities on the torus [0, 2π)²."""

    def __init__(self, nodes: int = 64):
        self.grid = Torus([0.0, 0.0], [_TURN, _TURN], [nodes, nodes])
        values = np.exp(np.asarray(jax.vmap(jax.vmap(self.source))(self.grid.points())))
        self.masses = values / values.sum()
        self.slopes = [self.grid.derivatives(axis).first for axis in (0, 1)]

    @staticmethod
    def source(x):
        return jnp.log(1.0 + 0.4 * jnp.cos(x[0]) + 0.3 * jnp.sin(x[1]) * jnp.cos(x[0] - 0.5))

    @staticmethod
    def target(y):
        return 0.8 * jnp.cos(y[0] - 1) + 0.6 * jnp.sin(y[0] + y[1]) + 0.4 * jnp.cos(2 * y[1])

    def displacement(self, p: np.ndarray) -> np.ndarray:
        """∇p at the nodes."""
        return np.stack([self.slopes[0] @ p, p @ self.slopes[1].T], axis=-1)

    def norm(self, field: np.ndarray) -> float:
        """In L²(e^{−f})."""
        return float(np.sqrt(np.sum(self.masses[..., None] * field**2)))


def order(epsilons, errors) -> float:
    """The slope of log error over log ε by least squares."""
    return float(np.polyfit(np.log(epsilons), np.log(errors), 1)[0])
