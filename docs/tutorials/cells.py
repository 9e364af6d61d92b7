# %% [markdown]
# # What does a drug do to a cell?
#
# **The question.** A cell can be sequenced once: it is destroyed. So there are control cells and
# there are treated cells, and no cell is both. Which treated cell would this control cell have
# become?
#
# The Monge map between the two clouds is a guess that can be checked: among all ways to carry the one
# onto the other it changes expression least. Here counts are *simulated* with an effect that is
# known, so that the guess can be held against the truth.

# %%
import os

import anndata
import matplotlib.pyplot as plt
import numpy as np

import brenier

GENES, TYPES = 150, ("T", "B", "monocyte")
random = np.random.default_rng(0)
# Mean expression of every type, and how the drug multiplies it: 20 genes answer, those of monocytes
# twice as strongly (in the logarithm).
means = np.exp(random.normal(0.5, 1.0, size=GENES) + random.normal(0.0, 0.8, size=(3, GENES)))
answer = np.zeros(GENES)
answer[:20] = random.choice([-1.0, 1.0], size=20) * random.uniform(0.7, 1.5, size=20)
effect = np.array([[1.0], [1.0], [2.0]]) * answer


def cells(n, treated):
    """n cells: gamma-Poisson counts, scaled by the depth of the cell, in logarithms."""
    kind = random.choice(3, size=n, p=[0.5, 0.2, 0.3])
    rate = means[kind] * np.exp(effect[kind] * treated)
    depth = random.gamma(10.0, 0.1, size=(n, 1))
    counts = random.poisson(depth * rate * random.gamma(5.0, 0.2, size=rate.shape))
    scaled = np.log1p(1000.0 * counts / counts.sum(axis=1, keepdims=True))
    found = anndata.AnnData(scaled)
    found.obs["type"] = np.array(TYPES)[kind]
    return found


control, treated = cells(700, False), cells(700, True)
print(control)

# %% [markdown]
# ## Fit, without telling it any type
#
# Genes are many, and most of what differs between cells lies in a few directions. So the map is
# learned in principal components (15 by default for AnnData) and acts on all genes.

# %%
estimator = brenier.MongeMap(effort="quick", random_state=0).fit(control, treated)
print(estimator.candidates_.sentence)

fresh = cells(600, False)
fresh.layers["predicted"] = estimator.transform(fresh)

# %% alt="Fresh control cells and where the map sends them, in the plane of two principal components, beside treated cells: three groups of control cells each go to one of three groups of treated cells."
frame = brenier.estimators.principal_components(control.X, treated.X, 2, random_state=0)


def plane(x):
    return (np.asarray(x) - frame.centre) @ frame.basis


figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
brenier.report.plot_map(plane(fresh.X), plane(fresh.layers["predicted"]), ax=axes[0])
for place, kind in enumerate(TYPES):
    axes[1].plot(*plane(treated[treated.obs["type"] == kind].X).T, ".", ms=4, color=f"C{place}")
    mine = plane(fresh.layers["predicted"][fresh.obs["type"] == kind])
    axes[1].plot(*mine.T, "+", ms=5, color=f"C{place}", alpha=0.7, label=kind)
axes[1].legend(frameon=False, title="dots treated, + predicted", fontsize=8, title_fontsize=8)
for ax in axes:
    ax.set(xlabel="component 1", ylabel="component 2")
plt.show()

# %% [markdown]
# ## Against the truth
#
# For each type and gene: by how much does the map change the mean, and by how much does the drug?
# The usual guess adds the same difference of means to every cell, whatever its type. Where types
# answer differently, it is too weak for one of them and too strong for the others.

# %%
true, predicted, shifted = [], [], []
shift = treated.X.mean(axis=0) - control.X.mean(axis=0)
known_control, known_treated = cells(6000, False), cells(6000, True)
for kind in TYPES:
    mine = np.asarray(fresh.obs["type"] == kind)
    of_type = [known[known.obs["type"] == kind].X for known in (known_control, known_treated)]
    true.append(of_type[1].mean(axis=0) - of_type[0].mean(axis=0))
    predicted.append((fresh.layers["predicted"] - fresh.X)[mine].mean(axis=0))
    shifted.append(shift)


def off(guess):
    """Root mean squared error over genes, of each type."""
    return np.sqrt(np.mean((np.array(guess) - np.array(true)) ** 2, axis=1))


for name, guess in (("no change", 0.0 * np.array(true)), ("shift", shifted), ("map", predicted)):
    print(
        f"{name:>9}: " + ", ".join(f"{k} {e:.3f}" for k, e in zip(TYPES, off(guess), strict=True))
    )

# %% alt="Predicted against true change of every gene, for the mean shift and for the map: points of the map lie nearer to the diagonal, above all those of monocytes."
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharex=True, sharey=True)
for ax, title, guess in zip(axes, ("mean shift", "map"), (shifted, predicted), strict=True):
    for kind, one, other in zip(TYPES, true, guess, strict=True):
        ax.plot(one, other, ".", label=kind)
    ax.axline((0, 0), slope=1, color="grey", linewidth=0.8)
    ax.set(title=title, xlabel="true change of the mean")
axes[0].set_ylabel("predicted")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# ## Your own cells
#
# With the cells of Kang et al. (2018), blood under interferon-beta, the same lines do:
# `BRENIER_KANG=kang_ifnb_pbmc.h5ad` names their file, which is not shipped. Without it nothing is
# printed here.

# %%
if "BRENIER_KANG" in os.environ:
    kang = anndata.read_h5ad(os.environ["BRENIER_KANG"])
    sides = [kang[kang.obs["condition"] == name] for name in ("control", "ifnb")]
    sides = [s[random.permutation(len(s))[:640]].copy() for s in sides]
    print(brenier.MongeMap(effort="quick", random_state=0).fit(*sides).candidates_.sentence)

# %% [markdown]
# ## What can go wrong
#
# - **Composition.** If the drug kills a type, the map still has to send its cells somewhere: they
#   become cells of another type. Compare types and conditions in a table first, and fit types apart
#   where the table changes.
# - **Batches.** A map carries the batch along with the effect. What is not balanced between the
#   conditions is taken for the drug's.
# - **Least change is an assumption.** It holds where a drug moves a cell by less than types differ.
#   Where it makes one type look like another, the least change is the wrong one.
#
# ## Where to go on
#
# [Single cells](../single-cells.md): files, layers, embeddings, the command line, and how this does on
# measured cells, held out and of types never seen.
