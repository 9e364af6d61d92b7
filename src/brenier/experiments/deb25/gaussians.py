"""Gaussians: the matrix flow (4.7), Sinkhorn's recursion, grids in 3-D, parametrised potentials.

In dimensions beyond the grids' the potential is quadratic: the family holds the exact flow.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier import solve
from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.deb25._problems import order, row
from brenier.flows import (
    ParabolicMongeAmpere,
    flow_measure,
    gaussian_parabolic_flow,
    gaussian_sinkhorn_flow,
    sinkhorn_flow,
)
from brenier.grids import Box
from brenier.io import write_whole
from brenier.maps import GradientMap
from brenier.measures import Gaussian
from brenier.potentials import Quadratic
from brenier.report import new_figure, png_bytes

TIME = "minutes"

_KEY = jax.random.key(0)


def main(run: Run) -> dict[str, Any]:
    """Rows of values against closed forms; orders and errors of the approximate methods."""
    parts = (_contraction, _three_dimensions, _parametrised, _many_dimensions)
    rows: list[dict[str, Any]] = []
    measured: dict[str, float] = {}
    for index, part in enumerate(parts):
        run.progress(Progress(index, len(parts), part.__name__.removeprefix("_")))
        found, more = part()
        rows += found
        measured |= more
    write_whole(run.out / "gaussians.png", _figure())
    outside = [line["name"] for line in rows if not line["difference"] <= line["tolerance"]]
    return {"values": rows, "measured": measured, "outside": outside, "outside_count": len(outside)}


def _pair(d: int, seed: int) -> tuple[Gaussian, Gaussian]:
    """Two Gaussians whose covariances do not commute, eigenvalues from a half to 1.5."""
    generator = np.random.default_rng(seed)
    matrices = []
    for _ in range(2):
        turn = np.linalg.qr(generator.normal(size=(d, d)))[0]
        matrices.append(turn @ np.diag(np.linspace(0.5, 1.5, d)) @ turn.T)
    return Gaussian(np.zeros(d), matrices[0]), Gaussian(np.full(d, 0.2), matrices[1])


def _contraction():
    """Sinkhorn's rate e^{−2θ} a sweep, θ = 2 asinh(εκ/2), and its fixed point, for three ε."""
    rows = []
    source, target = Gaussian.standard(1), Gaussian(np.zeros(1), np.array([[0.25]]))
    for eps in (0.4, 0.1, 0.025):
        count = round(2.5 / eps)
        fixed = -0.5 * eps + np.sqrt(0.25 * eps**2 + 0.25)
        gaps = [
            float(gaussian_sinkhorn_flow(source, target, k, epsilon=eps).matrix[0, 0]) - fixed
            for k in (count, count + 1)
        ]
        # κ = √(FG) = 2.
        rows.append(
            row(f"contraction.{eps:g}", gaps[1] / gaps[0], np.exp(-4.0 * np.arcsinh(eps)), 1e-4)
        )
        far = gaussian_sinkhorn_flow(source, target, 100 * count, epsilon=eps).matrix[0, 0]
        rows.append(row(f"fixed_point.{eps:g}", far, fixed, 1e-14))
    return rows, {}


def _three_dimensions():
    """Natural Sinkhorn on a grid of 3-D: the recursion up to rounding and the border."""
    source = Gaussian(np.zeros(3), np.diag([1.0, 0.9, 0.8]))
    target = Gaussian(np.zeros(3), np.diag([0.9, 1.0, 0.7]))
    grid = Box([-5.5] * 3, [5.5] * 3, [40] * 3)
    solution = sinkhorn_flow(source, target, grid, 0.5, epsilon=0.1, half_shift=False)
    closed = gaussian_sinkhorn_flow(source, target, 5, epsilon=0.1)
    x = jnp.array([1.0, -1.0, 0.5])
    difference = float(jnp.abs(solution.map(x) - closed(x)).max())
    return [
        row("grid3d.map", difference, 0.0, 1e-6),
        row("grid3d.mass", solution.stats["masses"][0], 1.0, 1e-12),
    ], {}


def _matrix_error(d: int, steps: int, time: float, method: ParabolicMongeAmpere) -> float:
    source, target = _pair(d, d)
    start = GradientMap(Quadratic.identity(d))
    end = solve(
        source,
        target,
        method=method,
        initial=start,
        key=_KEY,
        blocks=1,
        metric=lambda map: -jnp.sum((map.potential.matrix - jnp.eye(d)) ** 2),
    )
    exact = gaussian_parabolic_flow(source, target, time).matrix
    assert isinstance(end.map.potential, Quadratic)
    return float(jnp.abs(end.map.potential.matrix - exact).max())


def _parametrised():
    """Natural-gradient steps in d = 5, exact determinants: second order in τ."""
    steps = (4, 8, 16)
    errors = [
        _matrix_error(5, k, 1.0, ParabolicMongeAmpere(step_size=1.0 / k, steps=k, particles=100))
        for k in steps
    ]
    return [], {"order_d5": -order(steps, errors), "error_d5": errors[-1]}


def _many_dimensions():
    """d = 24, log det by Lanczos' method."""
    method = ParabolicMongeAmpere(step_size=0.1, steps=10, particles=700, probes=2)
    return [], {"error_d24": _matrix_error(24, 10, 1.0, method)}


def _figure() -> bytes:
    """Ellipses of ρ_t between two Gaussians that do not commute."""
    source = Gaussian(np.zeros(2), np.array([[1.5, 0.9], [0.9, 0.8]]))
    target = Gaussian(np.array([1.0, -0.5]), np.array([[0.4, -0.3], [-0.3, 1.0]]))
    figure = new_figure(4.2, 4.0)
    axes = figure.subplots()
    angles = np.linspace(0.0, 2.0 * np.pi, 200)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    for t in (0.0, 0.25, 0.5, 1.0, 2.0, 5.0):
        rho = flow_measure(gaussian_parabolic_flow(source, target, t), target)
        curve = np.asarray(rho.factor) @ circle + np.asarray(rho.mean)[:, None]
        shade = 0.8 * np.exp(-t)
        axes.plot(
            *curve,
            color=(0.14 + 0.6 * shade, 0.44 + 0.3 * shade, 0.64 + 0.1 * shade),
            label=f"t = {t:g}",
        )
    curve = np.asarray(source.factor) @ circle
    axes.plot(*curve, ":", color="#c0392b", label="e⁻ᶠ")
    axes.set_aspect("equal")
    axes.set_xlabel("x₁")
    axes.set_ylabel("x₂")
    axes.set_title("ρ from e⁻ᵍ (t = 0) to e⁻ᶠ")
    axes.legend(frameon=False, fontsize=8)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
