"""Maxima of affine functions, hard and smoothed by log-sum-exp."""

import jax
import jax.numpy as jnp

from brenier._checks import check_key
from brenier._types import Array, Float, Key, Point, Scalar
from brenier.potentials._base import AbstractPotential


def _identity_pieces(
    key: Key, dimension: int, pieces: int, scale: float, strong_convexity: float
) -> tuple[Float[Array, "k d"], Float[Array, " k"], Scalar]:
    """Tangents of ((1 − m)/2)‖x‖² at Gaussian anchors, and log m: a potential of about ½‖x‖²."""
    check_key("key", key)
    if not 0 < strong_convexity < 1:
        raise ValueError(f"strong_convexity: got {strong_convexity}; wants a number in (0, 1).")
    anchors = scale * jax.random.normal(key, (pieces, dimension))
    share = 1.0 - strong_convexity
    offsets = -0.5 * share * jnp.sum(anchors**2, axis=1)
    return share * anchors, offsets, jnp.log(jnp.asarray(strong_convexity, dtype=anchors.dtype))


class MaxAffine(AbstractPotential):
    """φ(x) = max_k (⟨a_k, x − o⟩ + b_k) + (m/2)‖x‖², m = e^{log_modulus}.

    The exact form of the potential of a transport onto finitely many points. Not for learning by
    gradients, which jump between the pieces: take ``LogSumExp``.

    Args:
        slopes: a, (k, d).
        offsets: b, (k,).
        log_modulus: log m.
        origin: o, (d,), in the midst of the points: far from 0 the pieces cannot be told apart
            there. 0 where None.

    >>> import jax.numpy as jnp
    >>> phi = MaxAffine(jnp.array([[1.0], [-1.0]]), jnp.zeros(2), jnp.array(-jnp.inf))
    >>> float(phi(jnp.array([-3.0])))
    3.0
    """

    slopes: Float[Array, "k d"]
    offsets: Float[Array, " k"]
    log_modulus: Scalar
    origin: Point | None = None

    @classmethod
    def identity(
        cls,
        key: Key,
        dimension: int,
        pieces: int,
        *,
        scale: float = 1.0,
        strong_convexity: float = 0.1,
    ) -> "MaxAffine":
        """Tangents of ((1 − m)/2)‖x‖² at points of N(0, scale² I): the identity map, quantised."""
        return cls(*_identity_pieces(key, dimension, pieces, scale, strong_convexity))

    @property
    def dimension(self) -> int:
        return self.slopes.shape[-1]

    def value(self, x: Point) -> Scalar:
        off = x if self.origin is None else x - self.origin
        bowl = 0.5 * jnp.exp(self.log_modulus) * (x @ x)
        return jnp.max(self.heights(x)) + off @ self.slopes[0] + bowl

    def heights(self, x: Point) -> Float[Array, " k"]:
        """⟨a_k − a_0, x − o⟩ + b_k at one point (d,): what decides which piece is the largest."""
        off = x if self.origin is None else x - self.origin
        return (self.slopes - self.slopes[0]) @ off + self.offsets

    def strong_convexity(self) -> Scalar:
        return jnp.exp(self.log_modulus)


class LogSumExp(AbstractPotential):
    """φ(x) = ε log Σ_k exp((⟨a_k, x⟩ + b_k)/ε) + (m/2)‖x‖²; ε, m > 0 are stored as logarithms.

    The smooth universal approximator of convex functions (DLV26, section 3.2) whose gradient
    m x + Σ_k softmax_k a_k is an entropic transport map onto the slopes. Accurate with few
    parameters in low dimension; not for d > 20, where an ``ICNN`` needs fewer.

    >>> import jax
    >>> phi = LogSumExp.identity(jax.random.key(0), dimension=2, pieces=30)
    >>> phi.gradient(jax.numpy.zeros((5, 2))).shape
    (5, 2)
    """

    slopes: Float[Array, "k d"]
    offsets: Float[Array, " k"]
    log_temperature: Scalar
    log_modulus: Scalar

    @classmethod
    def identity(
        cls,
        key: Key,
        dimension: int,
        pieces: int,
        *,
        scale: float = 1.0,
        temperature: float = 0.5,
        strong_convexity: float = 0.1,
    ) -> "LogSumExp":
        """Smoothed tangents of ((1 − m)/2)‖x‖² at points of N(0, scale² I): about the identity."""
        slopes, offsets, log_modulus = _identity_pieces(
            key, dimension, pieces, scale, strong_convexity
        )
        log_temperature = jnp.log(jnp.asarray(temperature, dtype=slopes.dtype))
        return cls(slopes, offsets, log_temperature, log_modulus)

    @property
    def dimension(self) -> int:
        return self.slopes.shape[-1]

    def value(self, x: Point) -> Scalar:
        temperature = jnp.exp(self.log_temperature)
        affine = x @ self.slopes.T + self.offsets
        soft = temperature * jax.nn.logsumexp(affine / temperature)
        return soft + 0.5 * jnp.exp(self.log_modulus) * (x @ x)

    def strong_convexity(self) -> Scalar:
        return jnp.exp(self.log_modulus)


class SoftMaximum(AbstractPotential):
    """φ(x) = g log Σ_k exp(⟨a_k, x⟩ + b_k), g = e^{log_gain}: a ``LogSumExp`` scaled by its ε.

    With g = ε it is ``LogSumExp`` of slopes g a_k and offsets g b_k, without the quadratic.
    First-order methods learn a_k and b_k faster: their size does not depend on the temperature. Not
    by itself, since it is not strongly convex and its gradient no bijection: it is a term of an
    ``ICNN``.

    >>> import jax.numpy as jnp
    >>> phi = SoftMaximum(jnp.array([[1.0], [-1.0]]), jnp.zeros(2), jnp.array(0.0))
    >>> bool(jnp.isclose(phi(jnp.array([0.0])), jnp.log(2.0)))
    True
    """

    slopes: Float[Array, "k d"]
    offsets: Float[Array, " k"]
    log_gain: Scalar

    @classmethod
    def random(
        cls,
        key: Key,
        dimension: int,
        pieces: int,
        *,
        share: float,
        scale: float = 1.0,
        sharpness: float = 1.0,
    ) -> "SoftMaximum":
        """Gaussian pieces whose mean Hessian is at most ``share``·I on points of size ``scale``.

        The gradient changes from piece to piece over a range of about ``scale``/``sharpness``.
        """
        slope_key, offset_key = jax.random.split(check_key("key", key))
        width = sharpness / (scale * dimension**0.5)
        slopes = width * jax.random.normal(slope_key, (pieces, dimension))
        offsets = 0.5 * sharpness * jax.random.normal(offset_key, (pieces,))
        return cls(slopes, offsets, jnp.log(jnp.asarray(share / width**2, slopes.dtype)))

    @property
    def dimension(self) -> int:
        return self.slopes.shape[-1]

    def value(self, x: Point) -> Scalar:
        return jnp.exp(self.log_gain) * jax.nn.logsumexp(x @ self.slopes.T + self.offsets)

    def strong_convexity(self) -> Scalar:
        return jnp.zeros((), self.offsets.dtype)
