"""Images of N(0, I) under (∇u)⁻¹, u = |x|²/2 + ε φ, and their encoders."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier.grids import Torus
from brenier.maps import ConjugateMap, Pushforward
from brenier.measures import Gaussian, TensorTrain
from brenier.potentials import AbstractPotential
from brenier.velocities import FlowMap, RatioVelocity, TensorTrainVelocity

# The largest rank of the ratios; those here need 39.
_RANK = 40

# φ, from a point (2,) to a number.
Bump = Callable[[jax.Array], jax.Array]


def paper_bump(x: jax.Array) -> jax.Array:
    """φ = (x₁x₂ + x₁⁴) e^{−|x|²/2} (Theory, LS)."""
    return (x[0] * x[1] + x[0] ** 4) * jnp.exp(-0.5 * (x @ x))


def cubic_bump(x: jax.Array) -> jax.Array:
    """φ = (x₁²x₂ + x₂³/2 − x₁) e^{−|x|²/2}."""
    return (x[0] ** 2 * x[1] + 0.5 * x[1] ** 3 - x[0]) * jnp.exp(-0.5 * (x @ x))


def oblique_bump(x: jax.Array) -> jax.Array:
    """φ = exp(−(x₁ − 1/2)² − x₁x₂ − 3x₂²/4)."""
    return jnp.exp(-((x[0] - 0.5) ** 2) - x[0] * x[1] - 0.75 * x[1] ** 2)


class BentPotential(AbstractPotential):
    """u = |x|²/2 + ε φ in the plane."""

    bump: Bump = eqx.field(static=True)
    size: jax.Array

    @property
    def dimension(self) -> int:
        return 2

    def value(self, x):
        return 0.5 * (x @ x) + self.size * self.bump(x)

    def strong_convexity(self):
        return jnp.zeros(())


def bent_measure(potential: BentPotential) -> Pushforward:
    """μ_0 = (∇u)⁻¹#N(0, I)."""
    return Pushforward(Gaussian.standard(2), ConjugateMap(potential))


def ratio(potential: BentPotential, x: jax.Array) -> jax.Array:
    """μ_0/γ = exp(−ε x·∇φ − ε²|∇φ|²/2) det D²u, exact (Theory (3.11))."""
    slope = potential.size * jax.grad(potential.bump)(x)
    bend = potential.size * jax.hessian(potential.bump)(x)
    return jnp.exp(-(x @ slope) - 0.5 * (slope @ slope)) * jnp.linalg.det(jnp.eye(2) + bend)


def velocity(
    potential: BentPotential, *, half_width: float = 12.0, nodes: int = 160
) -> RatioVelocity:
    """The probability flow of μ_0, from its ratio on a periodic grid."""
    grid = Torus([-half_width] * 2, [half_width] * 2, [nodes] * 2)
    found = RatioVelocity.from_ratio(lambda x: ratio(potential, x), grid)
    # Zeros fill all spectra to one size, so that one compilation serves every ε and φ on a grid.
    waves = nodes // 2 + 1 - np.array([k.size for k in found.waves])
    ranks = max(_RANK - found.first.shape[0], 0)
    first, second = (
        jnp.pad(factor, [(0, ranks), (0, 0), (0, extra)])
        for factor, extra in zip((found.first, found.second), waves, strict=True)
    )
    one, other = found.waves
    numbers = jnp.pad(one, (0, waves[0])), jnp.pad(other, (0, waves[1]))
    return RatioVelocity(found.level, first, second, numbers, found.corner)


def encoder(flow: RatioVelocity, time: float, *, tolerance: float = 1e-11) -> FlowMap:
    """The encoder of μ_t, from e^{−t} to 0 in the clock of the signal."""
    return FlowMap(flow, np.exp(-time), 0.0, tolerance=tolerance)


def tensor_train_encoder(
    potential: BentPotential, *, half_width: float = 9.0, nodes: int = 160
) -> FlowMap:
    """The encoder of μ_0 by another way: its density itself, as a tensor train."""
    side = np.linspace(-half_width, half_width, nodes)
    x = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1)
    ratios = jax.jit(jnp.vectorize(lambda y: ratio(potential, y), signature="(d)->()"))(
        jnp.asarray(x)
    )
    density = np.asarray(ratios) * np.exp(-0.5 * np.sum(x**2, axis=-1)) / (2.0 * np.pi)
    law = TensorTrain.from_grid(density, [-half_width] * 2, [half_width] * 2, tolerance=1e-12)
    return FlowMap(TensorTrainVelocity(law), 1.0, 0.0, tolerance=1e-11)


def asymmetry(map: FlowMap, x: np.ndarray) -> np.ndarray:
    """∂₂E₁ − ∂₁E₂ at points (n, 2)."""
    jacobian = np.asarray(map.jacobian(x))
    return jacobian[:, 0, 1] - jacobian[:, 1, 0]


def second_order(
    bump: Bump, x: np.ndarray, *, half_width: float = 12.0, nodes: int = 160, order: int = 32
) -> float:
    """∬_{a<b} a b [H_a(ax), H_b(bx)]₁₂ da db at one point (2,): Theory (3.13).

    H_a is the Hessian of g = Δφ − x·∇φ smoothed by variance 1 − a²: Fourier series on a wide box,
    and Gauss-Legendre nodes in b and, below it, in a.
    """
    grid = Torus([-half_width] * 2, [half_width] * 2, [nodes] * 2)
    nodes_of_grid = jnp.asarray(grid.points().reshape(-1, 2))
    generator = jax.jit(jax.vmap(lambda y: jnp.trace(jax.hessian(bump)(y)) - y @ jax.grad(bump)(y)))
    waves = np.fft.fft2(np.asarray(generator(nodes_of_grid)).reshape(grid.shape)) / nodes**2
    k = 2.0 * np.pi * np.fft.fftfreq(nodes, grid.spacing[0])

    def scaled_hessian(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """a (H₁₁ − H₂₂) and a H₁₂ at a x, for signals a (m,)."""
        damped = np.exp(-0.5 * (1.0 - a[:, None] ** 2) * k**2)
        one, two = (damped * np.exp(1j * k * (a[:, None] * z + half_width)) for z in x)

        def sums(p, q):
            return np.einsum(
                "mi,ij,mj->m", one * (1j * k) ** p, waves, two * (1j * k) ** q, optimize=True
            ).real

        return a * (sums(2, 0) - sums(0, 2)), a * sums(1, 1)

    places, weights = np.polynomial.legendre.leggauss(order)
    b, b_weights = 0.5 * (places + 1.0), 0.5 * weights
    a = b[:, None] * b
    below = [
        (z.reshape(order, order) * b_weights).sum(axis=1) * b for z in scaled_hessian(a.ravel())
    ]
    difference, mixed = scaled_hessian(b)
    return float(b_weights @ (below[0] * mixed - below[1] * difference))
