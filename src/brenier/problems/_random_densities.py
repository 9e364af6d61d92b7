"""The random densities of KRCO22, section 3.4, seeded."""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least
from brenier._types import Array, Float, Point, Scalar
from brenier.measures import TensorTrain

_REACH = 8.0
_MOST_COMPONENTS = 5
# Nodes along each axis of the quadrature that normalises the components, by dimension.
_NODES = {2: 250, 3: 100}
_CENTRES = 7
_CENTRES_REACH = 3.0


class QuarticMixture(eqx.Module):
    """log ρ of ρ = (1/K) Σ_i exp(−q_i(x))/Z_i on [−8, 8]^d, as a function of one point.

    q_i(x) = (x − a)ᵀ Q (x − a) + ((x − b)²)ᵀ R (x − b)², squares entry by entry: KRCO22 (14). Made
    by ``quartic_mixture``. Each has five components, those beyond K with weight 0, so that one
    compilation serves all.

    >>> rho = quartic_mixture(2)
    >>> rho.dimension, rho.exponents(jnp.zeros(2)).shape
    (2, (5,))
    """

    quadratic: Float[Array, "k d d"]
    quadratic_centres: Float[Array, "k d"]
    quartic: Float[Array, "k d d"]
    quartic_centres: Float[Array, "k d"]
    log_weights: Float[Array, " k"]

    @property
    def dimension(self) -> int:
        """d."""
        return self.quadratic.shape[-1]

    def __call__(self, x: Point) -> Scalar:
        return jax.nn.logsumexp(self.log_weights - self.exponents(x))

    def exponents(self, x: Point) -> Float[Array, " k"]:
        """q_i(x)."""
        away = x - self.quadratic_centres
        squares = jnp.square(x - self.quartic_centres)
        return jnp.einsum("ki,kij,kj->k", away, self.quadratic, away) + jnp.einsum(
            "ki,kij,kj->k", squares, self.quartic, squares
        )


def quartic_mixture(dimension: int, *, seed: int = 0) -> QuarticMixture:
    """A random density of KRCO22 (14), d = 2 or 3: up to five exponentials of quartics.

    K uniform in 1, …, 5; for each component B and C standard normal d × d, Q = (B Bᵀ/d + I/5)/2,
    R = (C Cᵀ/d + I/5)/20, a and b uniform in [−2, 2]^d; each normalised on [−8, 8]^d.

    Args:
        dimension: d.
        seed: which one of them.

    Raises:
        ValueError: a dimension that is not 2 or 3.

    >>> rho = quartic_mixture(2)
    >>> round(float(rho(jnp.zeros(2))), 6) < 0.0
    True
    """
    d = check_at_least("dimension", dimension, 1)
    if d not in _NODES:
        raise ValueError(f"dimension: got {d}; wants 2 or 3 (beyond, take random_tensor_train).")
    random = np.random.default_rng(seed)
    count = int(random.integers(1, _MOST_COMPONENTS + 1))
    parts = []
    for _ in range(count):
        roots = random.normal(size=(2, d, d))
        squares = roots @ roots.transpose(0, 2, 1) / d + 0.2 * np.eye(d)
        parts.append((0.5 * squares[0], 0.05 * squares[1], *random.uniform(-2.0, 2.0, (2, d))))
    parts += [parts[0]] * (_MOST_COMPONENTS - count)
    quadratic, quartic, first, second = (jnp.asarray(np.stack(a)) for a in zip(*parts, strict=True))
    weights = np.where(np.arange(_MOST_COMPONENTS) < count, -np.log(count), -np.inf)
    bare = QuarticMixture(quadratic, first, quartic, second, jnp.zeros(_MOST_COMPONENTS))
    log_masses = _log_masses(bare, jnp.linspace(-_REACH, _REACH, _NODES[d]))
    return eqx.tree_at(lambda m: m.log_weights, bare, jnp.asarray(weights) - log_masses)


def random_tensor_train(
    dimension: int, *, seed: int = 0, nodes: int = 50, rank: int = 2, tolerance: float = 1e-10
) -> TensorTrain:
    """A random density of low ranks in any dimension, after KRCO22 (15): γ(x) q(x).

    q is a tensor train of cores Σ_b u_b exp(−(x − ξ_b)²/2) with u uniform in (0, 1), at seven
    centres ξ in [−3, 3]. KRCO22 draw the nodal values of the cores themselves from U(0, 1): a
    density that is rough from node to node, and no function of x.

    Args:
        dimension: d.
        seed: which one of them.
        nodes: on each axis of [−8, 8]^d.
        rank: of q.
        tolerance: of the tensor train.

    >>> random_tensor_train(7).ranks
    (2, 2, 2, 2, 2, 2)
    """
    d = check_at_least("dimension", dimension, 1)
    check_at_least("rank", rank, 1)
    random = np.random.default_rng(seed)
    y = np.linspace(-_REACH, _REACH, check_at_least("nodes", nodes, 8))
    middles = np.linspace(-_CENTRES_REACH, _CENTRES_REACH, _CENTRES)
    bumps = np.exp(-0.5 * (y - middles[:, None]) ** 2)
    ranks = [1, *([rank] * (d - 1)), 1]
    cores = []
    for before, after in pairwise(ranks):
        draws = random.uniform(size=(before, _CENTRES, after))
        cores.append(np.einsum("abc,bn,n->anc", draws, bumps, np.exp(-0.5 * y**2)))
    corner = [_REACH] * d
    return TensorTrain.from_cores(cores, [-_REACH] * d, corner, tolerance=tolerance)


@eqx.filter_jit
def _log_masses(mixture: QuarticMixture, side: Float[Array, " n"]) -> Float[Array, " k"]:
    """log ∫ exp(−q_i) by the trapezoid rule, one row of the grid after another."""
    d, gap = mixture.dimension, side[1] - side[0]
    rest = jnp.stack(jnp.meshgrid(*[side] * (d - 1), indexing="ij"), axis=-1).reshape(-1, d - 1)

    def row(first):
        points = jnp.concatenate([jnp.full((len(rest), 1), first), rest], axis=1)
        return jax.nn.logsumexp(-jax.vmap(mixture.exponents)(points), axis=0)

    return jax.nn.logsumexp(jax.lax.map(row, side), axis=0) + d * jnp.log(gap)
