"""Lavenant and Santambrogio's counterexample, in numbers: the diffusion's encoder is not optimal.

u = |x|²/2 + ε (x₁x₂ + x₁⁴) e^{−|x|²/2} is convex, μ_0 = (∇u)⁻¹#N(0, I) has ∇u as its Monge map to
N(0, I), and the encoder of its diffusion is another map. Shown by the commutator that LS22 (9)-(10)
ask to vanish, by the asymmetry of the encoder's Jacobian against Theory, LS, by its cost beside
W₂², by rings of points that would rather shift, and by the audit; beside three cases where the
encoder is optimal. The second-order formula (3.13) is compared with encoders of three measures.
"""

import time as clock
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import brenier
from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.ls22 import _bent as bent
from brenier.experiments.ls22._figures import asymmetry_figure, order_figure, ring_figure
from brenier.io import write_whole
from brenier.measures import Gaussian, GaussianMixture
from brenier.velocities import FlowMap, MixtureVelocity

TIME = "minutes"

_EPSILON = 0.15
_TIMES = (0.0, 0.05, 0.2)
_PLACES = np.array([[0.0, 0.0], [2.4, -0.75]])
# Theory, LS: asymmetry at the two places, time by time.
_TABLE = {
    0.0: (2.391686316e-2, 3.54246046e-2),
    0.05: (9.25276955e-3, 1.36814391e-2),
    0.2: (1.0830525e-3, 1.3168137e-3),
}
_LIMIT = 1.25357143
# Of each ring: what Theory (5.2b) says that it saves.
_RINGS = {100: 0.0, 140: 0.0, 180: 2.8e-6, 400: 4.1e-6}
_RADIUS = 0.02
_BUMPS = {"paper": bent.paper_bump, "cubic": bent.cubic_bump, "oblique": bent.oblique_bump}
_AUDITED = 4000


def main(run: Run) -> dict[str, Any]:
    """The table, the costs, the rings, the audits and the formula; figures beside them."""
    u = bent.BentPotential(bent.paper_bump, jnp.asarray(_EPSILON))
    flow = bent.velocity(u)
    encoder = bent.encoder(flow, 0.0)
    steps = ("commutator", "table", "refinement", "cost", "rings", "small", "formula", "audits")
    results: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for index, (name, work) in enumerate(
        zip(
            steps,
            (
                lambda: _commutator(),
                lambda: _asymmetries(flow),
                lambda: _refinement(u),
                lambda: _costs(u, encoder),
                lambda: _rings(encoder),
                lambda: _small(),
                lambda: _formula(),
                lambda: _audits(u, flow, run.seed, run.out),
            ),
            strict=True,
        )
    ):
        run.progress(Progress(index, len(steps), name))
        started = clock.perf_counter()
        results[name] = work()
        seconds[name] = clock.perf_counter() - started
    values = [
        row
        for part in ("commutator", "table", "cost", "rings", "small")
        for row in results[part].pop("values")
    ]
    write_whole(run.out / "asymmetry.png", asymmetry_figure(flow, _TIMES))
    write_whole(run.out / "rings.png", ring_figure(results["rings"]["savings"], _RINGS))
    write_whole(run.out / "second_order.png", order_figure(results["formula"]))
    return {
        "values": values,
        "differences": {row["name"]: row["difference"] for row in values},
        "within": all(row["difference"] <= row["tolerance"] for row in values),
        **results,
        "seconds_of": seconds,
    }


def reference_rows() -> list[dict[str, Any]]:
    """The values of Theory, LS, alone: asymmetries, costs, rings and the limit ε → 0."""
    u = bent.BentPotential(bent.paper_bump, jnp.asarray(_EPSILON))
    flow = bent.velocity(u)
    encoder = bent.encoder(flow, 0.0)
    parts = (_asymmetries(flow), _costs(u, encoder), _rings(encoder), _small())
    return [row for part in parts for row in part["values"]]


def _name(time: float) -> str:
    """Of a time, without a dot: paths in ``expected.json`` have them between keys."""
    return f"t{time:g}".replace(".", "_")


