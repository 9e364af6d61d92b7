"""KRCO22, Figure 3: trajectories of the probability flow and the encoder, two random densities."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.krco22._densities import Blocks, density, encoder, paths
from brenier.experiments.krco22._pictures import draw_density, draw_images, draw_paths, square
from brenier.io import atomic_write
from brenier.report import new_figure, png_bytes

TIME = "half a minute"

_POINTS, _DRAWN = 1000, 60
_REACH = 4.0


def main(run: Run) -> dict[str, Any]:
    """The figure, a row for each density; how well it returns, how its Jacobian turns."""
    count = run.seeds_or(2)
    figure = new_figure(12.6, 3.4 * count)
    axes = figure.subplots(count, 4, squeeze=False)
    report = {}
    for row in range(count):
        run.progress(Progress(row, count, f"density {run.seed + row}"))
        law, _ = density(run.seed + row, 2)
        map = encoder(law)
        blocks, back = Blocks(map), Blocks(map.inverse())
        x = np.asarray(law.sample(jax.random.key(run.seed + row), _POINTS))
        z = blocks(x)
        jacobians = blocks.jacobian(x)
        skew = 0.5 * np.linalg.norm(jacobians - jacobians.swapaxes(1, 2), axis=(1, 2))
        ratio = skew / np.linalg.norm(jacobians, axis=(1, 2))
        report[f"density_{run.seed + row}"] = {
            "ranks": list(law.ranks),
            "round_trip": float(np.abs(back(z) - x).max()),
            "image_mean": float(np.abs(z.mean(axis=0)).max()),
            "image_variance": [float(v) for v in np.linalg.eigvalsh(np.cov(z.T))],
            "asymmetry_rms": float(np.sqrt(np.mean(ratio**2))),
        }
        draw_density(axes[row, 0], law, _REACH)
        draw_paths(axes[row, 1], np.asarray(paths(law, jnp.asarray(x[:_DRAWN]))))
        square(axes[row, 1], _REACH)
        draw_images((axes[row, 2], axes[row, 3]), x, z, _REACH)
    for panel, title in zip(
        axes[0],
        ("density", "trajectories of the probability flow", "samples", "their codes, same colours"),
        strict=True,
    ):
        panel.set_title(title, fontsize=10)
    with atomic_write(run.out / "fig3.png") as handle:
        handle.write(png_bytes(figure))
    run.progress(Progress(count, count, "figure"))
    return {"densities": report}


if __name__ == "__main__":
    command(__spec__.name)
