"""The plan of a Sinkhorn sweep between the nodes of two grids."""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from brenier._types import Array, Float, Scalar
from brenier.numerics import Gaps, soft_convolution

# Entries of a plan that are written out; beyond, only its marginals and moments are.
_MOST_ENTRIES = 2**27


class GridCoupling(eqx.Module):
    """γ_k(x, y) = exp((⟨x, y⟩ − φ_{k−1}(x) − ψ_k(y))/ε − f(x) − g(y)) between nodes (4.4).

    Its second marginal is the target; its first, ρ_k, has mass 1 and tends to the source.

    Args:
        log_first: −u_{k−1}/ε + log source masses, u = φ − ½‖x‖².
        log_second: −w_k/ε + log target masses, w = ψ − ½‖y‖².
        gaps: squared gaps of each axis.
        epsilon: ε.

    >>> import numpy as np
    >>> from brenier.numerics import squared_gaps
    >>> gap = squared_gaps(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    >>> GridCoupling(jnp.zeros(2), jnp.zeros(2), (gap,), jnp.array(0.5)).matrix().round(4).tolist()
    [[1.0, 0.3679], [0.3679, 1.0]]
    """

    log_first: Float[Array, "*n"]
    log_second: Float[Array, "*m"]
    gaps: tuple[Gaps, ...]
    epsilon: Scalar

    def first_marginal(self, *, blocks: int = 1) -> Float[Array, "*n"]:
        """The masses of the nodes x under γ_k."""
        back = [jnp.swapaxes(gap, 1, 2) for gap in self.gaps]
        inner = soft_convolution(self.log_second, back, epsilon=self.epsilon, blocks=blocks)
        return jnp.exp(self.log_first + inner)

    def second_marginal(self, *, blocks: int = 1) -> Float[Array, "*m"]:
        """The masses of the nodes y under γ_k: those of the target."""
        inner = soft_convolution(self.log_first, self.gaps, epsilon=self.epsilon, blocks=blocks)
        return jnp.exp(self.log_second + inner)

    def matrix(self) -> Float[Array, "n m"]:
        """All masses, nodes x and y flattened; for small grids.

        Raises:
            ValueError: more than 2²⁷ entries.
        """
        n, m = self.log_first.size, self.log_second.size
        if n * m > _MOST_ENTRIES:
            raise ValueError(
                f"matrix: got {n} times {m} nodes; wants at most {_MOST_ENTRIES} "
                "entries (its marginals need no matrix)."
            )
        kernel = jnp.zeros((1, 1))
        for gap in _kernels(self.gaps, self.epsilon):
            rows, columns = kernel.shape[0] * gap.shape[1], kernel.shape[1] * gap.shape[0]
            kernel = (kernel[:, None, :, None] + gap.T[None, :, None, :]).reshape(rows, columns)
        return jnp.exp(self.log_first.reshape(-1, 1) + kernel + self.log_second.reshape(1, -1))


def _kernels(gaps: Sequence[Gaps], epsilon: Scalar) -> list[Float[Array, "_ _"]]:
    return [logsumexp(-0.5 * gap / epsilon, axis=0) for gap in gaps]
