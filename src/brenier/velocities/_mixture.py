"""The probability flow of Gaussians and their mixtures."""

from typing import ClassVar

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Point, Scalar
from brenier.measures import Gaussian, GaussianMixture
from brenier.velocities._diffusion import AbstractDiffusionVelocity


class MixtureVelocity(AbstractDiffusionVelocity):
    """dx/da of the diffusion of Σ_i w_i N(m_i, Σ_i), smooth at both ends.

    dx/da = Σ_i r_i(x, a) C_i⁻¹ (a (Σ_i − I) x + m_i), C_i = I + a² (Σ_i − I), with r_i the
    responsibilities at signal level a (MATH_3 (3.12)). The covariances are diagonalised once.

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
    smooth: ClassVar[bool] = True

    def __init__(self, source: Gaussian | GaussianMixture):
        if isinstance(source, Gaussian):
            means, factors = source.mean[None], source.factor[None]
            self.log_weights = jnp.zeros(1, source.mean.dtype)
        else:
            means, factors, self.log_weights = source.means, source.factors, source.log_weights
        # Σ = U S² Uᵀ from the factor's singular values: accurate where Σ is nearly singular.
        self.axes, scales, _ = jnp.linalg.svd(factors)
        self.variances = jnp.square(scales)
        self.centres = jnp.einsum("kij,ki->kj", self.axes, means)

    @property
    def dimension(self) -> int:
        return self.centres.shape[-1]

    def at(self, time: Scalar, x: Point) -> Point:
        spread = 1.0 + time**2 * (self.variances - 1.0)
        own = jnp.einsum("kij,i->kj", self.axes, x)
        off = own - time * self.centres
        log_parts = self.log_weights - 0.5 * jnp.sum(jnp.log(spread) + off**2 / spread, axis=1)
        drifts = (time * (self.variances - 1.0) * own + self.centres) / spread
        return jnp.einsum("k,kij,kj->i", jax.nn.softmax(log_parts), self.axes, drifts)
