"""Value, gradient and Hessian of a potential at many points at once."""

import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Points
from brenier.potentials._base import AbstractPotential
from brenier.potentials._icnn import ACTIVATIONS, ICNN
from brenier.potentials._max_affine import SoftMaximum


def expand(
    potential: AbstractPotential, x: Points
) -> tuple[Float[Array, "n"], Float[Array, "n d"], Float[Array, "n d d"]]:
    """φ(x), ∇φ(x) and D²φ(x): by the chain rule through the layers of an ``ICNN``, else by jax.

    The Hessian of a network's layers is Σ_k J_kᵀ diag(λ_k σ''(t_k)) J_k with J_k = ∂t_k/∂x carried
    forwards and λ_k = ∂φ/∂z_k backwards: less than half the time of differentiating twice.

    >>> phi = ICNN.identity(jax.random.key(0), 2, (8, 4))
    >>> bool(jnp.allclose(expand(phi, jnp.ones((1, 2)))[2], phi.hessian(jnp.ones((1, 2)))))
    True
    """
    if isinstance(potential, ICNN):
        return _through_layers(potential, x)
    value, gradient = jax.vmap(jax.value_and_grad(potential.value))(x)
    return value, gradient, potential.hessian(x)


def _through_layers(
    phi: ICNN, x: Points
) -> tuple[Float[Array, "n"], Float[Array, "n d"], Float[Array, "n d d"]]:
    weights = [jax.nn.softplus(raw) for raw in phi.hidden]
    z, slope, bend = _bent(phi, x @ phi.inputs[0].T + phi.biases[0])
    # The first layer's Jacobian is the same everywhere.
    jacobian = phi.inputs[0][None]
    layers = [(jacobian, slope, bend)]
    for weight, skip, bias in zip(weights, phi.inputs[1:], phi.biases[1:], strict=True):
        jacobian = jnp.einsum("kh,nhd->nkd", weight, slope[..., None] * jacobian) + skip
        z, slope, bend = _bent(phi, z @ weight.T + x @ skip.T + bias)
        layers.append((jacobian, slope, bend))
    output = jax.nn.softplus(phi.output)
    skip, modulus = x @ phi.factor.T, phi.strong_convexity()
    value = z @ output + x @ phi.linear
    value = value + 0.5 * jnp.sum(skip * skip, axis=1) + 0.5 * modulus * jnp.sum(x * x, axis=1)
    gradient = skip @ phi.factor + modulus * x + phi.linear
    hessian = phi.factor.T @ phi.factor + modulus * jnp.eye(x.shape[1], dtype=x.dtype)
    adjoint = jnp.broadcast_to(output, z.shape)
    for k, (jacobian, slope, bend) in reversed(list(enumerate(layers))):
        curvature = adjoint * bend
        if k > 0:
            bent = jnp.einsum("nhi,nhj->nij", curvature[..., None] * jacobian, jacobian)
        else:
            squares = jnp.einsum("hi,hj->hij", phi.inputs[0], phi.inputs[0])
            bent = jnp.tensordot(curvature, squares, axes=1)
        hessian = hessian + bent
        gradient = gradient + (adjoint * slope) @ phi.inputs[k]
        if k > 0:
            adjoint = (adjoint * slope) @ weights[k - 1]
    if phi.maximum is None:
        return value, gradient, hessian
    added = _of_pieces(phi.maximum, x)
    return value + added[0], gradient + added[1], hessian + added[2]


def _of_pieces(
    phi: SoftMaximum, x: Points
) -> tuple[Float[Array, "n"], Float[Array, "n d"], Float[Array, "n d d"]]:
    """The Hessian is g times the covariance of the slopes under the softmax."""
    heights = x @ phi.slopes.T + phi.offsets
    gain, chances = jnp.exp(phi.log_gain), jax.nn.softmax(heights, axis=1)
    mean = chances @ phi.slopes
    squares = jnp.einsum("ki,kj->kij", phi.slopes, phi.slopes)
    second = jnp.tensordot(chances, squares, axes=1)
    covariance = second - mean[:, :, None] * mean[:, None, :]
    return gain * jax.nn.logsumexp(heights, axis=1), gain * mean, gain * covariance


def _bent(phi: ICNN, t: Float[Array, "n h"]) -> tuple[Array, Array, Array]:
    """σ, σ' and σ'' at t."""
    sigma, ones = ACTIVATIONS[phi.activation], jnp.ones_like(t)

    def slope(t: Array) -> Array:
        return jax.jvp(sigma, (t,), (ones,))[1]

    first, second = jax.jvp(slope, (t,), (ones,))
    return sigma(t), first, second
