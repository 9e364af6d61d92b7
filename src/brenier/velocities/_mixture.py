"""The probability flow of Gaussians and their mixtures."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Point, Scalar
from brenier.measures import Gaussian, GaussianMixture
from brenier.velocities._diffusion import AbstractDiffusionVelocity, Unit


class MixtureVelocity(AbstractDiffusionVelocity):
    """dx/da of the diffusion of Σ_i w_i N(m_i, Σ_i), smooth at both ends.

    dx/da = Σ_i r_i(x, a) C_i⁻¹ (a (Σ_i − I) x + m_i), C_i = I + a² (Σ_i − I), with r_i the
    responsibilities at signal level a (Theory (3.12)). The covariances are diagonalised once.

    Args:
        source: the mixture, or one Gaussian.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> v = MixtureVelocity(Gaussian(jnp.zeros(1), 4.0 * jnp.eye(1)))
    >>> v(1.0, jnp.array([2.0])).tolist()
    [1.5]
    """

    log_weights: Float[Array, " k"]
    centres: Float[Array, "k d"]
    axes: Float[Array, "k d d"]
    variances: Float[Array, "k d"]
    centre: Point | None = None
    width: Scalar | None = None
    smooth: ClassVar[bool] = True

    def __init__(self, source: Gaussian | GaussianMixture):
        if isinstance(source, Gaussian):
            means, factors = source.mean[None], source.factor[None]
            self.log_weights = jnp.zeros(1, source.mean.dtype)
        else:
            means, factors, self.log_weights = source.means, source.factors, source.log_weights
        self.centre, self.width = _place(jnp.exp(self.log_weights), means, factors)
        means, factors = (means - self.centre) / self.width, factors / self.width
        # Σ = U S² Uᵀ from the factor's singular values: accurate where Σ is nearly singular.
        self.axes, scales, _ = jnp.linalg.svd(factors)
        self.variances = jnp.square(scales)
        self.centres = jnp.einsum("kij,ki->kj", self.axes, means)

    @property
    def dimension(self) -> int:
        return self.centres.shape[-1]

    @property
    def unit(self) -> Unit:
        if self.centre is None or self.width is None:  # a file of an older brenier
            return Unit(jnp.zeros(()), jnp.ones(()), self)
        own = eqx.tree_at(
            lambda v: (v.centre, v.width), self, (None, None), is_leaf=lambda leaf: leaf is None
        )
        return Unit(self.centre, self.width, own)

    def at(self, time: Scalar, x: Point) -> Point:
        if self.centre is not None:
            return self.standard.at(time, x)
        spread = 1.0 + time**2 * (self.variances - 1.0)
        own = jnp.einsum("kij,i->kj", self.axes, x)
        off = own - time * self.centres
        log_parts = self.log_weights - 0.5 * jnp.sum(jnp.log(spread) + off**2 / spread, axis=1)
        drifts = (time * (self.variances - 1.0) * own + self.centres) / spread
        return jnp.einsum("k,kij,kj->i", jax.nn.softmax(log_parts), self.axes, drifts)


def _place(
    weights: Float[Array, " k"], means: Float[Array, "k d"], factors: Float[Array, "k d d"]
) -> tuple[Point, Scalar]:
    """The mean of the mixture, and the root of its mean variance."""
    # From one of the means: far from 0 the sum of weights would show.
    shares = weights[:, None] / jnp.sum(weights)
    near = means - means[0]
    middle = jnp.sum(shares * near, axis=0)
    between = jnp.sum(shares * (near - middle) ** 2)
    within = jnp.sum(shares[:, 0] * jnp.sum(factors**2, axis=(1, 2)))
    size = jnp.sqrt((between + within) / means.shape[1])
    return means[0] + middle, jnp.where(size > 0.0, size, 1.0)
