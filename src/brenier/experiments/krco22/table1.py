"""KRCO22, Table 1: random densities in d = 2, 3, 7, by the paper's statistic and by an audit.

The paper compares the encoder's cost on 1000 samples with the cost of the best assignment of the
same samples and images, and finds them equal to machine precision. So do we: no point moves, which
says nothing (Theory (5.2)). Beside it stand what the samples cannot show: the asymmetry of the
Jacobian, a ring of neighbours that would rather shift their images, the two-sided bounds on the
defect, and in the plane the defect itself and the distance to the Monge map.
"""

import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import brenier
from brenier._progress import Progress
from brenier.exact import solve_assignment
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.encoder._lattices import to_monge_map
from brenier.experiments.krco22._densities import REACH, SETTINGS, Blocks, density, encoder
from brenier.io import atomic_write
from brenier.measures import Gaussian
from brenier.problems import QuarticMixture
from brenier.report import new_figure, png_bytes

TIME = "minutes"

_SAMPLES = 1000
# Points that are drawn and audited, in whole blocks, and the seconds that the search for a cheaper
# permutation may take.
_AUDITED, _BUDGET = 1024, 1.0
# Nodes along an axis: of the lattice by which the width of a density is found, and of the coarsest
# lattice, on that width, for the Monge map.
_COARSE, _NODES = 161, 90
_BLOCK = 5


def main(run: Run) -> dict[str, Any]:
    """``seeds`` densities of each dimension (100 by default); one row for each, and a summary."""
    count = run.seeds_or(100)
    blocks = [
        (dimension, run.seed + first, min(_BLOCK, count - first))
        for dimension in SETTINGS
        for first in range(0, count, _BLOCK)
    ]
    parts = map_blocks(
        _block,
        blocks,
        lambda done: run.progress(Progress(done, len(blocks), "densities")),
        run.out / "blocks",
    )
    rows = [row for part in parts for row in part]
    summary = {
        str(dimension): _summary([row for row in rows if row["dimension"] == dimension])
        for dimension in SETTINGS
    }
    with atomic_write(run.out / "table1.png") as handle:
        handle.write(_figure(rows))
    return {"densities": count, "dimensions": summary, "rows": rows}


def _block(dimension: int, first: int, count: int) -> list[dict[str, Any]]:
    rows = []
    for seed in range(first, first + count):
        started = time.perf_counter()
        row: dict[str, Any] = {"dimension": dimension, "seed": seed, "failed": None}
        try:
            row |= _case(seed, dimension)
        # A density that cannot be solved is a row of the table, with its reason.
        except (ValueError, RuntimeError) as error:
            row["failed"] = f"{type(error).__name__}: {str(error)[:300]}"
        rows.append({**row, "seconds": time.perf_counter() - started})
    return rows


def _case(seed: int, dimension: int) -> dict[str, Any]:
    began = time.perf_counter()
    law, function = density(seed, dimension)
    blocks = Blocks(encoder(law))
    padded = law.padded(*SETTINGS[dimension].padding)
    keys = jax.random.split(jax.random.key(seed))
    x = np.asarray(padded.sample(keys[0], _AUDITED))
    z = blocks(x)[:_SAMPLES]
    solved = time.perf_counter() - began
    row = {"ranks": list(law.ranks), "solve_seconds": solved, **_assignment(x[:_SAMPLES], z)}
    certificate = brenier.audit(
        blocks,
        x,
        Gaussian.standard(dimension),
        key=keys[1],
        jacobian=blocks.jacobian,
        samples=_AUDITED,
        budget=_BUDGET,
    )
    defect, ring, asymmetry = certificate.defect, certificate.ring, certificate.asymmetry
    row |= {
        "cost": certificate.cost.value,
        "defect": [defect.lower, defect.upper],
        "relative_defect": [defect.relative_lower, defect.relative_upper],
        "audit_points_moved": defect.points_moved,
        "asymmetry_rms": float(np.sqrt(np.mean(asymmetry.values**2))) if asymmetry else None,
        "asymmetry_max": asymmetry.max if asymmetry else None,
        "ring_points": ring.k if ring else None,
        "ring_proves": ring.proven if ring else False,
        "optimality": certificate.verdict.optimality,
        "target": certificate.verdict.target,
    }
    if function is not None and dimension == 2:
        row |= _truth(function, blocks)
    return row


def _assignment(x: np.ndarray, z: np.ndarray) -> dict[str, Any]:
    """KRCO22's statistic: (cost of the encoder − cost of the assignment) / the latter."""
    plan = solve_assignment(x, z).stats["plan"]
    mates = np.empty(len(x), dtype=int)
    mates[plan.rows] = plan.columns
    # Both costs by one formula, so that they are equal where no point moves.
    cost, best = (float(np.mean(np.sum((x - images) ** 2, axis=1))) for images in (z, z[mates]))
    return {
        "assignment_error": (cost - best) / best,
        "points_moved": int(np.sum(mates != np.arange(len(x)))),
    }


