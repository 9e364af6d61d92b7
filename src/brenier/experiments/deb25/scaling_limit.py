"""Sinkhorn's iterates at t = k ε against the parabolic flow: orders of maps, measures, correction.

On the line (P1), on the torus (T2) and between commuting Gaussians.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.deb25._problems import EPSILONS, Line, Plane, order
from brenier.flows import (
    flow_measure,
    gaussian_parabolic_flow,
    gaussian_sinkhorn_flow,
    parabolic_flow,
    sinkhorn_flow,
)
from brenier.io import write_whole
from brenier.maps import AffineMap
from brenier.measures import Gaussian
from brenier.report import new_figure, png_bytes

TIME = "minutes"

_TIME = 1.0
_COLOURS = {"natural": "#c0392b", "half_shift": "#2471a3"}
_LABELS = {"natural": "natural start", "half_shift": "half-shift"}


def main(run: Run) -> dict[str, Any]:
    """Errors at t = 1 for four ε, and the orders fitted to them."""
    tables: dict[str, dict[str, list[float]]] = {}
    for index, problem in enumerate((_line, _torus, _gaussians)):
        name = problem.__name__.removeprefix("_")
        run.progress(Progress(index, 3, name))
        tables[name] = problem()
    orders = {
        name: {key: order(EPSILONS, errors) for key, errors in table.items()}
        for name, table in tables.items()
    }
    # The order of the half-shift on P1 still rises at these ε.
    last = {
        name: {key: float(np.log2(errors[-2] / errors[-1])) for key, errors in table.items()}
        for name, table in tables.items()
    }
    write_whole(run.out / "orders.png", _figure(tables))
    return {"epsilons": list(EPSILONS), "errors": tables, "orders": orders, "last_orders": last}


def _line() -> dict[str, list[float]]:
    line = Line(561)
    exact = parabolic_flow(line.source, line.target, line.grid, _TIME).stats
    p, log_rho = exact["potentials"][0], exact["log_densities"][0]
    slope = line.slope(p)
    weights = line.grid.weights(0)
    table: dict[str, list[float]] = {
        key: [] for key in ("natural_map", "half_shift_map", "natural_w2", "natural_kl")
    }
    for eps in EPSILONS:
        for name in ("natural", "half_shift"):
            stats = sinkhorn_flow(
                line.source,
                line.target,
                line.grid,
                _TIME,
                epsilon=eps,
                half_shift=name == "half_shift",
            ).stats
            gap = line.slope(stats["potentials"][0]) - slope
            table[f"{name}_map"].append(line.norm(gap[line.bulk]))
            if name == "natural":
                log_eps = stats["log_densities"][0]
                rho = weights * np.exp(log_rho)
                table["natural_w2"].append(_wasserstein(line.x, np.exp(log_eps) * weights, rho))
                # KL(ρ^ε | ρ).
                kl = float(np.sum(weights * np.exp(log_eps) * (log_eps - log_rho)))
                table["natural_kl"].append(kl)
    return table


def _wasserstein(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """W₂ between two densities at nodes, by their quantiles."""
    levels = (np.arange(20_000) + 0.5) / 20_000
    # Masses are centred at their nodes: half of each lies to either side.
    parts = [
        np.interp(levels, np.cumsum(m) - 0.5 * m, x)
        for m in (first / first.sum(), second / second.sum())
    ]
    return float(np.sqrt(np.mean((parts[0] - parts[1]) ** 2)))


def _torus() -> dict[str, list[float]]:
    plane = Plane(72)
    exact = plane.displacement(
        parabolic_flow(plane.source, plane.target, plane.grid, _TIME).stats["potentials"][0]
    )
    table: dict[str, list[float]] = {"natural_map": [], "half_shift_map": []}
    for eps in EPSILONS:
        for name in ("natural", "half_shift"):
            stats = sinkhorn_flow(
                plane.source,
                plane.target,
                plane.grid,
                _TIME,
                epsilon=eps,
                half_shift=name == "half_shift",
            ).stats
            move = plane.displacement(stats["potentials"][0])
            table[f"{name}_map"].append(plane.norm(move - exact))
    return table


def _gaussians() -> dict[str, list[float]]:
    """Commuting ones in three dimensions, where all is matrices."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    source = Gaussian(np.zeros(3), turn @ np.diag([1.0, 0.5, 2.0]) @ turn.T)
    target = Gaussian(np.zeros(3), turn @ np.diag([0.3, 1.0, 0.6]) @ turn.T)
    exact = gaussian_parabolic_flow(source, target, _TIME)
    precision = jnp.linalg.inv(source.covariance)
    table: dict[str, list[float]] = {"natural_map": [], "half_shift_map": [], "natural_w2": []}
    for eps in EPSILONS:
        sweeps = round(_TIME / eps)
        natural = gaussian_sinkhorn_flow(source, target, sweeps, epsilon=eps)
        shifted = gaussian_sinkhorn_flow(
            source, target, sweeps, epsilon=eps, matrix=jnp.eye(3) - 0.5 * eps * precision
        )
        read = AffineMap(shifted.matrix + 0.5 * eps * precision, shifted.offset)
        for name, map in (("natural_map", natural), ("half_shift_map", read)):
            gap = (map.matrix - exact.matrix) @ source.factor
            table[name].append(float(jnp.linalg.norm(gap)))
        # The first marginal of the plan: φ_k − φ_{k−1} in place of ε ∂_tφ.
        before = gaussian_sinkhorn_flow(source, target, sweeps - 1, epsilon=eps)
        marginal = jnp.linalg.inv(precision - (natural.matrix - before.matrix) / eps)
        table["natural_w2"].append(_bures(marginal, flow_measure(exact, target).covariance))
    return table


def _bures(first: Any, second: Any) -> float:
    """W₂ between centred Gaussians that commute."""
    a, b = (np.linalg.eigvalsh(np.asarray(m)) for m in (first, second))
    return float(np.linalg.norm(np.sqrt(a) - np.sqrt(b)))


def _figure(tables: dict[str, dict[str, list[float]]]) -> bytes:
    figure = new_figure(9.6, 3.2)
    titles = {"line": "P1, on the line", "torus": "T2, on the torus", "gaussians": "Gaussians, 3-D"}
    for axes, (name, table) in zip(figure.subplots(1, 3), tables.items(), strict=True):
        for start, colour in _COLOURS.items():
            errors = table[f"{start}_map"]
            axes.loglog(EPSILONS, errors, "o-", color=colour, label=_LABELS[start])
            slope = 1 if start == "natural" else 2
            guide = [errors[-1] * (eps / EPSILONS[-1]) ** slope for eps in EPSILONS]
            axes.loglog(
                EPSILONS,
                guide,
                ":",
                color="#222222",
                lw=0.8,
                label="slopes 1 and 2" if slope == 1 else None,
            )
        axes.set_title(titles[name])
        axes.set_xlabel("ε")
        axes.set_xticks(EPSILONS, [f"{eps:g}" for eps in EPSILONS])
        axes.minorticks_off()
    figure.axes[0].set_ylabel(f"error of the map at t = {_TIME:g}, in L²(e⁻ᶠ)")
    figure.axes[0].legend(frameon=False, fontsize=8)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
