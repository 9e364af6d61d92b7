"""The pictures of the counterexample."""

from typing import Any

import numpy as np

from brenier.experiments.ls22 import _bent as bent
from brenier.report import new_figure, png_bytes
from brenier.velocities import RatioVelocity


def asymmetry_figure(flow: RatioVelocity, times: tuple[float, ...]) -> bytes:
    """∂₂E₁ − ∂₁E₂ over the plane, one panel a time, each on its own scale."""
    side = np.linspace(-4.0, 4.0, 61)
    x = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)
    figure = new_figure(3.6 * len(times), 3.3)
    for axis, time in zip(figure.subplots(1, len(times)), times, strict=True):
        values = bent.asymmetry(bent.encoder(flow, time, tolerance=1e-7), x.reshape(-1, 2))
        limit = np.abs(values).max()
        image = axis.imshow(
            values.reshape(61, 61).T,
            origin="lower",
            extent=(-4, 4, -4, 4),
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
        )
        axis.plot([0.0, 2.4], [0.0, -0.75], "k+", markersize=6)
        axis.set_title(f"t = {time:g}", fontsize=10)
        figure.colorbar(image, ax=axis, shrink=0.8, format="%.2g")
    figure.suptitle("∂₂E₁ − ∂₁E₂ of the encoder of μ_t; 0 where it is optimal", fontsize=11)
    return png_bytes(figure)


def ring_figure(savings: dict[str, float], references: dict[int, float]) -> bytes:
    """The relative saving of a ring against its number of points."""
    figure = new_figure(5.0, 3.2)
    axis = figure.subplots()
    counts = np.array([int(k) for k in savings])
    axis.axhline(0.0, color="grey", linewidth=0.8)
    axis.plot(counts, np.array(list(savings.values())), "o-", markersize=4, label="found")
    known = {k: value for k, value in references.items() if value > 0}
    axis.plot(list(known), list(known.values()), "rx", markersize=8, label="Theory (5.2b)")
    axis.set_xscale("log")
    axis.set_xlabel("points on the ring")
    axis.set_ylabel("relative saving of the shift")
    axis.set_title("Ring about (2.4, −0.75), radius 0.02", fontsize=10)
    axis.legend(frameon=False)
    return png_bytes(figure)


def order_figure(report: dict[str, Any]) -> bytes:
    """The second-order formula (3.13) against encoders, for each φ and place."""
    figure = new_figure(4.0, 3.8)
    axis = figure.subplots()
    everything = [v for part in report.values() for v in part["formula"]]
    ends = [min(everything) - 0.1, max(everything) + 0.1]
    axis.plot(ends, ends, color="grey", linewidth=0.8)
    for (name, part), marker in zip(report.items(), "osD", strict=True):
        axis.plot(part["formula"], part["encoder"], marker, markersize=5, label=f"{name} φ")
    axis.set_aspect("equal")
    axis.set_xlabel("∬ a b [H_a(ax), H_b(bx)]₁₂ da db")
    axis.set_ylabel("(∂₂E₁ − ∂₁E₂)/ε² of encoders, ε → 0")
    axis.legend(frameon=False)
    return png_bytes(figure)
