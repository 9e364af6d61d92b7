"""Anyone's map: what is wrong with it is named, and its derivatives are right."""

import jax
import numpy as np
import pytest

from brenier import audit
from brenier.certify._black_box import BlackBox
from brenier.maps import AffineMap
from brenier.measures import Gaussian

_X = np.random.default_rng(0).normal(size=(50, 3))


def _some_nan(x):
    return np.where(x[:, :1] > 1.0, np.nan, x)


def _noisy():
    random = np.random.default_rng(0)
    return lambda x: x + 1e-3 * random.normal(size=x.shape)


def test_an_adaptive_solver_may_hang_on_the_batch():
    # Its steps change with rounding: values differ by less than its tolerance between batches.
    BlackBox(lambda x: x * (1.0 + 1e-9 * len(x))).check_deterministic(*2 * [np.eye(3)])


@pytest.mark.parametrize(
    ("map", "message"),
    [
        (lambda x: x[:, :1], r"map: got values of shape \(.*, 1\)"),
        (lambda x: x[:5], "map: got values of shape"),
        (_some_nan, "map: got NaN or infinite values at .* points, the first at x ="),
        (lambda x: x.astype(str), "map: got values of dtype"),
        (_noisy(), "map: got values that differ by .*deterministic"),
        (lambda x: x - x.mean(axis=0), "map: got values that differ by .*by itself"),
    ],
)
def test_a_bad_map_is_named(map, message):
    with pytest.raises(ValueError, match=message):
        audit(map, Gaussian.standard(2), key=jax.random.key(0), samples=500, budget=0.1)


def test_what_is_no_map():
    with pytest.raises(ValueError, match="map: got float; wants a callable"):
        BlackBox(3.0)


def test_a_map_that_writes_into_its_argument_does_no_harm():
    def writes(x):
        x *= 2.0
        return x

    kept = _X.copy()
    np.testing.assert_allclose(BlackBox(writes)(_X), 2.0 * kept)
    np.testing.assert_array_equal(_X, kept)


def test_differences_match_the_derivative():
    box = BlackBox(lambda x: np.stack([x[:, 0] * x[:, 1], np.sin(x[:, 2]), x[:, 0] ** 3], axis=1))
    jacobian, how = box.jacobian(_X)
    exact = np.zeros((50, 3, 3))
    exact[:, 0, 0], exact[:, 0, 1] = _X[:, 1], _X[:, 0]
    exact[:, 1, 2] = np.cos(_X[:, 2])
    exact[:, 2, 0] = 3.0 * _X[:, 0] ** 2
    assert 0 < how.step < 1e-4
    np.testing.assert_allclose(jacobian, exact, atol=20 * how.error)
    assert how.error < 1e-8


def test_a_map_of_ours_has_its_exact_jacobian():
    matrix = np.array([[1.0, 2.0], [0.0, 1.0]])
    jacobian, how = BlackBox(AffineMap(matrix, np.zeros(2))).jacobian(_X[:, :2])
    assert how.step == 0.0
    np.testing.assert_array_equal(jacobian, np.broadcast_to(matrix, (50, 2, 2)))


def test_single_precision_takes_a_longer_step():
    box = BlackBox(lambda x: np.float32(2.0) * x.astype(np.float32))
    box(_X)
    jacobian, how = box.jacobian(_X)
    assert how.step > 1e-3
    np.testing.assert_allclose(jacobian, np.broadcast_to(2.0 * np.eye(3), (50, 3, 3)), atol=1e-3)


def test_single_precision_shows_in_the_differences_themselves():
    box = BlackBox(lambda x: np.float32(2.0) * x.astype(np.float32))
    jacobian, how = box.jacobian(_X)
    assert how.step > 1e-3
    np.testing.assert_allclose(jacobian, np.broadcast_to(2.0 * np.eye(3), (50, 3, 3)), atol=1e-3)


def test_a_module_of_torch():
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 3)
    expected = _X @ module.weight.detach().numpy().T + module.bias.detach().numpy()
    np.testing.assert_allclose(BlackBox(module)(_X), expected, atol=1e-5)
