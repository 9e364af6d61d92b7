"""Deb25's examples of mirror flows, Euclidean and Wasserstein, and divergences other than KL."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.stats import norm

from brenier import solve
from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.deb25._problems import row
from brenier.flows import (
    MirrorFlow,
    divergence_flow,
    euclidean_mirror_flow,
    exponential_rate,
    gaussian_parabolic_flow,
    gaussian_sinkhorn_flow,
    mirror_velocity,
)
from brenier.functionals import MMD, linearised_distance
from brenier.grids import Torus
from brenier.io import write_whole
from brenier.maps import AffineMap
from brenier.measures import Empirical, Gaussian, Gibbs
from brenier.report import new_figure, png_bytes

TIME = "minutes"

_KEY = jax.random.key(0)
_Y = np.linspace(-1.5, 1.5, 8)[:, None]
_TURN = 2.0 * np.pi
_DIVERGENCES = ("kl", "chi2", "reverse_kl", "hellinger")
_COLOURS = ("#222222", "#c0392b", "#1e8449", "#2471a3")


def main(run: Run) -> dict[str, Any]:
    """Each example against its closed form, the rates of its decay, and the open questions."""
    parts = (_euclidean, _example_one, _example_two, _example_three, _linearised, _energy)
    rows: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        run.progress(Progress(index, len(parts) + 1, part.__name__.removeprefix("_")))
        rows += part()
    run.progress(Progress(len(parts), len(parts) + 1, "divergences"))
    curves, divergences = _divergences()
    write_whole(run.out / "mirror_flows.png", _figure(curves))
    outside = [line["name"] for line in rows if not line["difference"] <= line["tolerance"]]
    return {
        "values": rows,
        "outside": outside,
        "outside_count": len(outside),
        "divergences": divergences,
    }


def _deviation(source, target, steps, time) -> float:
    """The standard deviation of ρ_t by the mirror flow of affine maps, from ρ_0 = e^{−g}."""
    method = MirrorFlow(
        step_size=time / steps, steps=steps, scheme="rk4", points=jnp.asarray(_Y), damping=1e-14
    )
    end = solve(
        source,
        target,
        method=method,
        initial=AffineMap.identity(1),
        key=_KEY,
        blocks=1,
        metric=lambda map: -jnp.abs(map.matrix[0, 0] - 1.0),
    )
    assert isinstance(end.map, AffineMap)
    return float(end.map.matrix[0, 0] * source.factor[0, 0])


def _euclidean() -> list[dict[str, Any]]:
    times = np.array([0.5, 2.0, 5.0])
    mirrors = {
        "square": (lambda x: 0.5 * x @ x, np.exp(-times)),
        "fourth": (lambda x: x[0] ** 4, np.sqrt(1.0 - times / 6.0)),
        "inverse": (lambda x: 1.0 / x[0], (1.0 + 1.5 * times) ** (-1.0 / 3.0)),
    }
    rows = []
    for name, (mirror, wanted) in mirrors.items():
        found = euclidean_mirror_flow(lambda x: 0.5 * x @ x, mirror, [1.0], times)
        rows += [
            row(f"euclidean.{name}.{t:g}", found[k, 0], wanted[k], 1e-8)
            for k, t in enumerate(times)
        ]
    return rows


def _example_one() -> list[dict[str, Any]]:
    """Entropy from N(0, 1): N(0, (1 + t)²); Sinkhorn with f = 0 is exact, a_k = 1/(1 + kε)."""
    flat = Gibbs(lambda x: 0.0 * x[0], 1)
    normal = Gaussian.standard(1)
    rows = [row("example1.deviation.1", _deviation(normal, flat, 60, 1.0), 2.0, 1e-8)]
    # As flat as float64 allows.
    wide = Gaussian(np.zeros(1), np.array([[1e14]]))
    for k in (1, 10):
        a = gaussian_sinkhorn_flow(wide, normal, k, epsilon=0.1).matrix[0, 0]
        rows.append(row(f"example1.sinkhorn.{k}", a, 1.0 / (1.0 + 0.1 * k), 1e-12))
    return rows


def _mirror_deviation(eta: float, t: Any) -> Any:
    """σ_M of example 2."""
    if eta < 1.0:
        return np.tanh(t / eta + np.arctanh(eta))
    return 1.0 / np.tanh(t / eta + np.arctanh(1.0 / eta))


def _example_two() -> list[dict[str, Any]]:
    normal, rows = Gaussian.standard(1), []
    for eta in (0.5, 2.0):
        base = Gaussian(np.zeros(1), np.array([[eta**2]]))
        wanted = _mirror_deviation(eta, 0.5)
        rows.append(row(f"example2.{eta:g}", _deviation(base, normal, 100, 0.5), wanted, 1e-8))
        # Rates of |1 − σ²|: 2/η by the mirror, 2 by Fokker-Planck.
        late = np.array([3.0, 3.5, 4.0]) * eta
        deviation = np.array(
            [1.0 / float(gaussian_parabolic_flow(normal, base, t).matrix[0, 0]) * eta for t in late]
        )
        rate = exponential_rate(late, np.abs(1.0 - deviation**2))[0]
        rows.append(row(f"example2.{eta:g}.rate", rate, 2.0 / eta, 0.01))
        planck = 1.0 - (1.0 - eta**2) * np.exp(-2.0 * late)
        rows.append(
            row(
                f"example2.{eta:g}.rate_of_fokker_planck",
                exponential_rate(late, np.abs(1.0 - planck))[0],
                2.0,
                0.01,
            )
        )
    return rows


def _example_three() -> list[dict[str, Any]]:
    """e^{−f} = N(0, Σ), e^{−g} = N(0, Θ), ρ_0 = N(0, I): per mode s and θ, turned together."""
    s, theta = np.array([2.0, 0.5, 3.0]), np.array([0.4, 0.3, 1.5])
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    source = Gaussian(np.zeros(3), turn @ np.diag(theta) @ turn.T)
    target = Gaussian(np.zeros(3), turn @ np.diag(s) @ turn.T)
    # ρ_0 = T_0#e^{−g} is N(0, I).
    start = AffineMap(turn @ np.diag(theta**-0.5) @ turn.T, np.zeros(3))
    method = MirrorFlow(
        step_size=0.005, steps=100, scheme="rk4", points=source.sample(_KEY, 24), damping=1e-14
    )
    end = solve(
        source,
        target,
        method=method,
        initial=start,
        key=_KEY,
        blocks=1,
        metric=lambda map: -jnp.sum((map.matrix - start.matrix) ** 2),
    ).map
    assert isinstance(end, AffineMap)
    covariance = np.asarray(end.matrix @ source.covariance @ end.matrix.T)
    found = np.sqrt(np.diag(turn.T @ covariance @ turn))
    phase = 0.5 / np.sqrt(s * theta)
    wanted = np.where(
        s > 1,
        np.sqrt(s) * np.tanh(phase + np.arctanh(np.minimum(1 / np.sqrt(s), 1 - 1e-16))),
        np.sqrt(s) / np.tanh(phase + np.arctanh(np.minimum(np.sqrt(s), 1 - 1e-16))),
    )
    rows = [row(f"example3.{k}", found[k], wanted[k], 1e-8) for k in range(3)]
    # ∇φ_t of the flow from A_0 = Θ^{½}, and the rates 2/√(sθ).
    for k in range(3):
        f, g = (Gaussian(np.zeros(1), np.array([[v]])) for v in (s[k], theta[k]))
        late = np.array([3.0, 3.5, 4.0]) * np.sqrt(s[k] * theta[k])
        first = np.array([[theta[k] ** 0.5]])
        slopes = np.array(
            [float(gaussian_parabolic_flow(f, g, t, matrix=first).matrix[0, 0]) for t in late]
        )
        gap = np.abs(s[k] - theta[k] / slopes**2)
        rate = exponential_rate(late, gap)[0]
        rows.append(row(f"example3.{k}.rate", rate, 2.0 / np.sqrt(s[k] * theta[k]), 0.02))
    return rows


def _linearised() -> list[dict[str, Any]]:
    """The speed of ρ_t in linearised transport is ‖v‖, and no less than that in W₂ (4.9)."""
    f = Gaussian(np.zeros(2), np.array([[1.0, 0.3], [0.3, 0.6]]))
    g = Gaussian(np.zeros(2), np.array([[0.5, -0.1], [-0.1, 0.8]]))
    y = g.sample(_KEY, 4000)
    h = 1e-5
    maps = [
        AffineMap(np.linalg.inv(gaussian_parabolic_flow(f, g, t).matrix), np.zeros(2))
        for t in (0.3 - h, 0.3, 0.3 + h)
    ]
    v = mirror_velocity(maps[1], MirrorFlow().functional, g, f, y, key=_KEY)
    speed = float(jnp.sqrt(jnp.mean(jnp.sum(v**2, axis=1))))
    found = float(linearised_distance(maps[0], maps[2], y)) / (2.0 * h)
    ends = [map.matrix @ g.covariance @ map.matrix.T for map in (maps[0], maps[2])]
    wasserstein = _bures(*ends) / (2.0 * h)
    exact = np.asarray(maps[2].matrix - maps[0].matrix) / (2.0 * h)
    whole = float(np.sqrt(np.trace(exact @ np.asarray(g.covariance) @ exact.T)))
    return [
        row("linearised.speed", found, speed, 1e-7),
        row("linearised.below_by_w2", max(wasserstein - whole, 0.0), 0.0, 1e-7),
    ]


def _bures(first: Any, second: Any) -> float:
    a, b = np.asarray(first), np.asarray(second)
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values)) @ vectors.T
    cross = np.sum(np.sqrt(np.linalg.eigvalsh(root @ b @ root)))
    return float(np.sqrt(max(np.trace(a) + np.trace(b) - 2.0 * cross, 0.0)))


def _energy() -> list[dict[str, Any]]:
    """½ MMD² with the energy kernel on the line: S' = 2(F_π(x) − G(S(x))), x by x (4.11).

    The same by particles: X_i' = −(DT ∇_W F)(y_i), here for an affine T, from one cloud of y.
    """
    source = Gaussian.standard(1)
    x = np.array([0.0, 0.5, 1.5])
    found = solve_ivp(
        lambda _, s: 2.0 * (norm.cdf(x, 1.0, 0.7) - norm.cdf(s)),
        (0.0, 150.0),
        x,
        rtol=1e-10,
        atol=1e-12,
    ).y[:, -1]
    rows = [row(f"energy.decoupled.{x[k]:g}", found[k], (x[k] - 1.0) / 0.7, 1e-8) for k in range(3)]
    levels = (np.arange(400) + 0.5) / 400
    cloud = Empirical(1.0 + 0.7 * norm.ppf(levels)[:, None])
    method = MirrorFlow(
        functional=MMD(),
        step_size=0.1,
        steps=500,
        scheme="euler",
        points=jnp.asarray(norm.ppf(levels)[:, None]),
    )
    end = solve(source, cloud, method=method, initial=AffineMap.identity(1), key=_KEY, blocks=1).map
    assert isinstance(end, AffineMap)
    # Both clouds are of one shape: the end is exact, up to the tail of the exponential.
    return [
        *rows,
        row("energy.particles.slope", end.matrix[0, 0], 0.7, 1e-3),
        row("energy.particles.shift", end.offset[0], 1.0, 1e-3),
    ]


def _divergences() -> tuple[dict[str, Any], dict[str, Any]]:
    """KL to the end along each flow on the circle; and what 4ε does."""
    circle = Torus([0.0], [_TURN], [64])

    def source(x):
        return jnp.log(1.0 + 0.8 * jnp.cos(x[0]))

    def target(y):
        return 1.5 * jnp.sin(y[0])

    curves, measured = {}, {}
    for name in _DIVERGENCES:
        stats = divergence_flow(source, target, circle, 240, divergence=name, epsilon=0.05).stats
        curves[name] = (stats["times"], stats["kl"])
        late = slice(120, 200)
        rate = exponential_rate(stats["times"][late], stats["kl"][late])[0]
        coarse = divergence_flow(
            source, target, circle, 240, divergence=name, epsilon=0.05, step_size=0.2, throw=False
        )
        first = next(k for k, kl in enumerate(stats["kl"]) if kl < 0.1 * stats["kl"][0])
        measured[name] = {
            "rate_of_kl": rate,
            "time_to_a_tenth": stats["times"][first],
            "kl_at_1": stats["kl"][20],
            "settles_at_four_epsilon": bool(coarse.stats["kl"][-1] < 1e-6),
        }
    return curves, measured


def _figure(curves: dict[str, Any]) -> bytes:
    figure = new_figure(8.4, 3.2)
    left, right = figure.subplots(1, 2)
    t = np.linspace(0.0, 3.0, 200)
    for eta, colour in ((0.5, "#c0392b"), (2.0, "#2471a3")):
        mirror = np.abs(1.0 - _mirror_deviation(eta, t) ** 2)
        planck = np.abs((1.0 - eta**2) * np.exp(-2.0 * t))
        left.semilogy(t, mirror, color=colour, label=f"mirror flow, η = {eta:g}")
        left.semilogy(t, planck, ":", color=colour, label=f"Fokker-Planck, η = {eta:g}")
    left.set_title("Example 2")
    left.set_xlabel("t")
    left.set_ylabel("|1 − σ²|")
    left.set_xlim(0.0, 3.0)
    left.set_ylim(1e-5, 10.0)
    left.legend(frameon=False, fontsize=8, loc="lower left")
    names = {"kl": "KL", "chi2": "χ²", "reverse_kl": "reverse KL", "hellinger": "Hellinger"}
    for (name, (times, kl)), colour in zip(curves.items(), _COLOURS, strict=True):
        right.semilogy(times, kl, color=colour, label=names[name])
    right.set_title("Other divergences, on the circle")
    right.set_xlabel("t")
    right.set_ylabel("KL(ρ | e⁻ᶠ)")
    right.set_xlim(0.0, 6.0)
    right.set_ylim(1e-7, 2.0)
    right.legend(frameon=False, fontsize=8)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
