"""The probability flow of a density in tensor-train format, exact in time."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import equinox as eqx
import jax
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

    Not far out in the tails, where the density is below the tolerance of its tensor train: there
    the velocity is noise. ``tensor_train_encoder`` encodes points faster.

    Args:
        source: the law at a = 1.

    >>> import numpy as np
    >>> y = np.linspace(-7.0, 7.0, 80)
    >>> v = TensorTrainVelocity(
    ...     TensorTrain.from_grid(np.exp(-0.5 * np.add.outer(y**2, 4.0 * y**2)), [-7, -7], [7, 7]))
    >>> v(1.0, jnp.array([1.0, 1.0])).round(3).tolist()
    [-0.0, -3.0]

    Theory (3.3), (3.7).
    """

    cores: tuple[Float[Array, "_ _ _"], ...]
    centres: tuple[Float[Array, " _"], ...]
    variances: Float[Array, " _"]
    smooth: ClassVar[bool] = True

    def __init__(self, source: TensorTrain):
        self.cores, self.centres = source.cores, source.centres
        self.variances = jnp.square(source.widths)

    @property
    def dimension(self) -> int:
        return len(self.cores)

    def at(self, time: Scalar, x: Point) -> Point:
        spread = 1.0 + time**2 * (self.variances - 1.0)
        return (time * (self.variances - 1.0) * x + _mean(self, time, x)) / spread


def _kernels(flow: TensorTrainVelocity, time: Scalar, x: Point) -> list[Float[Array, " _"]]:
    """K_k(j) of each axis, up to a factor that does not depend on j and cancels."""
    spread = 1.0 + time**2 * (flow.variances - 1.0)
    powers = [
        -0.5 * jnp.square(x[axis] - time * y) / spread[axis] for axis, y in enumerate(flow.centres)
    ]
    # Far out all kernels would underflow.
    return [jnp.exp(power - lax.stop_gradient(jnp.max(power))) for power in powers]


def _plain_mean(flow: TensorTrainVelocity, time: Scalar, x: Point) -> Point:
    """m of the posterior of the lattice given x."""
    kernels = _kernels(flow, time, x)
    return _means(_matrices(flow, kernels, 0), _matrices(flow, kernels, 1))[0]


def _matrices(
    flow: TensorTrainVelocity, kernels: list[Float[Array, " _"]], power: int
) -> list[Float[Array, "_ _"]]:
    """Σ_j K_k(j) y_j^power G_k[:, j, :] of each axis."""
    return [
        jnp.einsum("j,ajb->ab", kernel * y**power, core)
        for kernel, y, core in zip(kernels, flow.centres, flow.cores, strict=True)
    ]


def _means(
    plain: list[Float[Array, "_ _"]], tilted: list[Float[Array, "_ _"]]
) -> tuple[Point, list[Float[Array, " _"]], list[Float[Array, " _"]]]:
    """E[y_k] of each axis; the products of the matrices before each axis, and of those after."""
    before, after = [jnp.ones(1, plain[0].dtype)], [jnp.ones(1, plain[0].dtype)]
    for matrix in plain:
        before.append(before[-1] @ matrix)
    for matrix in plain[:0:-1]:
        after.append(matrix @ after[-1])
    after.reverse()
    parts = zip(before[:-1], tilted, after, strict=True)
    total = jnp.stack([left @ matrix @ right for left, matrix, right in parts])
    return total / before[-1][0], before, after


@eqx.filter_custom_jvp
def _mean(flow: TensorTrainVelocity, time: Scalar, x: Point) -> Point:
    return _plain_mean(flow, time, x)


@_mean.def_jvp
def _(primals, tangents):
    flow, time, x = primals
    flow_dot, time_dot, x_dot = tangents
    if time_dot is not None or any(leaf is not None for leaf in jax.tree.leaves(flow_dot)):
        return eqx.filter_jvp(_plain_mean, primals, tangents)
    # ∂m_k/∂x_l = (a / spread_l) Cov(y_k, y_l): one contraction more gives all of them.
    kernels = _kernels(flow, time, x)
    plain, tilted, squared = (_matrices(flow, kernels, power) for power in range(3))
    mean, before, after = _means(plain, tilted)
    d, mass = len(plain), before[-1][0]
    second = [[jnp.zeros((), x.dtype)] * d for _ in range(d)]
    for k in range(d):
        second[k][k] = before[k] @ squared[k] @ after[k] / mass
        state = before[k] @ tilted[k]
        for m in range(k + 1, d):
            second[k][m] = second[m][k] = state @ tilted[m] @ after[m] / mass
            state = state @ plain[m]
    covariance = jnp.asarray(second) - jnp.outer(mean, mean)
    spread = 1.0 + time**2 * (flow.variances - 1.0)
    return mean, covariance @ (time / spread * x_dot)


def tensor_train_encoder(
    source: TensorTrain,
    *,
    tolerance: float = 1e-9,
    stages: Sequence[float] = (0.9,),
    padding: tuple[int, int] = (1, 1),
) -> Composition:
    """The probability-flow encoder of a density in tensor-train format, ρ to N(0, I).

    One ``FlowMap`` from each signal level to the next, each with the law that has been reached
    (``TensorTrain.diffused``): the flow from there on is the flow of that law, and its ranks and
    lattices are smaller. ``.inverse()`` is the decoder. Not for points where ρ is below the
    tolerance of its tensor train.

    Args:
        source: ρ.
        tolerance: of each ``FlowMap``.
        stages: decreasing signal levels a = e^{-t} between 1 and 0 at which the law is taken
            afresh; none for a tensor train of low ranks.
        padding: multiples to which ranks and lattices are filled up (``TensorTrain.padded``).

    Raises:
        ValueError: stages that do not decrease from below 1 to above 0.

    >>> import numpy as np
    >>> y = np.linspace(-7.0, 7.0, 80)
    >>> law = TensorTrain.from_grid(np.exp(-0.5 * np.add.outer(y**2, 4.0 * y**2)), [-7, -7], [7, 7])
    >>> tensor_train_encoder(law)(jnp.array([1.0, 1.0])).round(3).tolist()
    [1.0, 2.0]

    KRCO22 (9); Theory (3.3), (3.7).
    """
    levels = [1.0, *(float(level) for level in stages), 0.0]
    if not all(before > after for before, after in pairwise(levels)):
        raise ValueError(
            f"stages: got {list(stages)}; wants decreasing numbers below 1 and above 0."
        )
    maps = []
    law = source
    for now, then in pairwise(levels):
        velocity = TensorTrainVelocity(law.padded(*padding))
        maps.append(FlowMap(velocity, 1.0, then / now, tolerance=tolerance))
        if then > 0.0:
            law = law.diffused(then / now)
    return Composition(tuple(maps))