def _truth(function: QuarticMixture, blocks: Blocks) -> dict[str, float]:
    """The encoder beside the Monge map, over the whole density."""
    side = np.linspace(-REACH, REACH, _COARSE)
    nodes = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    heights = np.asarray(_log_values(function, jnp.asarray(nodes)))
    # The integral over the maximum tells how wide a density is: all get the same number of nodes.
    area = float(np.exp(heights - heights.max()).sum()) * (side[1] - side[0]) ** 2
    corner = np.full(2, REACH)
    beside = to_monge_map(
        lambda y: _log_values(function, y), blocks, -corner, corner, area / _NODES
    )
    return {
        "mean_cost": beside.cost,
        "monge_cost": beside.optimal_cost,
        "relative_gap": (beside.cost - beside.optimal_cost) / beside.optimal_cost,
        "relative_gap_error": beside.error / beside.optimal_cost,
        "l2_to_monge": float(np.sqrt(beside.distance)),
        "l2_uvp": beside.l2_uvp,
    }


@eqx.filter_jit
def _log_values(function: QuarticMixture, points: jax.Array) -> jax.Array:
    return jax.vmap(function)(points)


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    solved = [row for row in rows if row["failed"] is None]
    summary: dict[str, Any] = {
        "solved": len(solved),
        "failed": len(rows) - len(solved),
        "failures": {str(row["seed"]): row["failed"] for row in rows if row["failed"]},
    }
    if not solved:
        return summary
    summary |= {
        "assignment_error_max": max(row["assignment_error"] for row in solved),
        "points_moved_max": max(row["points_moved"] for row in solved),
        "asymmetry_rms": _range(solved, "asymmetry_rms"),
        "asymmetry_max": max(row["asymmetry_max"] for row in solved),
        "ring_proves": sum(row["ring_proves"] for row in solved),
        "target_not_reached": sum(row["target"] == "not reached" for row in solved),
        "relative_defect_upper": {
            "median": float(np.median([row["relative_defect"][1] for row in solved])),
            "max": float(np.max([row["relative_defect"][1] for row in solved])),
        },
        "solve_seconds": _range(solved, "solve_seconds"),
        "seconds": _range(solved, "seconds"),
    }
    compared = [row for row in solved if "l2_uvp" in row]
    if compared:
        summary |= {
            name: _range(compared, name) for name in ("relative_gap", "l2_uvp", "l2_to_monge")
        }
        summary["gap_within_bounds"] = sum(
            row["relative_defect"][0] - row["relative_gap_error"]
            <= row["relative_gap"]
            <= row["relative_defect"][1] + row["relative_gap_error"]
            for row in compared
        )
    return summary


def _range(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    values = [row[name] for row in rows]
    return {
        "min": float(np.min(values)),
        "median": float(np.median(values)),
        "max": float(np.max(values)),
    }


def _figure(rows: list[dict[str, Any]]) -> bytes:
    solved = [row for row in rows if row["failed"] is None]
    figure = new_figure(9.0, 3.4)
    axes = figure.subplots(1, 3)
    titles = (
        ("assignment error, n = 1000", "assignment_error", "what KRCO22 measure"),
        ("asymmetry of the Jacobian, rms", "asymmetry_rms", "0 for a Monge map"),
        ("L2-UVP to the Monge map, %", "l2_uvp", "0 for a Monge map"),
    )
    random = np.random.default_rng(0)
    for panel, (label, name, title) in zip(axes, titles, strict=True):
        known = [row for row in solved if row.get(name) is not None]
        shown = [
            dimension
            for dimension in SETTINGS
            if any(row["dimension"] == dimension for row in known)
        ]
        for place, dimension in enumerate(shown):
            values = [row[name] for row in known if row["dimension"] == dimension]
            panel.scatter(
                place + random.uniform(-0.15, 0.15, len(values)),
                values,
                s=16,
                alpha=0.7,
                color="#2471a3",
                linewidths=0,
            )
        panel.set_xticks(range(len(shown)), [f"d = {dimension}" for dimension in shown])
        panel.set_xlim(-0.6, max(len(shown), 1) - 0.4)
        panel.set_ylabel(label)
        panel.set_title(title, fontsize=10)
    # Differences of costs are rounding: shown on the scale of machine precision.
    most = max([abs(row["assignment_error"]) for row in solved], default=0.0)
    axes[0].set_ylim(-2.0 * max(most, 1e-15), 2.0 * max(most, 1e-15))
    for panel in axes[1:]:
        panel.set_yscale("log")
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
