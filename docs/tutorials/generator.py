# %% [markdown]
# # A generator in one shot
#
# **The question.** Here are 400 points. Give me a thousand more like them.
#
# A diffusion model would start from noise and take many small steps. One map does it at once: the
# Monge map from a Gaussian to the data, learned from the points. A new point costs one evaluation.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import cKDTree
from sklearn.datasets import make_moons

import brenier
from brenier.estimators import energy_score


def moons(n, seed):
    return make_moons(n, noise=0.07, random_state=seed)[0]


data = moons(400, 0)
generator = brenier.Generator(random_state=0).fit(data)
print(generator.candidates_)
new = generator.sample(1000, random_state=1)

# %% alt="Left the 400 data, two interlocked moons. Right the thousand generated points, the same two moons."
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharex=True, sharey=True)
for ax, title, points in zip(axes, ("400 data", "1000 new"), (data, new), strict=True):
    ax.plot(*points.T, ".", markersize=3)
    ax.set(title=title, aspect="equal")
plt.show()

# %% [markdown]
# ## Are they new, and are they right?
#
# *Right*: the squared energy distance to 2000 fresh points, 0 where the laws are equal (without
# bias, so that it may fall below). *New*: a generator that gives the data
# back would be right and useless, so compare how far generated points are from the nearest datum with how
# far fresh ones are.

# %%


fresh = moons(2000, 1)
gaussian = np.random.default_rng(0).multivariate_normal(data.mean(0), np.cov(data.T), 1000)
nearest = cKDTree(data)
for name, points in (("new", new), ("the data", data), ("a Gaussian fit", gaussian)):
    away = np.median(nearest.query(points)[0]) / np.median(nearest.query(fresh)[0])
    print(
        f"{name:>14}: energy distance {-energy_score(points, fresh):+.4f}, nearest datum {away:.2f}"
    )

# %% [markdown]
# ## The map itself
#
# The generator is the gradient of one convex function, so it has an inverse: every point has a code,
# and between the codes of two points runs a path of points like the data.

# %% alt="Left the Gaussian of codes, coloured around the circle, with a straight line through it. Right the points they become, in the same colours: the upper half of the circle is the upper moon, the lower half the lower. The straight line has become a path across both, with many steps on the moons and few between."
codes = np.asarray(generator.source_.sample(jax.random.key(0), 1500))
hue = np.arctan2(*(codes - codes.mean(0)).T / codes.std(0)[:, None])
ends = np.asarray(generator.map_.inverse()(np.array([[-1.0, 0.3], [2.0, 0.2]])))
line = ends[0] + np.linspace(0.0, 1.0, 40)[:, None] * (ends[1] - ends[0])
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, title, map in zip(axes, ("codes", "points"), (np.asarray, generator.map_), strict=True):
    ax.scatter(*np.asarray(map(codes)).T, c=hue, s=5, cmap="hsv")
    ax.plot(*np.asarray(map(line)).T, ".-", color="black", linewidth=1.0, markersize=4)
    ax.set_title(title)
plt.show()

# %% [markdown]
# ## What can go wrong
#
# - **A map that is continuous cannot tear.** Between the moons lie some points that belong to
#   neither. The more data, the fewer.
# - **Few data, many dimensions.** Then the chosen map is nearly affine, which `candidates_` says.
#   The samples are honest about means and covariances and about little else.
# - **Pictures.** Beyond some hundred pixels, distances between points do not see what an eye sees: take
#   `brenier ddpm`.
#
# ## Where to go on
#
# On the command line: `brenier generate data.csv -n 1000 -o new.csv`. The flow behind the kind
# "one-shot" is the one of [Sinkhorn becomes a PDE](parabolic.md); all settings are in
# [Estimators](../rooms/estimators.md).
