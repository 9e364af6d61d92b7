# %% [markdown]
# # Sinkhorn becomes a PDE
#
# **The question.** Sinkhorn's algorithm rescales rows, then columns, and again. With a blur ε each
# round moves the potential a little. What does it do as ε gets small and the rounds many?
#
# It becomes a flow. After $k$ rounds at the time $t = k\,ε$ the potential is, up to O(ε), the solution of
# the *parabolic Monge-Ampère equation*
#
# $$\partial_t \varphi = f - g(\nabla\varphi) + \log\det D^2\varphi,$$
#
# whose limit $t \to \infty$ has $\nabla\varphi$ as the Monge map from $e^{-f}$ to $e^{-g}$
# (Deb25).

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

from brenier.flows import parabolic_flow, sinkhorn_flow
from brenier.grids import Box
from brenier.measures import Gaussian, GaussianMixture

# From one Gaussian to two modes, on the line.
source = GaussianMixture(
    np.array([0.35, 0.65]), np.array([[-1.2], [1.0]]), np.array([[[0.3]], [[0.25]]])
)
target = Gaussian.standard(1)
grid, wide = Box([-4.5], [4.5], [181]), Box([-10.0], [10.0], [401])
x = grid.nodes(0)

times, rounds = np.arange(1, 41) * 0.05, np.arange(1, 11) * 0.2
pde = parabolic_flow(source, target, grid, times)
coarse = sinkhorn_flow(
    source, target, grid, rounds, epsilon=0.2, half_shift=False, target_grid=wide
)

# %% [markdown]
# ## Seen
#
# What moves is $ρ_t$, the image of the target under the map of the time $t$ the other way: it starts at the
# target and ends at the source.

# %% alt="Animation: the density of the flow, a line, goes smoothly from one hump to two. Circles, the rounds of Sinkhorn at ε = 0.2, jump along with it; a shaded shape is the limit."
figure, axes = plt.subplots(figsize=(5.6, 3.2), layout="constrained")
axes.fill_between(x, np.exp(source.log_density(x[:, None])), color="#d8e2ee", label="limit")
(line,) = axes.plot(x, np.exp(target.log_density(x[:, None])), label="the PDE")
(dots,) = axes.plot([], [], "o", markersize=3.5, markerfacecolor="none", label="Sinkhorn, ε = 0.2")
axes.set(xlim=(-4, 4), ylim=(0, 0.6), yticks=[])
axes.legend(frameon=False, loc="upper left", fontsize=8)
title = axes.set_title("t = 0")
iterates = [target.log_density(x[:, None]), *coarse.stats["log_densities"]]


def draw(frame):
    """The density of the PDE at one time, and that of the last round of Sinkhorn until then."""
    done = (frame + 1) // 4
    line.set_ydata(np.exp(pde.stats["log_densities"][frame]))
    dots.set_data(x[::5], np.exp(iterates[done][::5]))
    title.set_text(f"t = {times[frame]:.2f}, rounds of Sinkhorn: {done}")


FuncAnimation(figure, draw, frames=len(times))

# %% [markdown]
# ## Measured
#
# How far is Sinkhorn's map at the time $t = 0.8$ from the PDE's? By half the ε, half as far: order one.
# With the *half shift* (start half a round earlier, read half a round later) the order tends to two,
# and that is how brenier integrates the flow where a grid has two or three dimensions.

# %%
exact = parabolic_flow(source, target, grid, 0.8)
weights = np.exp(source.log_density(x[:, None]))
blurs = np.array([0.1, 0.05, 0.025, 0.0125])
errors = {}
for half_shift in (False, True):
    maps = [
        sinkhorn_flow(
            source, target, grid, 0.8, epsilon=blur, half_shift=half_shift, target_grid=wide
        ).map
        for blur in blurs
    ]
    apart = [np.asarray(map(x[:, None]) - exact.map(x[:, None]))[:, 0] for map in maps]
    errors[half_shift] = [np.sqrt(np.sum(weights * a**2) / np.sum(weights)) for a in apart]
    orders = np.log2(np.array(errors[half_shift][:-1]) / errors[half_shift][1:])
    print(f"half shift {half_shift}: order from one ε to the next {orders.round(2)}")

# %% alt="Error against ε, both on logarithmic axes: a line of slope one for Sinkhorn as it is; with the half shift one that lies far below and falls more steeply."
axes = plt.subplots(figsize=(4.6, 3.4), layout="constrained")[1]
for half_shift, label in ((False, "Sinkhorn"), (True, "with the half shift")):
    axes.loglog(blurs, errors[half_shift], "o-", label=label)
axes.set(xlabel="ε", ylabel="L² distance of the maps at t = 0.8")
axes.set_xticks(blurs, [f"{blur:g}" for blur in blurs])
axes.minorticks_off()
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# ## What can go wrong
#
# - **ε below the grid.** Kernels narrower than the nodes' distance see no neighbour: it is refused,
#   and the message says which ε would do.
# - **More than three dimensions.** A grid has too many nodes then: `ParabolicMongeAmpere` follows the
#   same flow with a network, and `sample_sinkhorn_flow` from samples.
# - **In a hurry.** Who only wants the limit takes `annealed_sinkhorn` or `exact.solve_monge_ampere`: the
#   flow converges exponentially, and these need not follow it.
#
# ## Where to go on
#
# [Reproduced: the scaling limit](../reproduced/deb25.md), with rates on three kinds of problems.
# [A generator in one shot](generator.md) is this flow from samples.
