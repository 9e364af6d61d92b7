"""The probability flow of a density in tensor-train format, exact in time."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import jax.numpy as jnp
from jax import lax

from brenier._types import Array, Float, Point, Scalar
from brenier.maps import Composition
from brenier.measures import TensorTrain
from brenier.velocities._diffusion import AbstractDiffusionVelocity
from brenier.velocities._flow_map import FlowMap


class TensorTrainVelocity(AbstractDiffusionVelocity):
    """dx/da of the diffusion of a ``TensorTrain``, smooth at both ends, without a time step.

    ρ = Σ_j c_j N(y_j, diag s²) with c a tensor train, so that

        dx_k/da = (a (s_k² − 1) x_k + m_k)/(1 + a² (s_k² − 1)),
        m_k = Σ_j c_j K_j y_{j_k} / Σ_j c_j K_j,   K_j = N(x; a y_j, diag(1 + a² (s² − 1))):

    the Mehler kernels of (3.7), widened by the Gaussians that carry the density, so that they are
    never narrower than the lattice and one formula serves from a = 1 to a = 0 (compare (3.12)).
    Cost O(d m r²) a point.

    Not far out in the tails, where the density is below the tolerance of its train: there the
    velocity is noise. ``train_encoder`` encodes points faster.

    Args:
        source: the law at a = 1.

    >>> import numpy as np
    >>> y = np.linspace(-7.0, 7.0, 80)
    >>> v = TensorTrainVelocity(
    ...     TensorTrain.from_grid(np.exp(-0.5 * np.add.outer(y**2, 4.0 * y**2)), [-7, -7], [7, 7]))
    >>> v(1.0, jnp.array([1.0, 1.0])).round(3).tolist()
    [-0.0, -3.0]

    MATH_3 (3.3), (3.7).
    """

    cores: tuple[Float[Array, "_ _ _"], ...]
    centres: tuple[Float[Array, "_"], ...]
    variances: Float[Array, "_"]
    smooth: ClassVar[bool] = True

    def __init__(self, source: TensorTrain):
        self.cores, self.centres = source.cores, source.centres
        self.variances = jnp.square(source.widths)

    @property
    def dimension(self) -> int:
        return len(self.cores)

    def at(self, time: Scalar, x: Point) -> Point:
        spread = 1.0 + time**2 * (self.variances - 1.0)
        plain, tilted = [], []
        for axis, (core, y) in enumerate(zip(self.cores, self.centres, strict=True)):
            powers = -0.5 * jnp.square(x[axis] - time * y) / spread[axis]
            # A factor that cancels: far out all kernels would underflow.
            kernel = jnp.exp(powers - lax.stop_gradient(jnp.max(powers)))
            plain.append(jnp.einsum("j,ajb->ab", kernel, core))
            tilted.append(jnp.einsum("j,ajb->ab", kernel * y, core))
        ahead = [jnp.ones(1, x.dtype)]
        for matrix in plain[:0:-1]:
            ahead.append(matrix @ ahead[-1])
        ahead.reverse()
        state, means = jnp.ones(1, x.dtype), []
        for one, other, rest in zip(plain, tilted, ahead, strict=True):
            means.append(state @ other @ rest)
            state = state @ one
        mean = jnp.stack(means) / state[0]
        return (time * (self.variances - 1.0) * x + mean) / spread


def train_encoder(
    source: TensorTrain, *, tolerance: float = 1e-9, stages: Sequence[float] = (0.9,)
) -> Composition:
    """The probability-flow encoder of a density in tensor-train format, ρ to N(0, I).

    One ``FlowMap`` from each signal level to the next, each with the law that has been reached
    (``TensorTrain.diffused``): the flow from there on is the flow of that law, and its ranks and
    lattices are smaller. ``.inverse()`` is the decoder. Not for points where ρ is below the
    tolerance of its train.

    Args:
        source: ρ.
        tolerance: of each ``FlowMap``.
        stages: decreasing signal levels a = e^{-t} between 1 and 0 at which the law is renewed;
            none for a train of low ranks.

    Raises:
        ValueError: stages that do not decrease from below 1 to above 0.

    >>> import numpy as np
    >>> y = np.linspace(-7.0, 7.0, 80)
    >>> law = TensorTrain.from_grid(np.exp(-0.5 * np.add.outer(y**2, 4.0 * y**2)), [-7, -7], [7, 7])
    >>> train_encoder(law)(jnp.array([1.0, 1.0])).round(3).tolist()
    [1.0, 2.0]

    KRCO22 (9); MATH_3 (3.3), (3.7).
    """
    levels = [1.0, *(float(level) for level in stages), 0.0]
    if not all(before > after for before, after in pairwise(levels)):
        raise ValueError(f"stages: got {list(stages)}; wants decreasing numbers below 1 and above "
                         "0.")
    maps = []
    law = source
    for now, then in pairwise(levels):
        maps.append(FlowMap(TensorTrainVelocity(law), 1.0, then / now, tolerance=tolerance))
        if then > 0.0:
            law = law.diffused(then / now)
    return Composition(tuple(maps))
