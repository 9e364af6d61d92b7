"""Value, gradient and Hessian of a potential at a point, by a closed form where there is one."""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Float, Matrix, Point, Points, Scalar
from brenier.numerics import Conjugate, conjugate, conjugate_work, over_devices, spd_solve
from brenier.potentials._base import AbstractPotential
from brenier.potentials._icnn import ACTIVATIONS, ICNN
from brenier.potentials._max_affine import LogSumExp, MaxAffine, SoftMaximum
from brenier.potentials._mixture import Mixture
from brenier.potentials._preconditioned import Preconditioned
from brenier.potentials._quadratic import Quadratic
from brenier.potentials._separable import Separable


class Expansion(NamedTuple):
    """φ(x), ∇φ(x) and D²φ(x).

    >>> found = expansion(Quadratic.identity(1), jnp.array([3.0]))
    >>> float(found.value), found.gradient.tolist(), found.hessian.tolist()
    (4.5, [3.0], [[1.0]])
    """

    value: Scalar
    gradient: Point
    hessian: Matrix


@functools.singledispatch
def expansion(potential: AbstractPotential, x: Point) -> Expansion:
    """φ(x), ∇φ(x) and D²φ(x) at one point (d,): by a closed form where there is one, else by JAX.

    >>> phi = ICNN.identity(jax.random.key(0), 2, (8, 4))
    >>> bool(jnp.allclose(expansion(phi, jnp.ones(2)).hessian, phi.hessian(jnp.ones(2))))
    True
    """
    value, gradient = jax.value_and_grad(potential.value)(x)
    return Expansion(value, gradient, jax.hessian(potential.value)(x))


@functools.singledispatch
def point_gradient(potential: AbstractPotential, x: Point) -> Point:
    """∇φ(x) at one point (d,): by JAX, but in coordinates where φ is in some.

    There not through the value, whose s² underflows in small units.

    >>> unit = jnp.array(1e-200)
    >>> tiny = Preconditioned(Quadratic.identity(1), jnp.eye(1), *jnp.zeros((2, 1)), unit)
    >>> float(point_gradient(tiny, jnp.array([1e-200]))[0])
    1e-200
    """
    return jax.grad(potential.value)(x)


@point_gradient.register
def _(phi: Preconditioned, x: Point) -> Point:
    return phi.coordinates.decode_target(point_gradient(phi.potential, phi.encode_source(x)))


@point_gradient.register
def _(phi: MaxAffine, x: Point) -> Point:
    """The slope of the largest piece, to the last bit; the mean of those that are equally large."""
    heights = phi.heights(x)
    first = jnp.argmax(heights)
    # A compiler may compute heights twice, in other roundings: the first is the largest always.
    equal = (heights == heights[first]) | (jnp.arange(heights.size) == first)
    largest = equal.astype(heights.dtype)
    return largest @ phi.slopes / jnp.sum(largest) + jnp.exp(phi.log_modulus) * x


@over_devices(conjugate_work, factorises=True)
@eqx.filter_jit
def conjugate_points(
    potential: AbstractPotential,
    y: Points,
    init: Points | None = None,
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 1000,
) -> Conjugate:
    """φ*(y) and ∇φ*(y) at points (n, d): ``numerics.conjugate`` with D²φ from ``expansion``.

    Not for a φ with kinks (``MaxAffine``). Look at ``residual`` of the result.

    Args:
        potential: φ.
        y: where (n, d).
        init: starting points (n, d). Where None, the best of a few guesses for each y.
        tolerance, max_iterations: as for ``numerics.conjugate``; of a ``Preconditioned`` potential
            in its coordinates, whatever the units of y and their place.

    >>> phi = ICNN.identity(jax.random.key(0), 2, (8, 4))
    >>> float(conjugate_points(phi, jnp.ones((1, 2))).residual[0]) < 1e-9
    True
    """
    if isinstance(potential, Preconditioned):
        return _in_coordinates(potential, y, init, tolerance, max_iterations)
    if init is None:
        init = jax.vmap(_best_guess, in_axes=(None, 0))(potential, y)
    return conjugate(
        potential.value,
        y,
        init,
        hessian=eqx.Partial(_hessian, potential),
        tolerance=tolerance,
        max_iterations=max_iterations,
    )


