"""Kronecker Adam: equal to Adam on vectors, and ahead of it where columns act together."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier.flows._kronecker_adam import _LONGEST_SIDE, kronecker_adam

_KEYS = jax.random.split(jax.random.key(0), 4)


def _run(optimiser, gradient, start, steps):
    @jax.jit
    def run():
        carry, _ = jax.lax.scan(body, (start, optimiser.init(start)), length=steps)
        return carry[0]

    def body(carry, _):
        weights, state = carry
        updates, state = optimiser.update(gradient(weights), state)
        return (optax.apply_updates(weights, updates), state), None

    return run()


def test_vectors_and_scalars_take_adam():
    start = {"b": jnp.array([1.0, -2.0, 3.0]), "m": jnp.array(0.5)}
    gradient = jax.grad(lambda p: jnp.sum(jnp.cosh(p["b"])) + p["m"] ** 4)
    ours = _run(kronecker_adam(lambda _: 0.05, decay=0.9), gradient, start, 30)
    adam = _run(optax.adam(0.05, b1=0.9, b2=0.9), gradient, start, 30)
    # The floor under the squares is 1e-8 of their mean.
    for own, known in zip(jax.tree.leaves(ours), jax.tree.leaves(adam), strict=True):
        np.testing.assert_allclose(own, known, rtol=1e-5)


def test_the_path_turns_with_the_coordinates():
    # Adam itself does not: its squares are taken along the axes.
    turn = jnp.linalg.qr(jax.random.normal(_KEYS[0], (4, 4)))[0]
    centre, start = jax.random.normal(_KEYS[1], (2, 4, 3))
    curvature = jnp.diag(jnp.array([1.0, 3.0, 10.0, 30.0]))

    def gradient(weights):
        return curvature @ (weights - centre)

    optimiser = kronecker_adam(lambda _: 0.02)
    plain = _run(optimiser, gradient, start, 25)
    turned = _run(optimiser, lambda w: turn @ gradient(turn.T @ w), turn @ start, 25)
    np.testing.assert_allclose(turn.T @ turned, plain, atol=1e-6)


def test_a_matrix_whose_columns_act_together_is_fitted_faster_than_by_adam():
    # Features of one large common part: the Hessian is far from diagonal.
    features = jax.random.normal(_KEYS[2], (200, 8)) + 5.0
    truth = jax.random.normal(_KEYS[3], (8, 5))
    gradient = jax.grad(lambda w: jnp.mean((features @ (w - truth)) ** 2))
    schedule = optax.cosine_decay_schedule(0.1, 200)

    def left(optimiser):
        return float(jnp.linalg.norm(_run(optimiser, gradient, jnp.zeros((8, 5)), 200) - truth))

    assert left(kronecker_adam(schedule)) < 0.1 * left(optax.adam(schedule))


def test_directions_that_the_gradient_never_takes_stand_still():
    gradient = jnp.outer(jnp.array([1.0, 2.0, 0.3], jnp.float32), jnp.arange(1.0, 5.0))
    gradient = gradient.astype(jnp.float32)
    moved = _run(kronecker_adam(lambda _: 0.1), lambda _: gradient, jnp.zeros((3, 4)), 5)
    singular = jnp.linalg.svd(moved, compute_uv=False)
    # One direction moves; the rounding of the others is 1e-7 of it, their floor 1e-4.
    assert float(singular[1]) < 0.02 * float(singular[0])


def test_long_sides_are_not_turned():
    weights = jnp.zeros((_LONGEST_SIDE + 1, 2))
    moments = kronecker_adam(lambda _: 0.1).init([weights]).moments[0]
    assert moments.left is None
    assert moments.right.basis.shape == (2, 2)
