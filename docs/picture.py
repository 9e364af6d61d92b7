"""Draws docs/monge-map.png, the picture of the README: `python docs/picture.py`."""

from pathlib import Path

import jax
import matplotlib
import numpy as np
from sklearn.datasets import make_moons

import brenier
from brenier.report import plot_map

matplotlib.use("Agg")
from matplotlib import pyplot as plt

random = np.random.default_rng(0)
X = random.normal(size=(2000, 2))
Y = (make_moons(2000, noise=0.06, random_state=0)[0] - [0.5, 0.25]) * [2.0, 2.0]
monge = brenier.MongeMap(random_state=0).fit(X, Y)

# X has the same law when it is turned, so this map reaches the same points.
turn = np.array([[0.0, -1.0], [1.0, 0.0]])
maps = {
    "The Monge map": monge.transform,
    "Another map onto the same points": lambda x: monge.transform(x @ turn.T),
}

fresh = np.random.default_rng(1).normal(size=(4000, 2))
fig, panels = plt.subplots(1, 2, figsize=(10.4, 5.0), layout="constrained")
for ax, (title, move) in zip(panels, maps.items(), strict=True):
    moved = move(fresh)
    cost = np.mean(np.sum((moved - fresh) ** 2, axis=1))
    bounds = brenier.audit(lambda x, move=move: move(np.asarray(x)), fresh, key=jax.random.key(0))
    low, high = bounds.defect.lower, bounds.defect.upper
    above = f"at most {high:.3f}" if low == 0 else f"{low:.2f} to {high:.2f}"
    ax.plot(*fresh.T, ".", color="C0", markersize=2, markeredgewidth=0, alpha=0.2, zorder=0)
    ax.plot(*moved.T, ".", color="C3", markersize=2, markeredgewidth=0, alpha=0.4, zorder=0)
    plot_map(fresh[:400], moved[:400], ax=ax)
    ax.set_title(
        f"{title}\ncosts {cost:.2f}; by the audit {above} more than the least",
        loc="left",
        fontsize=11,
        pad=22,
    )
fig.savefig(Path(__file__).with_name("monge-map.png"), dpi=110)