def _row(name: str, value: float, reference: float, tolerance: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": float(value),
        "reference": float(reference),
        "difference": abs(float(value) - float(reference)),
        "tolerance": tolerance,
    }


def _commutator() -> dict[str, Any]:
    """[D²(log det D²u − |∇u|²/2), D²u] at 0 over ε², as ε falls: [[0, 24], [−24, 0]] + O(ε)."""

    def entry(size: float) -> np.ndarray:
        u = bent.BentPotential(bent.paper_bump, jnp.asarray(size))

        def log_density(x):
            slope = jax.grad(u.value)(x)
            return jnp.linalg.slogdet(jax.hessian(u.value)(x))[1] - 0.5 * (slope @ slope)

        first, second = jax.hessian(log_density)(jnp.zeros(2)), jax.hessian(u.value)(jnp.zeros(2))
        return np.asarray(first @ second - second @ first) / size**2

    sizes = (_EPSILON, 0.1 * _EPSILON, 0.01 * _EPSILON)
    found = {f"{size:g}": entry(size).tolist() for size in sizes}
    # Two sizes of either sign cancel the odd and the next even power.
    even = {size: 0.5 * (entry(size) + entry(-size)) for size in (0.02, 0.01)}
    limit = (4.0 * even[0.01] - even[0.02]) / 3.0
    return {
        "over_eps2": found,
        "limit": limit.tolist(),
        "values": [
            _row("commutator_12", limit[0, 1], 24.0, 1e-4),
            _row("commutator_21", limit[1, 0], -24.0, 1e-4),
            _row("commutator_11", limit[0, 0], 0.0, 1e-9),
        ],
    }


def _asymmetries(flow: Any) -> dict[str, Any]:
    rows = []
    for time, references in _TABLE.items():
        found = bent.asymmetry(bent.encoder(flow, time), _PLACES)
        for place, value, reference in zip(("origin", "side"), found, references, strict=True):
            rows.append(_row(f"asymmetry_{place}_{_name(time)}", value, reference, 1e-6))
    return {"values": rows}


def _refinement(u: bent.BentPotential) -> dict[str, Any]:
    """The asymmetries at t = 0 by other grids, tolerances, and a tensor train: what holds."""
    rows = []
    for half_width, nodes, tolerance in (
        (10.0, 80, 1e-11),
        (10.0, 96, 1e-11),
        (10.0, 112, 1e-11),
        (10.0, 128, 1e-11),
        (14.0, 224, 1e-12),
        (12.0, 160, 1e-12),
        (12.0, 160, 1e-11),
        (12.0, 160, 1e-8),
        (12.0, 160, 1e-5),
    ):
        flow = bent.velocity(u, half_width=half_width, nodes=nodes)
        found = bent.asymmetry(bent.encoder(flow, 0.0, tolerance=tolerance), _PLACES)
        rows.append(
            {
                "half_width": half_width,
                "nodes": nodes,
                "tolerance": tolerance,
                "origin": float(found[0]),
                "side": float(found[1]),
            }
        )
    fine = [row for row in rows if row["nodes"] >= 160 and row["tolerance"] <= 1e-11]
    spread = max(abs(row[key] - fine[0][key]) for row in fine for key in ("origin", "side"))
    train = bent.asymmetry(bent.tensor_train_encoder(u), _PLACES)
    apart = max(abs(train[i] - fine[0][key]) for i, key in enumerate(("origin", "side")))
    return {
        "runs": rows,
        "spread_of_fine": spread,
        "asymmetry_over_spread": min(fine[0]["origin"], fine[0]["side"]) / spread,
        "tensor_train": {
            "origin": float(train[0]),
            "side": float(train[1]),
            "difference": float(apart),
        },
    }


