# %% [markdown]
# # The encoder that is nearly, not quite, optimal
#
# **The question.** The probability flow of a diffusion model carries data to a Gaussian. It was found,
# and conjectured (Khrulkov et al., 2022), that this *encoder* is the optimal map. It is, for
# Gaussians and for everything that is radial or a product. Lavenant and Santambrogio (2022) proved that it is not so in
# general. How would one see that, when the difference is six ten-thousandths?

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from brenier.grids import Torus
from brenier.maps import GradientMap
from brenier.potentials import AbstractPotential
from brenier.velocities import FlowMap, RatioVelocity

jax.config.update("jax_enable_x64", True)


class Bent(AbstractPotential):
    """u = |x|²/2 + ε (x₁x₂ + x₁⁴) exp(−|x|²/2): LS22's potential, convex for small ε."""

    size: jax.Array = eqx.field(converter=jnp.asarray)

    @property
    def dimension(self):
        return 2

    def value(self, x):
        bump = (x[0] * x[1] + x[0] ** 4) * jnp.exp(-0.5 * (x @ x))
        return 0.5 * (x @ x) + self.size * bump

    def strong_convexity(self):
        return jnp.zeros(())


u = Bent(0.15)
monge = GradientMap(u)

# %% [markdown]
# ## A measure whose Monge map is known
#
# Let μ be what ∇u sends to the Gaussian γ = N(0, I). Then ∇u is its Monge map to γ, by Brenier's theorem and
# no computation. The density of μ is known too: μ/γ = exp(|x|²/2 − |∇u|²/2) det D²u. From it the velocity
# of the diffusion is computed to twelve digits, by Fourier series.


# %%
def ratio(x):
    slope = jax.grad(u.value)(x)
    return jnp.exp(0.5 * (x @ x) - 0.5 * (slope @ slope)) * jnp.linalg.det(jax.hessian(u.value)(x))


flow = RatioVelocity.from_ratio(ratio, Torus([-12.0] * 2, [12.0] * 2, [160] * 2))
encoder = FlowMap(flow, 1.0, 0.0, tolerance=1e-9)

side = np.arange(-5.4, 5.5, 0.3)
x = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
density = np.asarray(jax.vmap(ratio)(x)) * np.exp(-0.5 * np.sum(x**2, axis=1))
weights = density / density.sum()
encoded, optimal = np.asarray(encoder(x)), np.asarray(monge(x))

cost, least = (float(weights @ np.sum((z - x) ** 2, axis=1)) for z in (encoded, optimal))
print(f"cost of the encoder  {cost:.8f}")
print(f"W2², of ∇u           {least:.8f}")
print(f"the encoder costs    {100 * (cost / least - 1):.4f} % more")

# %% [markdown]
# Nearly, not quite. Both maps drawn on top of each other could not be told apart; so here is how the
# encoder differs from ∇u, and the reason: an optimal map is a gradient, so its Jacobian is symmetric.

# %% alt="Left, arrows: where the encoder differs from the Monge map, magnified 60 times, swirls about several centres. Right, the asymmetry of the encoder's Jacobian in colour: up to a few hundredths, with both signs."
near = np.abs(x).max(axis=1) < 3.2
jacobian = np.asarray(encoder.jacobian(x[near]))
asymmetry = jacobian[:, 0, 1] - jacobian[:, 1, 0]
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
axes[0].quiver(
    *x[near].T, *(60 * (encoded - optimal)[near]).T, angles="xy", scale_units="xy", scale=1
)
axes[0].set_title("encoder − Monge map, × 60", fontsize=10)
nodes = int(np.sqrt(near.sum()))
limit = np.abs(asymmetry).max()
image = axes[1].pcolormesh(
    *x[near].T.reshape(2, nodes, nodes), asymmetry.reshape(nodes, nodes), cmap="RdBu_r",
    vmin=-limit, vmax=limit,
)  # fmt: skip
figure.colorbar(image, ax=axes[1], shrink=0.8)
axes[1].set_title("∂₂E₁ − ∂₁E₂, 0 for an optimal map", fontsize=10)
plt.show()

# %% [markdown]
# ## A cheaper way, exhibited
#
# A proof that needs no derivative: take $k$ points on a small ring and let each have the code of its
# neighbour. If the sum of squared distances falls, the encoder was not optimal, *for everyone who can add*.
# With too few points the step to the neighbour costs more than the swirl gives.

# %%
centre, radius = np.array([2.4, -0.75]), 0.02
savings = {}
middle = np.asarray(encoder.jacobian(centre))
values, vectors = np.linalg.eigh(0.5 * (middle + middle.T))
root = (vectors / np.sqrt(values)) @ vectors.T  # circles in the metric of the map
for k in (100, 120, 140, 160, 180, 250, 400, 800):
    angle = 2 * np.pi * np.arange(k) / k
    ring = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ root
    codes = np.asarray(encoder(centre + ring))
    paid = np.sum((centre + ring - codes) ** 2)
    gain = max(2.0 * np.sum(ring * (np.roll(codes, s, axis=0) - codes)) for s in (1, -1))
    savings[k] = gain / paid
    print(f"{k:4d} points: saves {savings[k]:+.2e} of the cost")

# %% alt="The relative saving of the shift against the number of points: negative up to 140 points, positive from 160 on, largest at some 250."
axes = plt.subplots(figsize=(5, 3), layout="constrained")[1]
axes.axhline(0.0, color="grey", linewidth=0.8)
axes.plot(list(savings), [1e6 * saving for saving in savings.values()], "o-")
axes.set(xscale="log", xlabel="points on the ring", ylabel="saving, millionths of the cost")
axes.set_xticks([100, 140, 200, 400, 800], ["100", "140", "200", "400", "800"])
axes.minorticks_off()
plt.show()

# %% [markdown]
# ## What can go wrong
#
# - **Assignments do not see it.** The best assignment of a few hundred samples finds nothing cheaper: rings
#   need points nearer to each other than samples lie. "No cheaper permutation was found" is not
#   "optimal".
# - **Rounding.** Savings are of a millionth of the cost. At the tolerance 1e-5 of an ordinary
#   integration the ring would say nothing.
#
# ## Where to go on
#
# `brenier.audit` looks for such rings by itself, and its certificate has a line for the best that it found. [Reproduced: LS22](../reproduced/ls22.md) has the table, other measures and the
# second-order formula; [Encoders](../theory/encoders.md) the theory.
