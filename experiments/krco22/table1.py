"""KRCO22, Table 1: random densities in d = 2, 3, 7, by the paper's statistic and by an audit.

The paper compares the encoder's cost on 1000 samples with the cost of the best assignment of the
same samples and images, and finds them equal to machine precision. So do we: no point moves, which
says nothing (MATH_5 (5.2)). Beside it stand what the samples cannot show: the asymmetry of the
Jacobian, a ring of neighbours that would rather shift their images, the two-sided bounds on the
defect, and in the plane the distance to the Monge map of the Monge-Ampere equation.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import brenier
from brenier import SolveError
from brenier.exact import Box, solve_assignment, solve_monge_ampere
from brenier.io import atomic_write
from brenier.measures import Gaussian
from brenier.problems import QuarticMixture
from brenier.report import new_figure, png_bytes

from .._seeds import map_blocks
from ._densities import SETTINGS, Blocks, density, encoder

_SAMPLES = 1000
# Points that are drawn and audited, and the seconds its search for a cheaper permutation may take.
_AUDITED = {2: 2048, 3: 1024, 7: 1024}
_BUDGET = 1.0
# The Monge map is solved where the density is above the first of these shares of its maximum with
# which Newton's method converges.
_CUTS = (1e-5, 1e-4)
_NODES = 80
_BLOCK = 5


def main(
    out: Path,
    seed: int,
    seeds: int | None,
    data: list[Path] | None,
    progress: Callable[[int, int, str], None],
) -> dict[str, Any]:
    """``seeds`` densities of each dimension (100 by default); one row for each, and a summary."""
    count = 100 if seeds is None else seeds
    blocks = [
        (dimension, seed + first, min(_BLOCK, count - first))
        for dimension in SETTINGS for first in range(0, count, _BLOCK)
    ]  # fmt: skip
    parts = map_blocks(
        _block, blocks, lambda done: progress(done, len(blocks), "densities"), out / "blocks"
    )
    rows = [row for part in parts for row in part]
    summary = {
        str(dimension): _summary([row for row in rows if row["dimension"] == dimension])
        for dimension in SETTINGS
    }
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "table1.png") as handle:
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
    x = np.asarray(padded.sample(keys[0], _AUDITED[dimension]))
    z = blocks(x[:_SAMPLES])
    solved = time.perf_counter() - began
    row = {"ranks": list(law.ranks), "solve_seconds": solved, **_assignment(x[:_SAMPLES], z)}
    certificate = brenier.audit(
        blocks, x, Gaussian.standard(dimension), key=keys[1], jacobian=blocks.jacobian,
        samples=_AUDITED[dimension], budget=_BUDGET,
    )  # fmt: skip
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
        "optimality": certificate.verdict.optimality, "target": certificate.verdict.target,
    }  # fmt: skip
    if function is not None and dimension == 2:
        row |= _truth(function, x, blocks(x))
    return row


def _assignment(x: np.ndarray, z: np.ndarray) -> dict[str, Any]:
    """KRCO22's statistic: (cost of the encoder − cost of the assignment) / the latter."""
    plan = solve_assignment(x, z).stats["plan"]
    mates = np.empty(len(x), dtype=int)
    mates[plan.rows] = plan.columns
    # Both costs by one formula, so that they are equal where no point moves.
    cost, best = (float(np.mean(np.sum((x - images) ** 2, axis=1))) for images in (z, z[mates]))
    return {"assignment_error": (cost - best) / best,
            "points_moved": int(np.sum(mates != np.arange(len(x))))}


def _truth(function: QuarticMixture, x: np.ndarray, z: np.ndarray) -> dict[str, Any]:
    """The encoder beside the Monge map, at the points in the box where that was solved."""
    side = np.linspace(-8.0, 8.0, 161)
    points = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)
    values = np.asarray(_log_values(function, jnp.asarray(points.reshape(-1, 2))))
    heights = (values - values.max()).reshape(points.shape[:2])
    failures = []
    for cut in _CUTS:
        high = heights > np.log(cut)
        ends = [side[np.flatnonzero(high.any(axis=1 - axis))[[0, -1]]] for axis in (0, 1)]
        lower, upper = np.array(ends).T
        try:
            solution = solve_monge_ampere(function, Gaussian.standard(2),
                                          Box(lower, upper, [_NODES, _NODES]), tolerance=1e-6)
            break
        except (ValueError, SolveError) as error:
            failures.append(f"{type(error).__name__}: {str(error)[:200]}")
    else:
        return {"truth_failed": failures[-1]}
    inside = ((x >= lower) & (x <= upper)).all(axis=1)
    true = np.asarray(solution.map(x[inside]))
    distance = float(np.mean(np.sum((z[inside] - true) ** 2, axis=1)))
    return {"truth_failed": None, "monge_cut": cut, "monge_cost": solution.stats["cost"],
            "monge_kl": solution.stats["kl"], "l2_to_monge": float(np.sqrt(distance)),
            "l2_uvp": 100.0 * distance / float(true.var(axis=0).sum())}


@eqx.filter_jit
def _log_values(function: QuarticMixture, points: jax.Array) -> jax.Array:
    return jax.vmap(function)(points)


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    solved = [row for row in rows if row["failed"] is None]
    summary: dict[str, Any] = {
        "solved": len(solved), "failed": len(rows) - len(solved),
        "failures": {str(row["seed"]): row["failed"] for row in rows if row["failed"]},
    }  # fmt: skip
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
        "solve_seconds": _range(solved, "solve_seconds"), "seconds": _range(solved, "seconds"),
    }
    compared = [row for row in solved if row.get("truth_failed", "") is None]
    if any("truth_failed" in row for row in solved):
        summary |= {"truth_solved": len(compared), "truth_failed": len(solved) - len(compared)}
    if compared:
        summary |= {"l2_uvp": _range(compared, "l2_uvp"),
                    "l2_to_monge": _range(compared, "l2_to_monge")}
    return summary


def _range(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    values = [row[name] for row in rows]
    return {"min": float(np.min(values)), "median": float(np.median(values)),
            "max": float(np.max(values))}


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
        shown = [dimension for dimension in SETTINGS
                 if any(row["dimension"] == dimension for row in known)]
        for place, dimension in enumerate(shown):
            values = [row[name] for row in known if row["dimension"] == dimension]
            panel.scatter(place + random.uniform(-0.15, 0.15, len(values)), values, s=16,
                          alpha=0.7, color="#2471a3", linewidths=0)
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
