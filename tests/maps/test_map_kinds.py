import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.maps import AffineMap, Composition, GradientMap, ResidualNetwork
from brenier.potentials import ICNN

TURN = AffineMap(np.array([[0.0, -1.0], [2.0, 0.0]]), np.array([1.0, 0.0]))


def test_affine():
    np.testing.assert_allclose(TURN(np.array([[1.0, 2.0]])), [[-1.0, 2.0]])
    np.testing.assert_allclose(TURN.jacobian(np.zeros(2)), TURN.matrix)
    np.testing.assert_allclose(TURN.log_det(np.zeros((3, 2))), np.log(2.0) * np.ones(3))
    np.testing.assert_array_equal(AffineMap.identity(3)(np.arange(3.0)), np.arange(3.0))


def test_composition_applies_the_first_map_first():
    shift = AffineMap(np.eye(2), np.array([10.0, 0.0]))
    np.testing.assert_allclose(Composition((shift, TURN))(np.zeros(2)), TURN(np.array([10.0, 0.0])))
    both = Composition([shift, TURN, shift])
    x = jax.random.normal(jax.random.key(0), (4, 2))
    np.testing.assert_allclose(both.inverse()(both(x)), x, atol=1e-14)
    with pytest.raises(ValueError, match=r"maps: got maps of dimensions \[2, 3\]"):
        Composition((TURN, AffineMap.identity(3)))
    with pytest.raises(ValueError, match=r"maps: got maps of dimensions \[\]"):
        Composition(())


def test_residual_network_starts_at_the_identity_and_can_leave_it():
    network = ResidualNetwork.identity(jax.random.key(0), 3, (8, 16), activation="tanh")
    x = jax.random.normal(jax.random.key(1), (5, 3))
    np.testing.assert_array_equal(network(x), x)
    slope = jax.grad(
        lambda w: jnp.sum(
            ResidualNetwork((*network.weights[:-1], w), network.biases, "tanh")(x) ** 2
        )
    )
    assert float(jnp.abs(slope(network.weights[-1])).max()) > 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AffineMap(np.eye(3), np.zeros(2)), r"matrix: got shape \(3, 3\); wants \(2, 2\)"),
        (lambda: AffineMap(np.full((1, 1), np.nan), np.zeros(1)), "matrix: got NaN"),
        (
            lambda: AffineMap(np.ones((2, 2)), np.zeros(2)).inverse(),
            "matrix: got a singular matrix",
        ),
        (lambda: TURN(np.zeros((4, 3))), r"x: got shape \(4, 3\); wants \(..., 2\)"),
        (lambda: TURN.log_det(np.zeros(3)), r"x: got shape \(3,\); wants \(..., 2\)"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_photograph_of_points_takes_bounded_memory():
    T = GradientMap(ICNN.identity(jax.random.key(0), 3))
    n = 273_280
    x = jnp.zeros((n, 3))
    for function, width in ((GradientMap.__call__, 3), (GradientMap.jacobian, 9)):
        memory = eqx.filter_jit(function).lower(T, x).compile().compiled.memory_analysis()
        # The input, filled up, and the output; and 32 MiB for a block. All at once needs 280 MiB
        # for each layer of the network.
        assert memory.temp_size_in_bytes < 8 * n * (3 + width) * 2 + 2**25


def test_blocks_give_what_all_points_at_once_give():
    T = GradientMap(ICNN.identity(jax.random.key(0), 3, (4,)))
    x = jax.random.normal(jax.random.key(1), (1237, 3))
    assert "scan" in str(jax.make_jaxpr(T)(x))
    np.testing.assert_allclose(T(x), jax.vmap(T.apply)(x), rtol=1e-13)