def _in_coordinates(
    phi: Preconditioned, y: Points, init: Points | None, tolerance: float, max_iterations: int
) -> Conjugate:
    """φ*(y) = s² ψ*(v) + ⟨a, y − b⟩ at x = a + s M⁻¹u, where u is the maximiser of ψ*(v)."""
    back = phi.coordinates.reversed()
    v = back.encode_source(y)
    found = conjugate_points(
        phi.potential,
        v,
        None if init is None else phi.encode_source(init),
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    x = back.decode_target(found.point)
    off = v - jax.vmap(point_gradient, in_axes=(None, 0))(phi.potential, phi.encode_source(x))
    apart = phi.scale * jnp.linalg.norm(off @ phi.matrix, axis=1)
    return Conjugate(
        x,
        phi.scale**2 * found.value + (y - phi.target_shift) @ phi.source_shift,
        # Where ψ is not finite, no residual of another point says so.
        jnp.where(jnp.isfinite(found.residual), apart, jnp.inf),
        found.iterations,
    )


def _hessian(potential: AbstractPotential, x: Point) -> Matrix:
    return expansion(potential, x).hessian


def _best_guess(potential: AbstractPotential, y: Point) -> Point:
    guesses = _guesses(potential, y)
    heights = guesses @ y - jax.vmap(potential.value)(guesses)
    return guesses[jnp.argmax(jnp.where(jnp.isnan(heights), -jnp.inf, heights))]


@functools.singledispatch
def _guesses(potential: AbstractPotential, y: Point) -> Points:
    """Points (k, d) near the maximiser of ⟨·, y⟩ − φ."""
    modulus = potential.strong_convexity()
    # φ ≈ ½‖x‖² for a map near the identity; φ ≈ (m/2)‖x‖² far out, where the rest is affine.
    return jnp.stack([y, y / jnp.where(modulus > 0, modulus, 1.0), jnp.zeros_like(y)])


@_guesses.register
def _(phi: Preconditioned, y: Point) -> Points:
    """Those of ψ in its coordinates, taken back to x; and y itself, in case M has no inverse."""
    square = phi.matrix.T @ phi.matrix
    inner = phi.matrix @ spd_solve(square, y - phi.target_shift) / phi.scale
    outer = phi.scale * _guesses(phi.potential, inner) @ phi.matrix
    x = phi.source_shift + jax.vmap(spd_solve, in_axes=(None, 0))(square, outer)
    return jnp.concatenate([x, y[None]])


@_guesses.register
def _(phi: Separable, y: Point) -> Points:
    return phi.conjugate_point(y)[None]


@_guesses.register
def _(phi: Mixture, y: Point) -> Points:
    """Those of every part, in case one of them is most of φ."""
    return jnp.concatenate([_guesses(part, y) for part in phi.potentials])


@expansion.register
def _(phi: Mixture, x: Point) -> Expansion:
    parts = [expansion(part, x) for part in phi.potentials]
    return Expansion(
        *(jnp.tensordot(phi.weights, jnp.stack(same), axes=1) for same in zip(*parts, strict=True))
    )


@expansion.register
def _(phi: Quadratic, x: Point) -> Expansion:
    matrix = phi.matrix
    return Expansion(phi.value(x), matrix @ x + phi.shift, matrix)


@expansion.register
def _(phi: LogSumExp, x: Point) -> Expansion:
    """The Hessian is the covariance of the slopes under the softmax over ε, and m beside it."""
    epsilon, modulus = jnp.exp(phi.log_temperature), jnp.exp(phi.log_modulus)
    scores = (x @ phi.slopes.T + phi.offsets) / epsilon
    mean, covariance = _moments(phi.slopes, jax.nn.softmax(scores))
    return Expansion(
        epsilon * jax.nn.logsumexp(scores) + 0.5 * modulus * (x @ x),
        mean + modulus * x,
        covariance / epsilon + modulus * jnp.eye(len(x), dtype=x.dtype),
    )


@expansion.register
def _(phi: Preconditioned, x: Point) -> Expansion:
    inner = expansion(phi.potential, phi.encode_source(x))
    return Expansion(
        phi.scale**2 * inner.value + phi.target_shift @ x,
        phi.coordinates.decode_target(inner.gradient),
        phi.matrix.T @ inner.hessian @ phi.matrix,
    )


@expansion.register
def _(phi: SoftMaximum, x: Point) -> Expansion:
    """The Hessian is g times the covariance of the slopes under the softmax."""
    heights, gain = x @ phi.slopes.T + phi.offsets, jnp.exp(phi.log_gain)
    mean, covariance = _moments(phi.slopes, jax.nn.softmax(heights))
    return Expansion(gain * jax.nn.logsumexp(heights), gain * mean, gain * covariance)


def _moments(slopes: Float[Array, "k d"], chances: Float[Array, " k"]) -> tuple[Point, Matrix]:
    """The mean and the covariance of the slopes."""
    mean = chances @ slopes
    squares = jnp.einsum("ki,kj->kij", slopes, slopes)
    return mean, jnp.tensordot(chances, squares, axes=1) - jnp.outer(mean, mean)


@expansion.register
def _(phi: ICNN, x: Point) -> Expansion:
    """By the chain rule through the layers: the Hessian in less than half the time of JAX.

    That of the layers is Σ_k J_kᵀ diag(λ_k σ''(t_k)) J_k with J_k = ∂t_k/∂x carried forwards
    and λ_k = ∂φ/∂z_k backwards; and A_kᵀ diag(λ_k σ'(t_k)) A_k where they are quadratic.
    """
    weights = [jax.nn.softplus(raw) for raw in phi.hidden]
    heights, skips = phi.layers(x), phi.slopes(x)
    # J_kᵀ, whose products over many points are products of matrices.
    columns = skips[0].T
    z, slope, bend = _bent(phi, heights[0])
    layers = [(columns, slope, bend)]
    for weight, height, skip in zip(weights, heights[1:], skips[1:], strict=True):
        columns = (columns * slope) @ weight.T + skip.T
        z, slope, bend = _bent(phi, z @ weight.T + height)
        layers.append((columns, slope, bend))
    output, skip = jax.nn.softplus(phi.output), x @ phi.factor.T
    modulus = phi.strong_convexity()
    value = output @ z + phi.linear @ x + 0.5 * (skip @ skip) + 0.5 * modulus * (x @ x)
    gradient = skip @ phi.factor + modulus * x + phi.linear
    hessian = phi.factor.T @ phi.factor + modulus * jnp.eye(len(x), dtype=x.dtype)
    adjoint = output
    for k, (columns, slope, bend) in reversed(list(enumerate(layers))):
        curvature, weight = adjoint * bend, adjoint * slope
        gradient = gradient + weight @ skips[k]
        if phi.quadratic:
            hessian = hessian + phi.quadratic[k].T @ (weight[:, None] * phi.quadratic[k])
        if k == 0 and not phi.quadratic:  # a constant Jacobian: its squares are formed once
            squares = jnp.einsum("ih,jh->hij", columns, columns)
            hessian = hessian + jnp.tensordot(curvature, squares, axes=1)
        else:
            hessian = hessian + (columns * curvature) @ columns.T
        if k > 0:
            adjoint = weight @ weights[k - 1]
    if phi.maximum is None:
        return Expansion(value, gradient, hessian)
    layers_and_maximum = zip((value, gradient, hessian), expansion(phi.maximum, x), strict=True)
    return Expansion(*(own + added for own, added in layers_and_maximum))


def _bent(phi: ICNN, t: Float[Array, " h"]) -> tuple[Array, Array, Array]:
    """σ, σ' and σ'' at t."""
    sigma, ones = ACTIVATIONS[phi.activation], jnp.ones_like(t)

    def slope(t: Array) -> Array:
        return jax.jvp(sigma, (t,), (ones,))[1]

    return sigma(t), *jax.jvp(slope, (t,), (ones,))
