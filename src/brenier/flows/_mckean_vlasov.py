"""The McKean-Vlasov diffusion whose law follows a Wasserstein mirror flow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from brenier._checks import check_key
from brenier._types import Array, Float, Key, Point, Points, Scalar
from brenier.flows._mirror import check_functional
from brenier.functionals import AbstractFunctional, Moving
from brenier.grids import AbstractGrid, GridPotential
from brenier.measures import AbstractMeasure, require_density
from brenier.numerics import over_points
from brenier.potentials import AbstractPotential

_FORWARD = 3


@eqx.filter_jit
def mckean_vlasov(
    start: Points,
    potentials: AbstractPotential,
    times: Float[Array, " k"],
    source: AbstractMeasure,
    target: AbstractMeasure,
    *,
    key: Key,
    functional: AbstractFunctional | None = None,
) -> Points:
    """dZ = [−M∇(δF/δρ)(Z) − ∇g(∇u_t(Z))]dt + √(2M) dB, M = (D²u_t)⁻¹, ∇u_t#law(Z_t) = e^{−g}.

    Its law is the mirror flow ρ_t of F with the mirror ½W₂²(·, e^{−g}) (4.10), where it starts in
    ρ_0. By the method of Euler and Maruyama, of weak order 1, all particles at once: Itô's
    integral, whose drift for F = KL(·|e^{−f}) is −M∇f + ∇·M. The law enters through u_t, which is
    given as a path of potentials (from ``parabolic_flow``, through ``potential_path``), so that
    particles are independent; but with ``functional`` they also meet in ∇_W F of their cloud.

    A simulation of particles in one compiled loop, pure, to be jitted and mapped over keys: it
    learns no map, so it does not run through ``solve``; Ctrl-C is heard when the loop ends.

    Args:
        start: Z_0, (n, d), drawn from ρ_0.
        potentials: u at the k + 1 times 0 = t_0 < t_1 < …, stacked along the first axis of every
            array; the last is not used.
        times: t_1, …, t_k: steps end there.
        source: e^{−f}, the target of F.
        target: e^{−g}, the base of the mirror.
        key: of the noise.
        functional: F; KL, with its exact drift, where None.

    Returns:
        Z at the last time, (n, d).

    Raises:
        ValueError: a measure without density, or a functional without Wasserstein gradient.

    >>> from brenier.grids import Box
    >>> from brenier.measures import Gaussian
    >>> normal, box = Gaussian.standard(1), Box([-6.0], [6.0], [24])
    >>> path = potential_path(box, np.zeros((11, 24)))  # already there: ρ_t = e^{-f} = e^{-g}
    >>> z = normal.sample(jax.random.key(0), 2000)
    >>> times, key = jnp.linspace(0.1, 1.0, 10), jax.random.key(1)
    >>> z = mckean_vlasov(z, path, times, normal, normal, key=key)
    >>> bool(abs(jnp.std(z) - 1.0) < 0.1)
    True

    Deb25, eq. (0.1); Theory (4.10).
    """
    check_key("key", key)
    require_density("target", target)
    if functional is None:
        require_density("source", source)
    else:
        check_functional(functional)
    steps = jnp.diff(times, prepend=0.0)
    arrays, static = eqx.partition(potentials, eqx.is_array)

    def step(z, item):
        frozen, length, key = item
        potential = eqx.combine(frozen, static)
        noise_key, gradient_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, z.shape, z.dtype)
        pull = jnp.zeros_like(z)
        if functional is not None:
            pull = functional.gradient(Moving(z), source, key=gradient_key)
        both = jnp.concatenate([z, noise, pull], axis=1)

        def one(item):
            point, xi, force = jnp.split(item, 3)
            return _move(point, xi, force, potential, source, target, length, functional is None)

        floats = 1024 + 64 * z.shape[1] ** 2
        return over_points(one, both, floats=floats), None

    frozen = jax.tree.map(lambda leaf: leaf[: steps.shape[0]], arrays)
    keys = jax.random.split(key, steps.shape[0])
    return jax.lax.scan(step, start, (frozen, steps, keys))[0]


def potential_path(grid: AbstractGrid, values: Float[np.ndarray, " k *n"]) -> GridPotential:
    """φ − ½‖x‖² at the nodes for several times, as splines stacked along the first axis.

    >>> from brenier.grids import Box
    >>> path = potential_path(Box([-6.0], [6.0], [24]), np.zeros((3, 24)))
    >>> path.coefficients.shape[0]
    3
    """
    splines = [GridPotential.from_grid(grid, p) for p in np.asarray(values)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *splines)


def _move(
    z: Point,
    noise: Point,
    force: Point,
    potential: AbstractPotential,
    source: AbstractMeasure,
    target: AbstractMeasure,
    length: Scalar,
    kl: bool,
) -> Point:
    """One step of Euler and Maruyama for one particle."""
    # In few dimensions two forward sweeps are several times as quick as one of each kind.
    inner = jax.jacfwd if z.shape[0] <= _FORWARD else jax.jacrev
    bend, push = jax.linearize(jax.jacfwd(inner(potential.value)), z)
    factor = jnp.linalg.cholesky(bend)
    inverse = solve_triangular(factor, jnp.eye(z.shape[0], dtype=z.dtype), lower=True)
    mobility = inverse.T @ inverse
    if kl:
        # −M∇f + ∇·M, and ∇·M = −M∇log det D²φ.
        slopes = jax.vmap(lambda e: jnp.sum(mobility * push(e)))(jnp.eye(z.shape[0], dtype=z.dtype))
        drift = mobility @ (jax.grad(source.point_log_density)(z) - slopes)
    else:
        image = jax.grad(potential.value)(z)
        drift = jax.grad(target.point_log_density)(image) - mobility @ force
    return z + length * drift + jnp.sqrt(2.0 * length) * (inverse.T @ noise)
