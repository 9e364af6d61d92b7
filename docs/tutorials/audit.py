# %% [markdown]
# # Is my flow-matching model optimal?
#
# **The question.** A flow-matching model carries one distribution to another along a velocity that a
# network learned. It is often called optimal transport. Is it? How much of what it moves is wasted?
#
# The audit answers for *any* function from points to points: yours, in JAX, PyTorch or NumPy. It
# sees what the function does to fresh points, and nothing of how it was made. Here two models are trained, and both audited.

# %%
import textwrap

import jax
import matplotlib.pyplot as plt
import numpy as np

import brenier
from brenier.certify import plot_certificate
from brenier.flows import FlowMatching, fit_velocity
from brenier.problems import problem

modes = problem("convex-mixture-2")  # three Gaussians, and their image under a known Monge map
source, target = modes.source, modes.target
training = FlowMatching(steps=800, batch=128)

models = {}
for coupling in ("independent", "minibatch"):
    fitted = fit_velocity(
        source, target, method=training, coupling=coupling, samples=2048, key=jax.random.key(0)
    )
    models[coupling] = fitted.map
    print(f"{coupling} pairs are {fitted.stats['pair_cost']:.2f} apart, in squares")

# %% [markdown]
# Both learn from pairs of a source point and a target point. With *independent* pairs any source
# point goes with any target point; *minibatch* pairs are matched at the least cost within batches.

# %% alt="Paths of 60 points under both models. With independent pairs they bend, with minibatch pairs they are nearly straight."
x = np.asarray(source.sample(jax.random.key(1), 60))
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharex=True, sharey=True)
for ax, (coupling, map) in zip(axes, models.items(), strict=True):
    paths = np.asarray(map.path(x, np.linspace(0.0, 1.0, 15)))
    ax.plot(*np.moveaxis(paths, 0, -1).transpose(1, 0, 2), color="grey", linewidth=0.7)
    ax.plot(*paths[:, 0].T, ".", label="x")
    ax.plot(*paths[:, -1].T, ".", label="T(x)")
    ax.set(title=coupling, aspect="equal")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# ## The audit
#
# A function, a source (a law or points), points of the target, a key. The two numbers of the defect are
# bounds that hold, whatever the model is, with 95 % together.

# %%
Y_fresh = np.asarray(target.sample(jax.random.key(2), 2000))
certificates = {
    coupling: brenier.audit(
        map, source, Y_fresh, key=jax.random.key(3), samples=2000, budget=1.5, truth=modes.map
    )
    for coupling, map in models.items()
}
print(certificates["independent"])

# %% alt="Two bars: the interval of the share that is wasted, with independent and with minibatch pairs, beside the tolerance of one per cent."
figure, axes = plt.subplots(2, 1, figsize=(7, 4.6), layout="constrained")
for ax, (coupling, certificate) in zip(axes, certificates.items(), strict=True):
    plot_certificate(certificate, ax=ax)
    ax.set_title(f"{coupling}: {ax.get_title(loc='left')}", loc="left", fontsize=10)
for ax in axes:
    ax.set_xlim(0.0, max(each.get_xlim()[1] for each in axes))
axes[0].set_xlabel("")
plt.show()

# %%
for coupling, certificate in certificates.items():
    print(textwrap.fill(f"{coupling}: {certificate.verdict.optimality_reason}", 100))
    print(f"  from the true Monge map: L2-UVP {certificate.truth.l2_uvp:.2f} %")

# %% [markdown]
# ## What can go wrong
#
# - **Straight is not optimal.** Rounds of reflow make paths straight and leave the waste
#   where it was: the [gallery of audits](../gallery.md) shows it.
# - **Optimal is not right.** A map can waste nothing and miss the target. The certificate has a line
#   for each, and asks about the target only where you give it one.
# - **Fresh points, on both sides.** Source points that the model was trained on are no sample of what it
#   does elsewhere, and a map may have learned the very points of the target that it was shown.
# - **Many dimensions.** With few points in many dimensions the interval is wide, and the
#   audit says "no bound" or "undecided" rather than guess. More points, a longer `budget`, or a
#   declared law of the source close it.
#
# ## Where to go on
#
# [Other people's maps](../other-maps.md): a network of PyTorch in three lines, and how maps that
# fail are told. `certificate.to_html("audit.html")` writes a page to hand on.
# [Certify](../rooms/certify.md) says what each bound rests on.
