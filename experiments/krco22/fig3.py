"""KRCO22, Figure 3: trajectories of the probability flow and the encoder, two random densities."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.io import atomic_write
from brenier.report import new_figure, png_bytes

from ._densities import Blocks, density, encoder, paths
from ._pictures import draw_density, draw_images, draw_paths, square

_POINTS, _DRAWN = 1000, 60
_REACH = 4.0


def main(
    out: Path, seed: int, seeds: int | None, data: list[Path] | None, progress: ProgressCallback
) -> dict[str, Any]:
    """The figure, a row for each density; how well it returns, how its Jacobian turns."""
    count = 2 if seeds is None else max(seeds, 1)
    figure = new_figure(12.6, 3.4 * count)
    axes = figure.subplots(count, 4, squeeze=False)
    report = {}
    for row in range(count):
        progress(Progress(row, count, f"density {seed + row}"))
        law, _ = density(seed + row, 2)
        map = encoder(law)
        blocks, back = Blocks(map), Blocks(map.inverse())
        x = np.asarray(law.sample(jax.random.key(seed + row), _POINTS))
        z = blocks(x)
        jacobians = blocks.jacobian(x)
        skew = 0.5 * np.linalg.norm(jacobians - jacobians.swapaxes(1, 2), axis=(1, 2))
        ratio = skew / np.linalg.norm(jacobians, axis=(1, 2))
        report[f"density_{seed + row}"] = {
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
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "fig3.png") as handle:
        handle.write(png_bytes(figure))
    progress(Progress(count, count, "figure"))
    return {"densities": report}
