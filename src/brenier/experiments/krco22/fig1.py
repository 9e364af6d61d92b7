"""KRCO22, Figure 1: the diffusion of one Gaussian, its probability flow, and the encoder.

The Gaussian is taken as a density in tensor-train format, so that the encoder of Theorem 3.1,
Σ^{-1/2}(x − a), checks the solver; its trajectories are not straight although it is optimal.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.krco22._densities import paths
from brenier.experiments.krco22._pictures import draw_density, draw_paths, square
from brenier.io import atomic_write
from brenier.measures import Gaussian, TensorTrain
from brenier.numerics import inverse_sqrtm_spd
from brenier.report import new_figure, png_bytes

TIME = "half a minute"

_MEAN = np.array([1.5, 1.0])
_COVARIANCE = np.array([[1.2, 0.9], [0.9, 1.0]])
_TIMES = (0.0, 0.25, 0.75, 2.0)
_POINTS, _DRAWN = 500, 40
_REACH = 9.0


def main(run: Run) -> dict[str, Any]:
    """The figure; errors of law and encoder against the closed forms, bend of the trajectories."""
    source = Gaussian(_MEAN, _COVARIANCE)
    corner = [_REACH, _REACH]
    law = TensorTrain.from_log_density(
        source.point_log_density, [-_REACH, -_REACH], corner, [200, 200], tolerance=1e-11
    )
    run.progress(Progress(1, 3, "laws"))
    x = law.sample(jax.random.key(run.seed), _POINTS)
    laws = [law.diffused(float(np.exp(-t))) for t in _TIMES]
    errors = []
    for t, later in zip(_TIMES, laws, strict=True):
        a = float(np.exp(-t))
        exact = Gaussian(a * _MEAN, a * a * _COVARIANCE + (1.0 - a * a) * np.eye(2))
        y = exact.sample(jax.random.key(run.seed + 1), _POINTS)
        errors.append(
            float(jnp.abs(jnp.exp(later.log_density(y)) - jnp.exp(exact.log_density(y))).max())
        )
    run.progress(Progress(2, 3, "encoder"))
    way = paths(law, x)
    exact_images = (x - _MEAN) @ inverse_sqrtm_spd(jnp.asarray(_COVARIANCE))
    chords = way[:, -1] - way[:, 0]
    along = chords / jnp.linalg.norm(chords, axis=1, keepdims=True)
    off = way - way[:, :1]
    across = off[..., 0] * along[:, None, 1] - off[..., 1] * along[:, None, 0]
    figure = new_figure(15.0, 3.1)
    axes = figure.subplots(1, 5)
    for panel, t, later in zip(axes, _TIMES, laws, strict=False):
        draw_density(panel, later, 4.5)
        panel.set_title(f"t = {t:g}", fontsize=10)
    draw_paths(axes[4], np.asarray(way[:_DRAWN]))
    square(axes[4], 4.5)
    axes[4].set_title("trajectories of the probability flow", fontsize=10)
    with atomic_write(run.out / "fig1.png") as handle:
        handle.write(png_bytes(figure))
    run.progress(Progress(3, 3, "figure"))
    return {
        "law_error": max(errors),
        "encoder_error": float(jnp.abs(way[:, -1] - exact_images).max()),
        "bend": float(jnp.abs(across).max()),
    }


if __name__ == "__main__":
    command(__spec__.name)
