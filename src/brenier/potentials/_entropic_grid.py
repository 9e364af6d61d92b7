"""The potential of an entropic plan onto the nodes of a tensor grid."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from brenier._types import Array, Float, Point, Scalar
from brenier.potentials._base import AbstractPotential

# Copies of a periodic axis to each side, as in numerics.squared_gaps.
_IMAGES = 3


class EntropicGridPotential(AbstractPotential):
    """φ(x) = ½‖x‖² + ε log Σ_j exp(a_j − ‖x − y_j‖²/(2ε)), y_j the nodes of a tensor grid.

    Sinkhorn's φ_k of (4.3), at any x: ∇φ(x) = E[y|x] and D²φ(x) = Cov(y|x)/ε under its plan (4.4).
    On a torus the sum runs over the copies of the nodes, and ∇φ(x + period) = ∇φ(x) + period.
    A value costs as many exponentials as the grid has nodes; an interpolation of φ at the nodes
    (``grids.GridPotential``) is far quicker. Made by ``flows.sinkhorn_flow``.

    Args:
        log_masses: a, one number for each node.
        nodes: the coordinates of the nodes along each axis.
        epsilon: ε > 0.
        periods: of the axes; None where the grid is no torus.

    >>> phi = EntropicGridPotential(jnp.zeros(2), (jnp.array([-1.0, 1.0]),), jnp.asarray(0.5))
    >>> bool(jnp.allclose(phi.gradient(jnp.array([0.3])), jnp.tanh(0.6)))
    True
    """

    log_masses: Float[Array, "*m"]
    nodes: tuple[Float[Array, " _"], ...]
    epsilon: Scalar
    periods: tuple[float, ...] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        wanted = tuple(side.shape[0] for side in self.nodes)
        if self.log_masses.shape != wanted:
            raise ValueError(
                f"log_masses: got shape {self.log_masses.shape}; wants {wanted}, one "
                "number for each node."
            )
        if self.periods is not None and len(self.periods) != len(self.nodes):
            raise ValueError(f"periods: got {len(self.periods)}; wants {len(self.nodes)}.")

    @property
    def dimension(self) -> int:
        return len(self.nodes)

    def value(self, x: Point) -> Scalar:
        total = self.log_masses
        for axis, side in enumerate(self.nodes):
            exponents = self._exponents(axis, x[axis] - side)
            total = total + exponents.reshape(-1, *[1] * (len(self.nodes) - 1 - axis))
        return 0.5 * (x @ x) + self.epsilon * logsumexp(total)

    def strong_convexity(self) -> Scalar:
        """0: D²φ is a covariance over ε, which no number bounds from below everywhere."""
        return jnp.zeros((), self.log_masses.dtype)

    def _exponents(self, axis: int, gap: Float[Array, " n"]) -> Float[Array, " n"]:
        if self.periods is None:
            return -0.5 * gap**2 / self.epsilon
        period = self.periods[axis]
        # Exactly periodic: copies are taken about the nearest one.
        nearest = gap - period * jnp.round(gap / period)
        copies = nearest + period * jnp.arange(-_IMAGES, _IMAGES + 1)[:, None]
        return logsumexp(-0.5 * copies**2 / self.epsilon, axis=0)
