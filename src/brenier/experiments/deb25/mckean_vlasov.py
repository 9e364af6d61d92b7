"""The McKean-Vlasov diffusion (0.1) on P1: its law against the flow's, and Fokker-Planck's."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.deb25._problems import Line
from brenier.flows import (
    exponential_rate,
    gaussian_parabolic_flow,
    mckean_vlasov,
    parabolic_flow,
    potential_path,
)
from brenier.grids import Box
from brenier.io import write_whole
from brenier.measures import Gaussian, GaussianMixture
from brenier.report import new_figure, png_bytes

TIME = "minutes"

_PARTICLES = 400_000
_TIME = 1.0
# Time steps of the run that is compared: its weak error is below the sampling noise.
_STEPS = 240
# √n times the Kolmogorov-Smirnov distance of a sample from its own law, on average.
_NOISE = 0.8687


def main(run: Run) -> dict[str, Any]:
    """The distance of 400,000 particles from ρ_t, over the noise of so many; order; rates."""
    line = Line(281)
    key = jax.random.key(run.seed)
    run.progress(Progress(0, 4, "potentials"))
    times = np.linspace(0.0, _TIME, _STEPS + 1)
    potentials = np.zeros((_STEPS + 1, *line.grid.shape))
    flow = parabolic_flow(line.source, line.target, line.grid, times[1:]).stats
    potentials[1:] = flow["potentials"]
    run.progress(Progress(1, 4, f"{_PARTICLES} particles"))
    start_key, noise_key = jax.random.split(key)
    start = line.target.sample(start_key, _PARTICLES)
    end = mckean_vlasov(
        start,
        potential_path(line.grid, potentials),
        jnp.asarray(times[1:]),
        line.source,
        line.target,
        key=noise_key,
    )
    law = _law(line, potentials[-1])
    noise = _NOISE / np.sqrt(_PARTICLES)
    distance = _kolmogorov(np.asarray(end)[:, 0], law)
    run.progress(Progress(2, 4, "without the divergence of M"))
    without = _kolmogorov(_without_divergence(line, potentials, times, start, noise_key), law)
    run.progress(Progress(3, 4, "weak order"))
    order, errors = _weak_order(noise_key)
    rates, curves = _rates(line)
    write_whole(run.out / "diffusion.png", _figure(line, np.asarray(end)[:, 0], potentials, curves))
    return {
        "particles": _PARTICLES,
        "steps": _STEPS,
        "distance": distance,
        "noise": noise,
        "over_noise": distance / noise,
        "without_divergence": without,
        "weak_order": order,
        "weak_errors": errors,
        "rates": rates,
    }


def _law(line: Line, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and the distribution function of ρ_t there, G(S_t(x))."""

    weights, means = np.asarray(line.target.weights), np.asarray(line.target.means)[:, 0]
    scales = np.asarray(line.target.factors)[:, 0, 0]
    s = line.slope(p)[:, None]
    return line.x, ndtr((s - means) / scales) @ weights


def _kolmogorov(sample: np.ndarray, law: tuple[np.ndarray, np.ndarray]) -> float:

    z = np.sort(sample)
    levels = PchipInterpolator(*law)(np.clip(z, law[0][0], law[0][-1]))
    n = z.size
    return float(max((np.arange(1, n + 1) / n - levels).max(), (levels - np.arange(n) / n).max()))


def _without_divergence(line, potentials, times, start, key) -> np.ndarray:
    """The same with the drift −M∇f alone: what a naive reading of (0.1) would simulate."""
    second = 1.0 + potentials @ line.grid.derivatives(0).second.T

    @jax.jit
    def run(z):
        def step(z, item):
            bend, length, key = item
            mobility = 1.0 / jnp.interp(z, jnp.asarray(line.x), bend)
            noise = jax.random.normal(key, z.shape)
            return z - length * mobility * z + jnp.sqrt(2.0 * mobility * length) * noise, None

        items = (
            jnp.asarray(second[:-1]),
            jnp.diff(jnp.asarray(times)),
            jax.random.split(key, len(times) - 1),
        )
        return jax.lax.scan(step, z, items)[0]

    return np.asarray(run(start[:, 0]))


def _weak_order(key: Any) -> tuple[float, list[float]]:
    """Of E Z² between Gaussians, whose error is far above the noise at these steps."""
    f, g = Gaussian.standard(1), Gaussian(np.zeros(1), np.array([[0.25]]))
    grid = Box([-6.0], [6.0], [24])
    half = 0.5 * grid.nodes(0) ** 2
    cloud = g.sample(key, _PARTICLES // 4)
    counts, errors = (4, 8, 16), []
    for steps in counts:
        times = np.linspace(0.0, _TIME, steps + 1)
        slopes = [float(gaussian_parabolic_flow(f, g, t).matrix[0, 0]) for t in times]
        path = potential_path(grid, np.stack([(a - 1.0) * half for a in slopes]))
        z = mckean_vlasov(cloud, path, jnp.asarray(times[1:]), f, g, key=key)
        errors.append(abs(float(jnp.mean(z**2)) - (0.5 / slopes[-1]) ** 2))
    return float(-np.polyfit(np.log(counts), np.log(errors), 1)[0]), errors


def _rates(line: Line) -> tuple[dict[str, float], dict[str, Any]]:
    """KL along the mirror flow and along Fokker-Planck's, both from e^{−g} to e^{−f} = N(0, 1)."""
    moments = np.arange(1, 17) * 0.25
    mirror = parabolic_flow(line.source, line.target, line.grid, moments).stats["kl"]
    planck = []
    for t in moments:
        decay = np.exp(-t)
        variances = 1.0 + (np.asarray(line.target.factors) ** 2 - 1.0) * decay**2
        law = GaussianMixture(line.target.weights, line.target.means * decay, variances)
        logs = np.asarray(law.log_density(line.x[:, None]))
        mass = line.grid.weights(0) * np.exp(logs)
        planck.append(float(np.sum(mass * (logs - np.log(line.density)))))
    rates = {
        "mirror": exponential_rate(moments[8:], mirror[8:])[0],
        "fokker_planck": exponential_rate(moments[8:], planck[8:])[0],
    }
    return rates, {"times": moments, "mirror": mirror, "fokker_planck": planck}


def _figure(
    line: Line, sample: np.ndarray, potentials: np.ndarray, curves: dict[str, Any]
) -> bytes:
    figure = new_figure(8.4, 3.2)
    left, right = figure.subplots(1, 2)
    left.hist(
        sample,
        bins=160,
        range=(-4, 4),
        density=True,
        color="#d4d6da",
        label=f"{sample.size:,} particles",
    )
    x, levels = _law(line, potentials[-1])
    left.plot(x, np.gradient(levels, x), color="#c0392b", label="ρ of the flow")
    left.plot(line.x, line.density, ":", color="#222222", label="e⁻ᶠ")
    left.set_xlim(-4, 4)
    left.set_title(f"P1 at t = {_TIME:g}")
    left.set_xlabel("x")
    left.set_ylabel("density")
    left.legend(frameon=False, fontsize=8)
    right.semilogy(curves["times"], curves["mirror"], color="#c0392b", label="mirror flow")
    right.semilogy(curves["times"], curves["fokker_planck"], color="#2471a3", label="Fokker-Planck")
    right.set_title("From the mixture to N(0, 1)")
    right.set_xlabel("t")
    right.set_ylabel("KL(ρ | e⁻ᶠ)")
    right.legend(frameon=False, fontsize=8)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
