# %% [markdown]
# # The colours of one photo on another
#
# **The question.** Two photos, a temple under a pale sky and a flower. What does the temple look
# like in the flower's colours, each colour changed as little as possible?
#
# A pixel is a point in the cube of red, green and blue, so a photo is a cloud of points, and the
# Monge map between the two clouds is what is asked for.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

import brenier
from brenier.estimators import energy_score

# Every third pixel: 30,000 of each.
temple, flower = (load_sample_image(name)[::3, ::3] / 255.0 for name in ("china.jpg", "flower.jpg"))
print(temple.shape, flower.shape)

# %% [markdown]
# ## Learn from a sample, move everything
#
# A map of three dimensions needs no 30,000 points. It is learned from 1500 of each photo, and then
# moves pixels that it has not seen.

# %%
random = np.random.default_rng(0)
X, Y = temple.reshape(-1, 3), flower.reshape(-1, 3)
some, others = (pixels[random.choice(len(pixels), 1500)] for pixels in (X, Y))

estimator = brenier.MongeMap(effort="quick", outliers="keep", random_state=0)
estimator.fit(some, others)
print(estimator.candidates_.sentence)

recoloured = estimator.transform(X).reshape(temple.shape)
back = estimator.inverse_transform(estimator.transform(some))
print(f"there and back: off by at most {np.abs(back - some).max():.0e}")

# %% alt="Three photos: a temple under a pale sky, an orange flower before dark green leaves, and the temple in the flower's colours: one half of the sky is orange, the other dark green."
figure, axes = plt.subplots(1, 3, figsize=(9, 2.2), layout="constrained")
shown = (("source", temple), ("target", flower), ("source in the target's colours", recoloured))
for ax, (title, picture) in zip(axes, shown, strict=True):
    ax.imshow(np.clip(picture, 0.0, 1.0))
    ax.set_title(title, fontsize=10)
    ax.axis("off")
plt.show()

# %% [markdown]
# The temple keeps its light and shade, and each of the flower's colours is there as often as in the
# flower. The sky is torn: it is a third of the picture, and no third of the flower is of one colour. So its
# bluer half took the green of the leaves, and its whiter half the orange of the petals.
#
# ## The same as clouds of points

# %% alt="Three clouds of pixels in the plane of red and green, each pixel in its own colour: source, target, and the source's pixels moved, which fill the shape of the target's cloud."
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharex=True, sharey=True)
clouds = (("source", some), ("target", others), ("moved", estimator.transform(some)))
for ax, (title, points) in zip(axes, clouds, strict=True):
    ax.scatter(points[:, 0], points[:, 1], c=np.clip(points, 0.0, 1.0), s=6)
    ax.set(title=title, xlabel="red", facecolor="#f2f2f2")
axes[0].set_ylabel("green")
plt.show()

# %% [markdown]
# How good is it? The squared energy distance between two laws is 0 where they are equal. Here it is
# to pixels of the flower that the fit has not seen, and the last line, of two samples of the flower,
# says what is noise.

# %%
fresh = Y[random.choice(len(Y), 1500)]
moved = estimator.transform(X[random.choice(len(X), 1500)])
for name, points in (("before", some), ("after", moved), ("the flower's own", others)):
    print(f"{name:>17}: {-energy_score(points, fresh):.4f}")

# %% [markdown]
# ## What can go wrong
#
# - **A flat sky gets grainy.** Where the map spreads one colour over many, it shows the noise of the
#   photo and the blocks of its JPEG. `brenier demo` smooths what pixels move by, within the picture's
#   edges.
# - **Colours outside of the cube.** A smooth map can leave it by a little: clip.
# - **Other amounts.** If half of one picture is sky and the other has none, the sky has to become
#   something. Cut out what belongs together first.
#
# ## Where to go on
#
# `brenier demo` does this at full size and in both directions, with a network for the map.
# [How to choose](../choose.md) says when another tool does it better, and
# [two conditions of cells](cells.md) does the same with genes in the place of colours.
