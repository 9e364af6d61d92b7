"""Encoders beside reference values: Gaussians, Diracs, LS, a mixture (Theory, chapter 3).

Nothing is sampled: M4 is integrated by Gauss-Hermite nodes about each component, D3 along the
borders of its cells, the counterexample LS (``ls22-counterexample``) by the trapezoid rule. M4's
Monge map is semi-discrete, from N(0, I) to the mixture's masses on three lattices, extrapolated.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.encoder._lattices import to_monge_map
from brenier.experiments.ls22.counterexample import reference_rows
from brenier.experiments.pey24.tessellation import DIRACS, compare
from brenier.measures import Gaussian, GaussianMixture
from brenier.numerics import inverse_sqrtm_spd
from brenier.problems import figure2
from brenier.velocities import FlowMap, MixtureVelocity, ProbabilityFlow

TIME = "minutes"

_TOLERANCE = 1e-11
_NODES = 80
# The squared spacing of the coarsest of the three lattices for M4.
_SQUARED_SPACING = 0.02
_PAIRS = (100, 300, 1000, 2000, 4000)


def main(run: Run) -> dict[str, Any]:
    """Every value, its reference, their difference and the tolerance asked for; the power table."""
    count = run.seeds_or(20)
    rows: list[dict[str, Any]] = []
    for index, part in enumerate((_gaussians, _three_diracs, _mixture)):
        run.progress(Progress(index, 5, part.__name__.removeprefix("_")))
        rows += [
            {
                "name": name,
                "value": value,
                "reference": reference,
                "difference": abs(value - reference),
                "tolerance": tolerance,
            }
            for name, (value, reference, tolerance) in part(run.seed).items()
        ]
    run.progress(Progress(3, 5, "counterexample"))
    rows += [{**row, "name": f"counterexample.{row['name']}"} for row in reference_rows()]
    run.progress(Progress(4, 5, "assignment test"))
    return {
        "values": rows,
        "differences": {row["name"]: row["difference"] for row in rows},
        "all_within": all(row["difference"] <= row["tolerance"] for row in rows),
        "assignment": _assignment_power(run.seed, count),
    }


def _gaussians(seed: int) -> dict[str, tuple[float, float, float]]:
    """E = Σ^{-1/2}(x − m), by integration, in d = 2, 5, 50; and the asymmetry of its Jacobian."""
    random = np.random.default_rng(seed)
    found = {}
    for d in (2, 5, 50):
        factor = random.normal(size=(d, d)) / np.sqrt(d)
        source = Gaussian(random.normal(size=d), factor @ factor.T + 0.1 * np.eye(d))
        encoder = FlowMap(MixtureVelocity(source), 1.0, 0.0, tolerance=_TOLERANCE)
        x = jnp.asarray(random.normal(size=(200, d)) @ np.asarray(source.factor).T) + source.mean
        exact = (x - source.mean) @ inverse_sqrtm_spd(source.covariance)
        found[f"gaussian_{d}.map"] = (float(jnp.abs(encoder(x) - exact).max()), 0.0, 1e-8)
        if d < 50:
            jacobian = encoder.jacobian(x[:20])
            skew = jnp.abs(jacobian - jnp.swapaxes(jacobian, 1, 2)).max()
            found[f"gaussian_{d}.asymmetry"] = (float(skew), 0.0, 1e-8)
    return found


def _three_diracs(seed: int) -> dict[str, tuple[float, float, float]]:
    report, _, _ = compare(DIRACS, np.ones(3))
    triple = report["triple_points"][0]
    return {
        "three_diracs.triple_x": (triple[0], 0.252924028006, 1e-8),
        "three_diracs.triple_y": (triple[1], 0.045512122471, 1e-8),
        "three_diracs.mislabelled_mass": (report["mislabelled_mass"], 0.015345, 2e-6),
        "three_diracs.cost": (report["cost"], 1.90276741401, 1e-8),
        "three_diracs.relative_gap": (report["relative_gap"], 7.1909619e-4, 1e-8),
    }


def _mixture(seed: int) -> dict[str, tuple[float, float, float]]:
    """M4, integrated over x by the nodes of each component."""
    source = figure2().source
    assert isinstance(source, GaussianMixture)
    encoder = FlowMap(MixtureVelocity(source), 1.0, 0.0, tolerance=_TOLERANCE)
    x, weights = _hermite(source)
    moved, jacobian = encoder(x), encoder.jacobian(x)
    cost = float(weights @ jnp.sum((moved - x) ** 2, axis=1))
    skew = 0.5 * (jacobian - jnp.swapaxes(jacobian, 1, 2))
    ratio = jnp.sum(skew**2, axis=(1, 2)) / jnp.sum(jacobian**2, axis=(1, 2))
    means, spreads = np.asarray(source.means), np.linalg.norm(np.asarray(source.factors), axis=2)
    beside = to_monge_map(
        source.log_density,
        lambda y: np.asarray(encoder(jnp.asarray(y))),
        (means - 7.0 * spreads).min(axis=0),
        (means + 7.0 * spreads).max(axis=0),
        _SQUARED_SPACING,
    )
    optimal = beside.optimal_cost
    return {
        "mixture.cost": (cost, 3.93907501073, 1e-7),
        "mixture.optimal_cost": (optimal, 3.936966, 2e-5),
        "mixture.relative_gap": ((cost - optimal) / optimal, 5.356e-4, 5e-6),
        "mixture.l2_uvp_percent": (beside.l2_uvp, 0.096489, 5e-4),
        "mixture.asymmetry_squared": (float(weights @ ratio), 3.06824016e-3, 1e-7),
    }


def _assignment_power(seed: int, count: int) -> list[dict[str, Any]]:
    """The paper's statistic on M4, relative to the cost: what it sees at n pairs (Theory (5.2))."""
    source = figure2().source
    encoder = ProbabilityFlow(source).encoder(tolerance=1e-10)
    table = []
    for n in _PAIRS:
        # The largest clouds take most of the time: fewer of them suffice for a median.
        repetitions = count if n <= 1000 else max(1, count // 4)
        gaps, moved = [], []
        for repetition in range(repetitions):
            key = jax.random.fold_in(jax.random.key(seed), 10_000 * n + repetition)
            x = source.sample(key, n)
            costs = cdist(np.asarray(x), np.asarray(encoder(x)), "sqeuclidean")
            columns = linear_sum_assignment(costs)[1]
            own = float(np.trace(costs) / n)
            gaps.append((own - float(costs[np.arange(n), columns].mean())) / own)
            moved.append(int((columns != np.arange(n)).sum()))
        table.append(
            {
                "pairs": n,
                "repetitions": repetitions,
                "median_gap": float(np.median(gaps)),
                "largest_gap": max(gaps),
                "median_points_moved": float(np.median(moved)),
                "repetitions_without_information": int((np.asarray(moved) == 0).sum()),
            }
        )
    return table


def _hermite(source: GaussianMixture) -> tuple[jnp.ndarray, jnp.ndarray]:
    """Nodes (n, d) and weights of the mixture: a product rule about each component."""
    places, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    grid = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.outer(weights, weights).ravel() / weights.sum() ** 2
    kept = mass > 1e-16
    nodes = [
        mean + grid[kept] @ factor.T
        for mean, factor in zip(np.asarray(source.means), np.asarray(source.factors), strict=True)
    ]
    return jnp.asarray(np.concatenate(nodes)), jnp.asarray(
        np.concatenate([share * mass[kept] for share in np.asarray(source.weights)])
    )


if __name__ == "__main__":
    command(__spec__.name)