def _costs(u: bent.BentPotential, encoder: FlowMap) -> dict[str, Any]:
    """E|E(X) − X|², W₂² = E|∇u(X) − X|² and E|E − ∇u|² under μ_0, by the trapezoid rule."""
    side = np.linspace(-8.0, 8.0, 97)
    x = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    ratio = np.asarray(jax.vmap(lambda y: bent.ratio(u, y))(jnp.asarray(x)))
    weights = ratio * np.exp(-0.5 * np.sum(x**2, axis=1)) / (2.0 * np.pi) * (side[1] - side[0]) ** 2
    kept = weights > 1e-16
    x, weights = x[kept], weights[kept]
    images, true = np.asarray(encoder(x)), np.asarray(u.gradient(jnp.asarray(x)))
    cost, optimal, apart = (
        float(weights @ np.sum(z**2, axis=1)) for z in (images - x, true - x, images - true)
    )
    # E#μ_0 has covariance I: the variance of the target is 2.
    return {
        "mass_error": abs(float(weights.sum()) - 1.0),
        "defect": cost - optimal,
        "values": [
            _row("cost", cost, 0.020032730258, 1e-10),
            _row("w2_squared", optimal, 0.020020653738, 1e-10),
            _row("relative_gap", cost / optimal - 1.0, 6.03203e-4, 1e-6),
            _row("l2_uvp_percent", 50.0 * apart, 5.56821e-4, 1e-8),
        ],
    }


def _rings(encoder: FlowMap) -> dict[str, Any]:
    """k points about the second place, each to its neighbour's image: what that saves. (5.2b)"""
    centre = _PLACES[1]
    jacobian = np.asarray(encoder.jacobian(centre))
    values, vectors = np.linalg.eigh(0.5 * (jacobian + jacobian.T))
    root = (vectors / np.sqrt(values)) @ vectors.T
    turn = 0.5 * (jacobian[0, 1] - jacobian[1, 0]) / np.sqrt(values.prod())
    savings = {}
    for k in (*_RINGS, 120, 150, 160, 240, 300, 600, 1000, 2000):
        angle = 2.0 * np.pi * np.arange(k) / k
        around = _RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ root
        images = np.asarray(encoder(centre + around))
        cost = np.sum((centre + around - images) ** 2)
        # Σ|x_j − T_j|² − Σ|x_j − T_{j±1}|², without its large equal parts.
        shifts = [2.0 * np.sum(around * (np.roll(images, s, axis=0) - images)) for s in (1, -1)]
        savings[k] = float(max(shifts) / cost)
    return {
        "threshold": float(np.pi / np.arctan(abs(turn))),
        "savings": {str(k): savings[k] for k in sorted(savings)},
        "values": [
            _row(f"ring_{k}_saves", max(savings[k], 0.0), reference, 1e-7)
            for k, reference in _RINGS.items()
        ],
    }


def _small() -> dict[str, Any]:
    """asym(0)/ε² as ε falls by halves, and its limit by Romberg's rule in powers of ε."""
    sizes = [0.08, 0.04, 0.02, 0.01]
    found = []
    for size in sizes:
        flow = bent.velocity(bent.BentPotential(bent.paper_bump, jnp.asarray(size)))
        found.append(float(bent.asymmetry(bent.encoder(flow, 0.0), _PLACES[:1])[0] / size**2))
    row, power = np.array(found), 2.0
    while row.size > 1:
        row, power = (power * row[1:] - row[:-1]) / (power - 1.0), 2.0 * power
    return {
        "sizes": sizes,
        "over_eps2": found,
        "values": [_row("asymmetry_over_eps2", row[0], _LIMIT, 1e-5)],
    }


def _formula() -> dict[str, Any]:
    """(3.13) beside encoders: asym/ε² at ε and −ε averaged errs by O(ε²), extrapolated by O(ε⁴)."""
    places = np.array([*_PLACES, [0.5, 0.8]])
    report = {}
    for name, bump in _BUMPS.items():
        formula = np.array([bent.second_order(bump, x) for x in places])
        even = {}
        for size in (0.02, 0.01):
            pair = [
                bent.asymmetry(
                    bent.encoder(bent.velocity(bent.BentPotential(bump, jnp.asarray(signed))), 0.0),
                    places,
                )
                for signed in (size, -size)
            ]
            even[size] = 0.5 * (pair[0] + pair[1]) / size**2
        limit = (4.0 * even[0.01] - even[0.02]) / 3.0
        report[name] = {
            "formula": formula.tolist(),
            "encoder": limit.tolist(),
            "difference": float(np.abs(limit - formula).max()),
            # 4 where the error is O(ε²), as it should be.
            "ratio_of_errors": float(
                np.abs(even[0.02] - formula).max() / np.abs(even[0.01] - formula).max()
            ),
        }
    return report


