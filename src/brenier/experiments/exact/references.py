"""The exact solvers beside the reference values of Theory, chapters 3 to 5."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.exact import (
    laguerre_cells,
    solve_gaussian,
    solve_line,
    solve_monge_ampere,
    solve_semi_discrete,
)
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.grids import Box, Torus
from brenier.io import write_whole
from brenier.measures import Gaussian, GaussianMixture
from brenier.potentials import MaxAffine
from brenier.report import new_figure, png_bytes

TIME = "half a minute"

_TURN = 2.0 * np.pi
# Theory, D3.
_DIRACS = np.array([[0.0, 0.0], [2.0, 0.0], [0.5, 1.5]])
_CORNER = np.array([3.0, 3.0])
# Theory, W2D.
_MODES = np.array([[-1.2, -0.6], [1.2, -0.4], [0.1, 1.1]])


def main(run: Run) -> dict[str, Any]:
    """Every reference value: ours, theirs, the difference, and the seconds of each solver."""
    solvers = (_three_diracs, _thousand_diracs, _torus, _plane, _line, _gaussian)
    rows: list[dict[str, Any]] = []
    differences: dict[str, dict[str, float]] = {}
    seconds = {}
    for index, solver in enumerate(solvers):
        name = solver.__name__.removeprefix("_")
        run.progress(Progress(index, len(solvers), name))
        # The second run is timed as well: the first one compiles.
        for turn in ("first", "again"):
            started = time.perf_counter()
            found = solver(run.seed)
            seconds[f"{name}_{turn}"] = time.perf_counter() - started
        differences[name] = {key: abs(value - other) for key, (value, other) in found.items()}
        rows += [
            {
                "name": f"{name}.{key}",
                "value": value,
                "reference": reference,
                "difference": differences[name][key],
            }
            for key, (value, reference) in found.items()
        ]
    write_whole(run.out / "three_diracs.png", _figure())
    return {"values": rows, "differences": differences, "seconds_of": seconds}


def _three_diracs(seed: int) -> dict[str, tuple[float, float]]:
    solution = solve_semi_discrete(Gaussian.standard(2), _DIRACS)
    potential = solution.map.potential
    assert isinstance(potential, MaxAffine)
    offsets = np.asarray(potential.offsets)
    # Where the three affine pieces meet.
    slopes = _DIRACS[1:] - _DIRACS[0]
    vertex = np.linalg.solve(slopes, offsets[0] - offsets[1:])
    return {
        "vertex_x": (float(vertex[0]), 0.12334653),
        "vertex_y": (float(vertex[1]), -0.00269788),
        "cost": (solution.stats["cost"], 1.90140012442),
        "mass_error": (solution.stats["mass_error"], 0.0),
    }


def _thousand_diracs(seed: int) -> dict[str, tuple[float, float]]:
    points = np.random.default_rng(seed).normal(size=(1000, 2))
    solution = solve_semi_discrete(Gaussian.standard(2), points)
    return {"mass_error": (solution.stats["mass_error"], 0.0)}


def _torus(seed: int) -> dict[str, tuple[float, float]]:
    def source(x):
        return jnp.log(1.0 + 0.4 * jnp.cos(x[0]) + 0.3 * jnp.sin(x[1]) * jnp.cos(x[0] - 0.5))

    def target(y):
        return 0.8 * jnp.cos(y[0] - 1) + 0.6 * jnp.sin(y[0] + y[1]) + 0.4 * jnp.cos(2 * y[1])

    solutions = [
        solve_monge_ampere(source, target, Torus([0.0, 0.0], [_TURN, _TURN], [n, n]))
        for n in (64, 256)
    ]
    shift = np.asarray(solutions[1].map(np.zeros(2)))
    coarse = np.asarray(solutions[0].map(np.zeros(2)))
    return {
        "gradient_x": (float(shift[0]), 0.707793),
        "gradient_y": (float(shift[1]), 0.082359),
        "cost": (solutions[1].stats["cost"], 0.298074619),
        "cost_64_against_256": (solutions[0].stats["cost"], solutions[1].stats["cost"]),
        "gradient_64_against_256": (float(coarse[0]), float(shift[0])),
    }


def _plane(seed: int) -> dict[str, tuple[float, float]]:
    source = Gaussian.standard(2)
    target = GaussianMixture(
        jnp.array([0.3, 0.3, 0.4]), _MODES, jnp.broadcast_to(0.65**2 * jnp.eye(2), (3, 2, 2))
    )
    solution = solve_monge_ampere(source, target, Box.around(source, [192, 192]))
    centre, side = (np.asarray(solution.map(np.array(x))) for x in ((0.0, 0.0), (1.25, -1.25)))
    return {
        "centre_x": (float(centre[0]), 0.10832),
        "centre_y": (float(centre[1]), 0.32378),
        "side_x": (float(side[0]), 1.65217),
        "side_y": (float(side[1]), -1.04488),
        "cost": (solution.stats["cost"], 0.12508),
    }


def _line(seed: int) -> dict[str, tuple[float, float]]:
    mixture = GaussianMixture(
        jnp.array([0.35, 0.65]), jnp.array([[-1.2], [0.8]]), jnp.array([[[0.36]], [[0.25]]])
    )
    map = solve_line(Gaussian.standard(1), mixture).map
    places = {"left": (-1.0, -1.270444), "middle": (0.0, 0.434686), "right": (1.0, 1.146651)}
    return {
        name: (float(map(np.array([x]))[0]), reference) for name, (x, reference) in places.items()
    }


def _gaussian(seed: int) -> dict[str, tuple[float, float]]:
    """Between N(0, 1) and N(3, 4) in each of two axes: 2 (9 + 1)."""
    source = Gaussian.standard(2)
    target = Gaussian(3.0 * jnp.ones(2), 4.0 * jnp.eye(2))
    return {"cost": (solve_gaussian(source, target).stats["cost"], 20.0)}


def _figure() -> bytes:
    solution = solve_semi_discrete(Gaussian.standard(2), _DIRACS)
    figure = new_figure(4.0, 4.0)
    axes = figure.subplots()
    draws = np.asarray(Gaussian.standard(2).sample(jax.random.key(0), 2000))
    axes.scatter(draws[:, 0], draws[:, 1], s=2, alpha=0.3, color="grey")
    for polygon in laguerre_cells(solution.map, -_CORNER, _CORNER):
        axes.fill(*np.asarray(polygon).T, alpha=0.25)
    axes.scatter(_DIRACS[:, 0], _DIRACS[:, 1], marker="x", color="black")
    axes.set_aspect("equal")
    axes.set_title("Laguerre cells of three Diracs under N(0, I)")
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
