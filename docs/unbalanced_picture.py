"""Draws docs/unbalanced.png: `python docs/unbalanced_picture.py`."""

from pathlib import Path

import matplotlib
import numpy as np

import brenier
from brenier.report import plot_map

matplotlib.use("Agg")
from matplotlib import pyplot as plt

rng = np.random.default_rng(0)
here, there, step = np.zeros(2), np.array([0.0, 9.0]), np.array([3.0, 0.0])
X = np.concatenate([mean + rng.normal(size=(600, 2)) for mean in (here, there)])
Y = here + step + rng.normal(size=(600, 2))  # the second type is gone

maps = {
    "Balanced": brenier.MongeMap(random_state=0).fit(X, Y),
    "unbalanced=15": brenier.MongeMap(random_state=0, unbalanced=15.0).fit(X, Y),
}
fig, panels = plt.subplots(1, 2, figsize=(10.4, 5.2), layout="constrained")
for ax, (title, est) in zip(panels, maps.items(), strict=True):
    rows = np.r_[0:60, 600:660]
    ax.plot(*Y.T, ".", color="C3", markersize=3, markeredgewidth=0, alpha=0.5, zorder=0)
    plot_map(X[rows[:60]], est.transform(X[rows[:60]]), ax=ax)
    growth = est.growth(X)
    dots = ax.scatter(*X.T, c=growth, s=6, vmin=0.0, vmax=1.0, cmap="viridis", zorder=0)
    off = np.linalg.norm(est.transform(X[:600]) - X[:600] - step, axis=1).mean()
    ax.set_title(
        f"{title}\nthe type that stays is sent {off:.2f} off on average",
        loc="left",
        fontsize=11,
        pad=22,
    )
fig.colorbar(dots, ax=panels, label="growth: relative mass sent", shrink=0.7)
fig.savefig(Path(__file__).with_name("unbalanced.png"), dpi=110)