def _audits(u: bent.BentPotential, flow: Any, seed: int, out: Path) -> dict[str, Any]:
    """The encoders of μ_t, not optimal; those of Gaussian, radial and separable measures, optimal.

    ``gap`` is the Fenchel-Young gap of u itself, 2 E[u(X) + u*(E(X)) − ⟨X, E(X)⟩], which is the
    defect, since ∇u and E have the same image; its terms are not negative and its noise small.
    """
    keys = jax.random.split(jax.random.key(seed), 8)
    start = bent.bent_measure(u)
    x = np.asarray(start.sample(keys[0], _AUDITED))
    noise = np.asarray(jax.random.normal(keys[1], x.shape))
    report = {}
    for time, key in zip(_TIMES, keys[2:5], strict=True):
        cloud = np.exp(-time) * x + np.sqrt(1.0 - np.exp(-2.0 * time)) * noise
        map = bent.encoder(flow, time)
        certificate = brenier.audit(map, cloud, Gaussian.standard(2), key=key, budget=5.0)
        report[f"bent_{_name(time)}"] = _summary(certificate)
        if time == 0.0:
            certificate.to_html(out / "encoder.html")
            report["bent_t0"]["gap"] = _gap(u, cloud, np.asarray(map(cloud)))
    gaussian = Gaussian(np.array([0.5, -1.0]), np.array([[2.0, 0.9], [0.9, 0.7]]))
    radial = GaussianMixture(
        np.array([0.5, 0.5]), np.zeros((2, 2)), np.array([4.0, 16.0])[:, None, None] * np.eye(2)
    )
    optimal: dict[str, Gaussian | GaussianMixture] = {
        "gaussian": gaussian,
        "radial": radial,
        "separable": _product_mixture(),
    }
    for (name, source), key in zip(optimal.items(), keys[5:], strict=True):
        report[name] = _summary(
            brenier.audit(
                FlowMap(MixtureVelocity(source), 1.0, 0.0, tolerance=1e-10),
                source,
                Gaussian.standard(2),
                key=key,
                samples=2 * _AUDITED,
                budget=5.0,
            )
        )
    return report


def _product_mixture() -> GaussianMixture:
    """Two Gaussians on the first axis times two on the second."""
    weights = np.outer([0.4, 0.6], [0.7, 0.3]).ravel()
    means = np.array([[a, b] for a in (-3.0, 2.0) for b in (-1.0, 4.0)])
    variances = np.array([[a, b] for a in (1.5, 3.0) for b in (2.0, 1.0)])
    return GaussianMixture(weights, means, variances[:, :, None] * np.eye(2))


def _gap(u: bent.BentPotential, x: np.ndarray, images: np.ndarray) -> dict[str, float]:
    found = brenier.numerics.conjugate(u.value, jnp.asarray(images), tolerance=1e-13)
    terms = 2.0 * (np.asarray(u(jnp.asarray(x)) + found.value) - np.sum(x * images, axis=1))
    error = float(terms.std(ddof=1) / np.sqrt(len(terms)))
    return {
        "mean": float(terms.mean()),
        "stderr": error,
        "in_stderr": float(terms.mean()) / error,
        "min": float(terms.min()),
    }


def _summary(certificate: Any) -> dict[str, Any]:
    ring, defect = certificate.ring, certificate.defect
    return {
        "verdict": certificate.verdict.optimality,
        "reason": certificate.verdict.optimality_reason,
        "target": certificate.verdict.target,
        "cost": certificate.cost.value,
        "lower": defect.lower,
        "upper": defect.upper,
        "points_moved": defect.points_moved,
        "relative_upper": defect.relative_upper,
        "asymmetry_max": certificate.asymmetry.max,
        "ring": None
        if ring is None
        else {
            "k": ring.k,
            "proven": ring.proven,
            "relative_saving": ring.relative_saving,
            "saving_over_noise": ring.saving / ring.noise if ring.noise > 0 else None,
        },
    }


if __name__ == "__main__":
    command(__spec__.name)
