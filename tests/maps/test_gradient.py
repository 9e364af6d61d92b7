import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.maps import ConjugateMap, GradientMap
from brenier.potentials import LogSumExp, Preconditioned, Quadratic

KEY = jax.random.key(0)
BENT = LogSumExp.identity(KEY, 2, 30, scale=2.0, temperature=0.1, strong_convexity=0.05)
# Twice the same structure, so compiled once: as it is, and in coordinates in units of 2000 around
# a centre 3e4 away, where a start at 0 or at y is hopeless.
POTENTIALS = {
    "plain": Preconditioned(BENT, jnp.eye(2), jnp.zeros(2), jnp.zeros(2), jnp.array(1.0)),
    "far": Preconditioned(
        BENT,
        1e-2 * jnp.array([[1.0, 0.5], [0.0, 2.0]]),
        jnp.array([3e4, -1e4]),
        jnp.array([5.0, 6.0]),
        jnp.array(20.0),
    ),
}


@pytest.mark.parametrize("name", POTENTIALS)
def test_inverse_round_trip_near_and_far(name):
    T = GradientMap(POTENTIALS[name])
    near = jax.random.normal(jax.random.key(1), (40, 2))
    y = jnp.concatenate([near, 1e3 * near, 1e-8 * near])
    x = T.inverse()(y)
    # What the solver promises, and the rounding of T.
    residual = jnp.linalg.norm(T(x) - y, axis=1) / (1.0 + jnp.linalg.norm(y, axis=1))
    assert float(jnp.max(residual)) < 2e-12


def test_inverse_of_the_inverse_is_the_map():
    T = GradientMap(BENT)
    assert T.inverse().inverse().potential is T.potential


def test_quadratic_conjugate_is_the_inverse_matrix():
    matrix = jnp.array([[2.0, 0.5], [0.5, 1.0]])
    T = ConjugateMap(Quadratic.from_matrix(matrix, jnp.array([1.0, -1.0])))
    y = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    exact = np.linalg.solve(matrix, (y - jnp.array([1.0, -1.0])).T).T
    np.testing.assert_allclose(T(y), exact, atol=1e-14)
    np.testing.assert_allclose(
        T.jacobian(y), np.broadcast_to(np.linalg.inv(matrix), (2, 2, 2)), atol=1e-14
    )
    np.testing.assert_allclose(T.log_det(y), -np.log(1.75), atol=1e-14)


@pytest.mark.slow
def test_implicit_derivatives_in_the_parameters_and_of_second_order():
    y = jnp.array([[0.3, -0.7], [1.2, 0.4], [-2.0, 1.0]])
    direction = jax.tree.map(lambda a: jax.random.normal(KEY, a.shape), BENT)

    def objective(t):
        moved = jax.tree.map(lambda a, v: a + t * v, BENT, direction)
        return jnp.sum(jnp.sin(ConjugateMap(moved)(y + t)))

    @jax.jit
    def look(t):
        slope = jax.grad(objective)
        return objective(t), slope(t), jax.jvp(objective, (t,), (1.0,))[1], jax.grad(slope)(t)

    h = 1e-4
    (above, slope_above, *_), (below, slope_below, *_) = look(h), look(-h)
    _, reverse, forward, curvature = look(0.0)
    # Central differences err by h² times a third derivative and by u/h: below 1e-6 here.
    np.testing.assert_allclose(reverse, (above - below) / (2 * h), rtol=1e-5)
    np.testing.assert_allclose(forward, reverse, rtol=1e-9)
    np.testing.assert_allclose(curvature, (slope_above - slope_below) / (2 * h), rtol=1e-5)
