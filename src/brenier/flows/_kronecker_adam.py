"""Adam in the eigenbases of Shampoo's Kronecker factors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from brenier._types import Array, Int

# Sides longer than this are not rotated: their factors would cost more than they give.
_LONGEST_SIDE = 1024
# Of the mean square: directions that the gradient never takes hold rounding, not a scale.
_FLOOR = 1e-8


class _Side(NamedTuple):
    """E GGᵀ, or E GᵀG, of a matrix, and an orthogonal basis in which it is nearly diagonal."""

    factor: Array
    basis: Array


class _Moments(NamedTuple):
    """Running means of the gradient, of its square in the bases, and the sides that are rotated."""

    mean: Array
    square: Array
    left: _Side | None
    right: _Side | None


class KroneckerAdamState(NamedTuple):
    """How many steps were taken, and the moments of each array of parameters."""

    taken: Int[Array, ""]
    moments: tuple[_Moments, ...]


def kronecker_adam(
    learning_rate: optax.Schedule, *, decay: float = 0.95, every: int = 10
) -> optax.GradientTransformation:
    """Adam on QᵀGP in the place of G, Q and P the eigenvectors of running means of GGᵀ and GᵀG.

    The diagonal second moment of Adam is a poor metric on the weights of a layer, whose columns act
    together; in these bases it is close to the full one. Vectors take plain Adam. Vyas et al.
    (2024), algorithm 3 (SOAP). For networks whose layers are small beside their batch: each step
    multiplies by the bases four times, and each ``every``-th takes a QR factorisation a side.

    Args:
        learning_rate: of the steps, by their number.
        decay: of all running means.
        every: steps between two refreshments of the bases, each one step of orthogonal iteration.

    >>> optimiser = kronecker_adam(lambda count: 0.1)
    >>> weights = {"w": jnp.diag(jnp.array([3.0, 1.0]))}
    >>> updates, _ = optimiser.update(weights, optimiser.init(weights))
    >>> jnp.abs(updates["w"]).round(3).tolist()
    [[0.1, 0.0], [0.0, 0.1]]
    """

    def init(parameters: optax.Params) -> KroneckerAdamState:
        moments = tuple(_empty(leaf) for leaf in jax.tree.leaves(parameters))
        return KroneckerAdamState(jnp.asarray(0), moments)

    def update(
        gradient: optax.Updates, state: KroneckerAdamState, parameters: optax.Params | None = None
    ) -> tuple[optax.Updates, KroneckerAdamState]:
        leaves, structure = jax.tree.flatten(gradient)
        taken = state.taken + 1
        steps, moments = [], []
        for leaf, before in zip(leaves, state.moments, strict=True):
            step, after = _advanced(leaf, before, state.taken, decay, every)
            # The number of steps may be of a strong type, whose quotients are float64.
            steps.append(-jnp.asarray(learning_rate(state.taken), step.dtype) * step)
            moments.append(after)
        return jax.tree.unflatten(structure, steps), KroneckerAdamState(taken, tuple(moments))

    return optax.GradientTransformation(init, update)


def _empty(leaf: Array) -> _Moments:
    sides: list[_Side | None] = [None, None]
    if leaf.ndim == 2:
        for axis, length in enumerate(leaf.shape):
            # A side of one has no basis to choose.
            if 1 < length <= _LONGEST_SIDE:
                sides[axis] = _Side(
                    jnp.zeros((length, length), leaf.dtype), jnp.eye(length, dtype=leaf.dtype)
                )
    return _Moments(jnp.zeros_like(leaf), jnp.zeros_like(leaf), *sides)


def _advanced(
    gradient: Array, moments: _Moments, count: Int[Array, ""], decay: float, every: int
) -> tuple[Array, _Moments]:
    """The step at rate one, and the moments after it."""
    left = _refreshed(moments.left, gradient, count, decay, every)
    right = _refreshed(moments.right, gradient.T, count, decay, every)
    mean = decay * moments.mean + (1 - decay) * gradient
    turned = _rotated(gradient, left, right, back=False)
    square = decay * moments.square + (1 - decay) * turned * turned
    correction = (1 - decay ** (count + 1)).astype(gradient.dtype)
    scaled = _rotated(mean, left, right, back=False) / correction
    floor = _FLOOR * jnp.mean(square) + jnp.finfo(square.dtype).tiny
    step = scaled / jnp.sqrt((square + floor) / correction)
    return _rotated(step, left, right, back=True), _Moments(mean, square, left, right)


def _refreshed(
    side: _Side | None, gradient: Array, count: Int[Array, ""], decay: float, every: int
) -> _Side | None:
    if side is None:
        return None
    factor = decay * side.factor + (1 - decay) * gradient @ gradient.T

    def first() -> Array:
        # Largest first, the order that orthogonal iteration keeps.
        return jnp.linalg.eigh(factor)[1][:, ::-1]

    def later() -> Array:
        return jnp.linalg.qr(factor @ side.basis)[0]

    choice = jnp.where(count == 0, 0, jnp.where(count % every == 0, 1, 2))
    basis = jax.lax.switch(choice, [first, later, lambda: side.basis])
    return _Side(factor, basis)


def _rotated(matrix: Array, left: _Side | None, right: _Side | None, *, back: bool) -> Array:
    if left is not None:
        matrix = (left.basis if back else left.basis.T) @ matrix
    if right is not None:
        matrix = matrix @ (right.basis.T if back else right.basis)
    return matrix
