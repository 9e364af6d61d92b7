"""The pictures of DLV26's Figures 2 and 3."""

import numpy as np

from brenier.maps import AbstractMap
from brenier.report import new_figure, png_bytes

_COLOUR = "#3b6ea5"


def _title(name: str) -> str:
    words = {"lse": "(log-sum-exp)", "mmd": "MMD", "kl": "KL"}
    return " ".join(words.get(word, word) for word in name.split("_"))


def histogram_figure(scores: dict[str, np.ndarray]) -> bytes:
    """One histogram a method, on a shared logarithmic axis: Figure 2."""
    finite = np.concatenate([values[np.isfinite(values)] for values in scores.values()])
    edges = np.geomspace(max(finite.min(), 1e-5) * 0.8, finite.max() * 1.25, 45)
    figure = new_figure(7.0, 1.0 * len(scores) + 0.8)
    axes = figure.subplots(len(scores), 1, sharex=True)
    for axis, (name, values) in zip(np.atleast_1d(axes), scores.items(), strict=True):
        good = values[np.isfinite(values)]
        axis.hist(good, bins=edges, color=_COLOUR, edgecolor="white", linewidth=0.4)
        axis.axvline(good.mean(), color="#c0392b", linewidth=1.2)
        axis.set_xscale("log")
        axis.set_yticks([])
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.set_title(_title(name), loc="left", fontsize=9, pad=2)
        failed = values.size - good.size
        axis.set_title(f"mean {good.mean():.4f}   failed {failed}", loc="right", fontsize=8, pad=2)
    np.atleast_1d(axes)[-1].set_xlabel("squared energy distance to N(0, I); red: mean over seeds")
    return png_bytes(figure)


def maps_figure(
    source: np.ndarray, truth: np.ndarray, pictures: dict[str, list[tuple[AbstractMap, float]]]
) -> bytes:
    """Each method's best and worst map of the source cloud: Figure 3.

    Colours follow the source point's angle, so that where a part went can be read off.
    """
    hue = np.arctan2(source[:, 1] - source[:, 1].mean(), source[:, 0] - source[:, 0].mean())
    columns = len(pictures) + 1
    figure = new_figure(1.75 * columns, 4.1)
    axes = figure.subplots(2, columns)

    def draw(axis, cloud, title, limit):
        axis.scatter(cloud[:, 0], cloud[:, 1], c=hue, cmap="hsv", s=2.0, linewidths=0)
        axis.set_xlim(-limit, limit)
        axis.set_ylim(-limit, limit)
        axis.set_aspect("equal")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_title(title, fontsize=7)

    draw(axes[0, 0], source, "source", 4.2)
    draw(axes[1, 0], truth, "encoder (reference)", 3.8)
    for column, (name, extremes) in enumerate(pictures.items(), start=1):
        for row, (word, (map, mmd)) in enumerate(zip(("best", "worst"), extremes, strict=True)):
            label = f"{_title(name)}\n{word}: {mmd:.4f}"
            draw(axes[row, column], np.asarray(map(source)), label, 3.8)
    return png_bytes(figure)
