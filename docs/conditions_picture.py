"""Draws docs/conditions.png, and prints its numbers: `python docs/conditions_picture.py`."""

from pathlib import Path

import matplotlib
import numpy as np

import brenier
from brenier.numerics import gaussian_map_matrix, l2_uvp
from brenier.report import BLUE, GREEN

matplotlib.use("Agg")
from matplotlib import pyplot as plt

TURN = np.array([[0.8, -0.6], [0.6, 0.8]])
SEEN = np.linspace(0.0, 2.0, 6)
ALL = np.linspace(0.0, 2.0, 11)


def known(x: np.ndarray, dose: float) -> np.ndarray:
    """∇φ(x; c) of φ = Σ_i (1 + 0.2 c) z_i²/2 + (c/3) log cosh 3 z_i + sin(c) Σ_i x_i, x = Rz."""
    z = x @ TURN
    return ((1.0 + 0.2 * dose) * z + dose * np.tanh(3.0 * z)) @ TURN.T + np.sin(dose)


random = np.random.default_rng(0)
doses = np.repeat(SEEN, 300)
X, sources = random.normal(size=(2, len(doses), 2))
Y = np.concatenate([known(sources[doses == dose], dose) for dose in SEEN])
ours = brenier.ConditionalMongeMap(effort="quick", random_state=0).fit(X, Y, doses, doses)
print(ours.candidates_)
plain = brenier.MongeMap(effort="quick", random_state=0).fit(X, Y)

fresh = random.normal(size=(4000, 2))
errors: dict[str, list[float]] = {"no condition": [], "best affine map": [], "ours": []}
for dose in ALL:
    true = known(fresh, dose)
    affine = fresh @ np.asarray(gaussian_map_matrix(np.eye(2), np.cov(true.T))) + true.mean(axis=0)
    moved = {
        "no condition": plain.transform(fresh),
        "best affine map": affine,
        "ours": ours.transform(fresh, float(dose)),
    }
    for name, points in moved.items():
        errors[name].append(float(l2_uvp(points, true)))
for name, values in errors.items():
    print(f"{name:16}", " ".join(f"{value:6.2f}" for value in values))

figure, panels = plt.subplots(1, 4, figsize=(12.5, 3.2), layout="constrained")
for name, colour in (("no condition", "0.5"), ("best affine map", GREEN), ("ours", BLUE)):
    panels[0].plot(ALL, errors[name], "-", color=colour, label=name)
    panels[0].plot(ALL[::2], errors[name][::2], "o", color=colour, markersize=4)
panels[0].set_yscale("log")
panels[0].set_xlabel("dose (dots: fitted)")
panels[0].set_ylabel("L2-UVP, %")
panels[0].legend(frameon=False, fontsize=8)
for panel, dose in zip(panels[1:], (0.2, 1.0, 1.8), strict=True):
    panel.plot(*known(fresh[:1500], dose).T, ".", color="0.75", markersize=3, label="known images")
    images = ours.transform(random.normal(size=(600, 2)), dose)
    panel.plot(*images.T, ".", color=BLUE, markersize=2, label="ours, fresh points")
    panel.set_title(f"dose {dose:g}, not fitted", loc="left", fontsize=10)
panels[1].legend(frameon=False, fontsize=8, markerscale=2)
figure.savefig(Path(__file__).with_name("conditions.png"), dpi=110)
