"""KRCO22, Theorem 3.1: the encoder of a Gaussian, integrated, against its closed form.

x(t) = m(t) + U diag(f(λ_i, t)) Uᵀ (x − m), f(λ, t) = √((e^{-2t}(λ−1)+1)/λ); as t → ∞ the Monge map
Σ^{-1/2}(x − m) to N(0, I) (Theory (3.4)).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.measures import Gaussian
from brenier.velocities import FlowMap, MixtureVelocity, ProbabilityFlow

TIME = "half a minute"

_DIMENSIONS = (2, 5, 50)
_TIMES = (0.1, 1.0, 3.0, np.inf)
_POINTS = 200
_TOLERANCE = 1e-12


def main(run: Run) -> dict[str, Any]:
    """The largest error over points, times and random Gaussians, for each dimension."""
    count = run.seeds_or(10)
    report = {}
    for index, d in enumerate(_DIMENSIONS):
        run.progress(Progress(index, len(_DIMENSIONS), f"d = {d}"))
        errors = np.array([_errors(run.seed, d, gaussian) for gaussian in range(count)])
        report[f"d{d}"] = {
            "gaussians": count,
            "largest_error": float(errors[:, :-1].max()),
            "largest_error_of_probability_flow": float(errors[:, -1].max()),
        }
    return report


def _errors(seed: int, d: int, gaussian: int) -> list[float]:
    """At each time by integration; last, t = ∞ by the closed form of ``ProbabilityFlow``."""
    random = np.random.default_rng([seed, d, gaussian])
    factor = random.normal(size=(d, d)) / np.sqrt(d)
    source = Gaussian(2.0 * random.normal(size=d), factor @ factor.T + 0.05 * np.eye(d))
    x = source.sample(jax.random.key(gaussian), _POINTS)
    variances, axes = np.linalg.eigh(np.asarray(source.covariance))
    centred = (np.asarray(x) - np.asarray(source.mean)) @ axes
    errors = []
    for time in _TIMES:
        signal = np.exp(-time)
        factors = np.sqrt((signal**2 * (variances - 1.0) + 1.0) / variances)
        exact = signal * np.asarray(source.mean) + (centred * factors) @ axes.T
        moved = FlowMap(MixtureVelocity(source), 1.0, signal, tolerance=_TOLERANCE)(x)
        errors.append(float(jnp.abs(moved - exact).max()))
    closed = ProbabilityFlow(source).encoder()(x)
    return [*errors, float(jnp.abs(closed - exact).max())]


if __name__ == "__main__":
    command(__spec__.name)
