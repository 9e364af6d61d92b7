"""Pey24's picture: cells of a diffusion's decoder onto atoms, against the Laguerre cells of OT.

Three Diracs (Theory, D3), or the atoms of a file: ``--data points.csv`` with columns x, y and
perhaps a weight. Borders, masses and costs are computed, not sampled.
"""

from typing import Any

import numpy as np

from brenier import Solution
from brenier._progress import Progress
from brenier.exact import laguerre_cells, solve_semi_discrete
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.pey24._cells import Border, borders
from brenier.experiments.pey24._lines import cut
from brenier.io import read_points, write_whole
from brenier.measures import Empirical, Gaussian
from brenier.potentials import MaxAffine
from brenier.report import BLUE, INK, RED, new_figure, png_bytes
from brenier.velocities import AtomsDecoder

TIME = "half a minute"

DIRACS = np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 1.5]])
# Borders that end beyond this have gone to infinity.
_OUT = 6.5


def main(run: Run) -> dict[str, Any]:
    """The two tessellations compared; the picture."""
    table = read_points(run.data[0]).values if run.data else np.column_stack([DIRACS, np.ones(3)])
    if table.shape[1] not in (2, 3):
        raise ValueError(f"data: got {table.shape[1]} columns; wants x, y and perhaps a weight.")
    points, weights = table[:, :2], table[:, 2] if table.shape[1] == 3 else np.ones(len(table))
    run.progress(Progress(0, 2, "cells"))
    report, curves, optimal = compare(points, weights)
    run.progress(Progress(1, 2, "picture"))
    write_whole(run.out / "tessellation.png", _figure(points, curves, optimal))
    return report


def compare(
    points: np.ndarray, weights: np.ndarray
) -> tuple[dict[str, Any], list[Border], Solution]:
    """Costs of both ways to send N(0, I) to the atoms, and the mass that they send elsewhere.

    With the borders of the decoder's cells, and the optimal map.
    """
    source = Empirical(points, weights)
    shares = np.asarray(source.weights)
    decoder = AtomsDecoder(source, tolerance=1e-11)
    curves = borders(source, decoder)
    optimal = solve_semi_discrete(Gaussian.standard(2), points, shares)
    potential = optimal.map.potential
    assert isinstance(potential, MaxAffine)
    found = cut(points, decoder, curves, potential)
    # E‖Z − x_{i(Z)}‖² = 2 + Σ w_i ‖x_i‖² − 2 Σ_i ⟨x_i, ∫_{cell i} z γ⟩, and z γ = −∇γ.
    cost = 2.0 + float(shares @ np.sum(points**2, axis=1))
    if found.complete:
        cost += 2.0 * sum(
            float((points[c.first] - points[c.second]) @ c.normal_moment()) for c in curves
        )
    else:
        cost -= 2.0 * float(np.sum(points * found.moments))
    least = float(optimal.stats["cost"])
    report = {
        "cost": cost,
        "optimal_cost": least,
        "relative_gap": (cost - least) / least,
        "mislabelled_mass": found.mislabelled,
        # Masses by lines across the cells, against the weights that they must have.
        "mass_error": float(np.abs(found.masses - shares).max()),
        "cost_by": "borders" if found.complete else "lines",
        "borders": len(curves),
        "triple_points": _triple_points(curves) if found.complete else None,
    }
    return report, curves, optimal


def _triple_points(curves: list[Border]) -> list[list[float]]:
    """Where borders end together."""
    ends = np.array([end for curve in curves for end in (curve.points[0], curve.points[-1])])
    ends = ends[np.abs(ends).max(axis=1) < _OUT]
    found: list[np.ndarray] = []
    for end in ends:
        if all(np.linalg.norm(end - other) > 1e-4 for other in found):
            found.append(end)
    return [point.tolist() for point in found]


def _figure(points: np.ndarray, curves: list[Border], optimal: Solution) -> bytes:
    size = max(2.5, 1.2 * float(np.abs(points).max()))
    figure = new_figure(5.6, 5.2)
    axes = figure.subplots()
    for corners in laguerre_cells(optimal, np.full(2, -size), np.full(2, size)):
        if len(corners):
            axes.fill(*np.asarray(corners).T, fill=False, edgecolor=BLUE, lw=1.6)
    for curve in curves:
        axes.plot(*curve.points.T, color=RED, lw=1.6)
    axes.scatter(points[:, 0], points[:, 1], s=40, color=INK, zorder=3)
    axes.plot([], [], color=RED, label="diffusion's decoder")
    axes.plot([], [], color=BLUE, label="optimal transport (Laguerre)")
    axes.legend(loc="upper right", framealpha=0.9)
    axes.set(xlim=(-size, size), ylim=(-size, size), aspect="equal")
    axes.set_title("Which atom a point of N(0, I) is sent to")
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
